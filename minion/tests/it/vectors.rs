//! Files that `salt-key --gen-signature` wrote; `tests/vectors/README.md` says which Salt and how.

use minion::verify::{Algorithm, PublicKey, Rejected, Signature, clean_key};

/// What one call of `salt-key --gen-signature` left behind.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) master: &'static str,
    pub(crate) master_sign: &'static str,
    pub(crate) signature: &'static str,
}

macro_rules! vector {
    ($folder:literal, $algorithm:ident) => {
        Vector {
            name: $folder,
            algorithm: Algorithm::$algorithm,
            master: include_str!(concat!("../vectors/gen-signature/", $folder, "/master.pub")),
            master_sign: include_str!(concat!(
                "../vectors/gen-signature/",
                $folder,
                "/master_sign.pub"
            )),
            signature: include_str!(concat!(
                "../vectors/gen-signature/",
                $folder,
                "/master_pubkey_signature"
            )),
        }
    };
}

pub(crate) const VECTORS: [Vector; 4] = [
    vector!("3006.30-sha1", Sha1),
    vector!("3007.17-sha1", Sha1),
    vector!("3008.5-sha1", Sha1),
    vector!("3008.5-sha224", Sha224),
];

impl Vector {
    fn master(&self) -> PublicKey {
        PublicKey::parse(self.master.as_bytes()).unwrap()
    }

    fn signer(&self) -> PublicKey {
        PublicKey::parse(self.master_sign.as_bytes()).unwrap()
    }

    fn signature(&self) -> Signature {
        Signature::from_file(self.signature.as_bytes()).unwrap()
    }

    fn verify(&self, signature: &Signature) -> Result<(), Rejected> {
        self.signer()
            .verify(self.algorithm, &self.master(), signature)
    }
}

#[test]
fn every_signature_of_salt_verifies_and_is_written_back_byte_for_byte() {
    for vector in VECTORS {
        assert_eq!(
            vector.verify(&vector.signature()),
            Ok(()),
            "{}",
            vector.name
        );
        assert_eq!(
            vector.signature().to_file(),
            vector.signature,
            "{}",
            vector.name
        );
        assert_eq!(vector.master().to_file(), vector.master, "{}", vector.name);
        assert_eq!(
            vector.master().canonical(),
            clean_key(vector.master),
            "{}",
            vector.name
        );
    }
}

#[test]
fn the_other_algorithm_does_not_verify() {
    for vector in VECTORS {
        for algorithm in Algorithm::ALL {
            let verdict = vector
                .signer()
                .verify(algorithm, &vector.master(), &vector.signature());
            assert_eq!(
                verdict.is_ok(),
                algorithm == vector.algorithm,
                "{}",
                vector.name
            );
        }
    }
}

#[test]
fn a_signature_counts_for_its_own_pair_of_keys_only() {
    for signed in VECTORS {
        for other in VECTORS {
            let expected = signed.name == other.name;
            let verdict =
                other
                    .signer()
                    .verify(signed.algorithm, &signed.master(), &signed.signature());
            assert_eq!(
                verdict.is_ok(),
                expected,
                "{} by {}",
                signed.name,
                other.name
            );
            let verdict =
                signed
                    .signer()
                    .verify(signed.algorithm, &other.master(), &signed.signature());
            assert_eq!(
                verdict.is_ok(),
                expected,
                "{} for {}",
                signed.name,
                other.name
            );
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for vector in VECTORS {
        let (signer, master) = (vector.signer(), vector.master());
        let good = vector.signature();
        for bit in 0..good.as_bytes().len() * 8 {
            let mut bytes = good.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = signer.verify(vector.algorithm, &master, &Signature::new(bytes));
            assert_eq!(verdict, Err(Rejected), "{} bit {bit}", vector.name);
        }
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    for vector in VECTORS {
        let (signer, master) = (vector.signer(), vector.master());
        let good = vector.signature().as_bytes().to_vec();
        let refused = |bytes: Vec<u8>| {
            let verdict = signer.verify(vector.algorithm, &master, &Signature::new(bytes));
            assert_eq!(verdict, Err(Rejected), "{}", vector.name);
        };
        for length in 0..good.len() {
            refused(good[..length].to_vec());
            refused(good[good.len() - length..].to_vec());
        }
        refused([&good[..], &[0]].concat());
        refused([&[0], &good[..]].concat());
    }
}

#[test]
fn every_truncation_of_the_file_is_refused_but_for_its_final_newline() {
    for vector in VECTORS {
        let line = vector.signature.trim_end();
        for length in 0..line.len() {
            let verifies = Signature::from_file(&line.as_bytes()[..length])
                .is_ok_and(|signature| vector.verify(&signature).is_ok());
            assert!(!verifies, "{} {length}", vector.name);
        }
        let without_newline = Signature::from_file(line.as_bytes()).unwrap();
        assert_eq!(vector.verify(&without_newline), Ok(()));
    }
}

#[test]
fn a_file_is_read_as_the_minion_reads_it() {
    let vector = &VECTORS[0];
    let line = vector.signature.trim_end();
    let (left, right) = line.split_at(76);
    for same in [
        format!("{left}\n{right}\n"),
        format!("{left}\r\n{right}\r\n"),
        format!("\n {line}\n\n"),
    ] {
        let signature = Signature::from_file(same.as_bytes()).unwrap();
        assert_eq!(vector.verify(&signature), Ok(()), "{same:?}");
    }
    for damaged in [
        String::new(),
        "\n".to_owned(),
        line.replacen('=', "", 1),
        format!("{line}="),
        format!("{left}*{right}"),
        format!("\u{feff}{line}"),
        line.replace('+', "-"),
        "-----BEGIN SIGNATURE-----".to_owned(),
    ] {
        assert!(
            Signature::from_file(damaged.as_bytes()).is_err(),
            "{damaged:?}"
        );
    }
}

#[test]
fn every_changed_byte_of_the_master_s_key_is_noticed() {
    let vector = &VECTORS[0];
    let (signer, signature) = (vector.signer(), vector.signature());
    for at in 0..vector.master.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut text = vector.master.as_bytes().to_vec();
            text[at] ^= bit;
            let accepted = PublicKey::parse(&text)
                .is_ok_and(|key| signer.verify(vector.algorithm, &key, &signature).is_ok());
            assert!(!accepted, "byte {at}, bit {bit:#x}");
        }
    }
}
