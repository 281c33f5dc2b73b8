//! Seeded mutations: the same inputs in every run and on every machine.

/// xorshift64*: good enough to choose bytes.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, fold) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; zero if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let number = self.next().checked_rem(bound).unwrap_or(0);
        usize::try_from(number).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// One to four changes of `input`; pieces come from `other`.
#[must_use]
pub fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        change(&mut out, other, random);
    }
    out
}

fn change(out: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(out.len());
    let until = at
        .saturating_add(random.below(out.len().min(64)))
        .min(out.len());
    match random.below(8) {
        0 => {
            let bit = random.below(8);
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        1 => {
            let new = *INTERESTING
                .get(random.below(INTERESTING.len()))
                .unwrap_or(&0);
            if let Some(byte) = out.get_mut(at) {
                *byte = new;
            }
        }
        2 => {
            let new = random.byte();
            if let Some(byte) = out.get_mut(at) {
                *byte = new;
            }
        }
        3 => out.insert(at, random.byte()),
        4 => drop(out.drain(at..until)),
        5 => out.truncate(at),
        6 => {
            let piece = out.get(at..until).unwrap_or_default().to_vec();
            out.splice(until..until, piece);
        }
        _ => {
            let from = random.below(other.len());
            let to = from.saturating_add(random.below(64)).min(other.len());
            let piece = other.get(from..to).unwrap_or_default().to_vec();
            out.splice(at..until, piece);
        }
    }
}

/// Bytes that decide: MessagePack's markers, ZMTP's flags, ends of ranges, syntax of patterns.
const INTERESTING: &[u8] = &[
    0x00, 0x01, 0x02, 0x04, 0x06, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc3, 0xc4,
    0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
    0xe0, 0xff, b'*', b'?', b'[', b']', b'(', b')', b'|', b'\\', b'{', b'}', b':', b'=', b'-',
    b'\n',
];
