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

/// Of the three files that Salt wrote, each in turn and as it is on the disk. A master's key is in
/// canonical form with and without its final LF, and so is a signature.
#[test]
fn every_truncation_and_every_flipped_bit_of_each_file_is_refused() {
    let (mut refused, mut bytes) = (0, 0);
    for vector in VECTORS {
        let files = [vector.master, vector.master_sign, vector.signature].map(str::as_bytes);
        for (damaged, file) in files.into_iter().enumerate() {
            let mut check = |content: &[u8]| {
                let mut files = files;
                files[damaged] = content;
                let verdict = judge(vector.algorithm, files);
                if content == file.strip_suffix(b"\n").unwrap() {
                    assert!(verdict, "{}: file {damaged} without its LF", vector.name);
                } else {
                    let shown = String::from_utf8_lossy(content);
                    assert!(!verdict, "{}: file {damaged}: {shown:?}", vector.name);
                    refused += 1;
                }
            };
            for length in 0..file.len() {
                check(&file[..length]);
            }
            for bit in 0..file.len() * 8 {
                let mut content = file.to_vec();
                content[bit / 8] ^= 1 << (bit % 8);
                check(&content);
            }
            bytes += file.len();
        }
    }
    // Nine for each byte, but for the one truncation that takes nothing away.
    assert_eq!(refused, 9 * bytes - 3 * VECTORS.len());
    assert!(bytes >= VECTORS.len() * (451 + 451 + 345));
}

/// Whether a minion with this `master_sign.pub` believes a master that shows the other two.
fn judge(algorithm: Algorithm, [master, master_sign, signature]: [&[u8]; 3]) -> bool {
    let (Ok(master), Ok(signer)) = (PublicKey::parse(master), PublicKey::parse(master_sign)) else {
        return false;
    };
    let signature = Signature::from_file(signature);
    signature.is_ok_and(|signature| signer.verify(algorithm, &master, &signature).is_ok())
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
