//! How long a file has us compute before its pass phrase is judged.
//!
//! An encrypted key names its own effort, up to 2^31 rounds and more, and OpenSSL does what the file
//! says. So it is looked at before: RFC 8018 (PBES1, PBES2 with PBKDF2), RFC 7292 (the schemes of
//! PKCS #12) and RFC 7914 (scrypt) all have it as integers in the parameters of the algorithm.
//! The older form with `Proc-Type: 4,ENCRYPTED` has one round and names none.

use anyhow::{Context, ensure};
use x509_parser::der_parser::ber::{BerObject, BerObjectContent};
use x509_parser::der_parser::der::parse_der;
use x509_parser::der_parser::oid;
use x509_parser::der_parser::oid::Oid;
use x509_parser::pem::Pem;

/// Refuses a text whose key is derived with more than a person would wait for.
pub(super) fn check(text: &str) -> anyhow::Result<()> {
    if !text.contains(ENCRYPTED) {
        return Ok(());
    }
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.context("its PEM is damaged")?;
        if block.label == ENCRYPTED {
            check_der(&block.contents)?;
        }
    }
    Ok(())
}

fn check_der(der: &[u8]) -> anyhow::Result<()> {
    let (_, sealed) = parse_der(der).context("its PEM holds no private key that can be read")?;
    // EncryptedPrivateKeyInfo ::= SEQUENCE { encryptionAlgorithm, encryptedData }
    let algorithm = sealed.as_sequence().ok().and_then(|parts| parts.first());
    let algorithm = algorithm.context("its PEM holds no private key that can be read")?;
    let mut found = Effort::default();
    found.read(algorithm);
    ensure!(
        found.rounds <= MOST_ROUNDS,
        "its pass phrase is stretched by {} rounds, and at most {MOST_ROUNDS} are made, which takes \
         seconds; if the file is yours, `openssl pkcs8 -topk8 -iter 1000000` rewrites it",
        found.rounds
    );
    ensure!(
        found.scrypt <= MOST_SCRYPT,
        "its pass phrase is stretched by scrypt with N*r*p = {}, and at most {MOST_SCRYPT} are made, \
         which takes seconds; if the file is yours, `openssl pkcs8 -topk8 -iter 1000000` rewrites it",
        found.scrypt
    );
    Ok(())
}

/// What an algorithm asks for.
#[derive(Debug, Default)]
struct Effort {
    rounds: u64,
    scrypt: u64,
}

impl Effort {
    /// Looks into an `AlgorithmIdentifier` and those in its parameters.
    fn read(&mut self, object: &BerObject<'_>) {
        let BerObjectContent::Sequence(parts) = &object.content else {
            return;
        };
        let integers = |parts: &[BerObject<'_>]| -> Vec<u64> {
            let integers = parts.iter().filter(|part| part.as_bigint().is_ok());
            // One that is larger than that is too large for everything here.
            integers.map(|it| it.as_u64().unwrap_or(u64::MAX)).collect()
        };
        if let [name, parameters] = parts.as_slice()
            && let Ok(name) = name.as_oid()
            && let Ok(parameters) = parameters.as_sequence()
        {
            let numbers = integers(parameters);
            if *name == SCRYPT {
                let cost = numbers.iter().take(3).copied();
                self.scrypt = self.scrypt.max(cost.fold(1, u64::saturating_mul));
            } else {
                // PBKDF2: rounds and perhaps the key's length; PBES1 and PKCS #12: rounds; a cipher:
                // small numbers or none.
                self.rounds = self.rounds.max(numbers.into_iter().max().unwrap_or(0));
            }
        }
        parts.iter().for_each(|part| self.read(part));
    }
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// RFC 7914, section 7.
const SCRYPT: Oid<'static> = oid!(1.3.6.1.4.1.11591.4.11);
/// Five times what is recommended for the quickest hash, and some seconds of work.
const MOST_ROUNDS: u64 = 10_000_000;
/// OpenSSL's own N*r*p is 2^17; this is some seconds of work.
const MOST_SCRYPT: u64 = 1 << 22;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::SecretString;

    use super::super::private_rsa;
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let header = if length < 128 {
            vec![tag, length]
        } else {
            vec![tag, 0x81, length]
        };
        [header.as_slice(), content].concat()
    }

    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        tlv(0x30, &parts.concat())
    }

    fn integer(value: u64) -> Vec<u8> {
        let bytes: Vec<u8> = value.to_be_bytes().to_vec();
        let zeros = bytes.iter().take(7).take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        if bytes[0] & 0x80 == 0 {
            tlv(0x02, bytes)
        } else {
            tlv(0x02, &[&[0], bytes].concat())
        }
    }

    fn salt() -> Vec<u8> {
        tlv(0x04, &[7; 8])
    }

    fn pem(algorithm: Vec<u8>) -> String {
        let der = sequence(&[algorithm, tlv(0x04, &[9; 48])]);
        let body = STANDARD.encode(der);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {ENCRYPTED}-----\n{}\n-----END {ENCRYPTED}-----\n",
            lines.join("\n")
        )
    }

    /// PBES2 with AES-256-CBC and this derivation.
    fn pbes2(derivation: Vec<u8>) -> String {
        let aes = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
        let cipher = sequence(&[tlv(0x06, &aes), tlv(0x04, &[1; 16])]);
        let scheme = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
        let parameters = sequence(&[derivation, cipher]);
        pem(sequence(&[tlv(0x06, &scheme), parameters]))
    }

    fn pbkdf2(rounds: u64) -> String {
        let name = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
        let parameters = sequence(&[salt(), integer(rounds)]);
        pbes2(sequence(&[tlv(0x06, &name), parameters]))
    }

    fn scrypt(n: u64, r: u64, p: u64) -> String {
        let name = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
        let parameters = sequence(&[salt(), integer(n), integer(r), integer(p)]);
        pbes2(sequence(&[tlv(0x06, &name), parameters]))
    }

    /// `pbeWithSHAAnd3-KeyTripleDES-CBC`.
    fn pkcs12(rounds: u64) -> String {
        let name = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03];
        let parameters = sequence(&[salt(), integer(rounds)]);
        pem(sequence(&[tlv(0x06, &name), parameters]))
    }

    #[test]
    fn a_file_that_would_have_us_compute_for_hours_is_refused_before_it_begins() {
        let pass = SecretString::from("x");
        for (text, words) in [
            (pbkdf2(2_000_000_000), "by 2000000000 rounds"),
            (pbkdf2(u64::MAX), "rounds"),
            (pkcs12(2_000_000_000), "by 2000000000 rounds"),
            (
                scrypt(1 << 17, 1, 1 << 17),
                "scrypt with N*r*p = 17179869184",
            ),
            (scrypt(u64::MAX, 8, 8), "scrypt"),
        ] {
            let error = private_rsa(&text, Some(&pass)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
        }
    }

    #[test]
    fn what_openssl_and_others_write_is_taken() {
        for text in [
            pbkdf2(2048),
            pbkdf2(MOST_ROUNDS),
            pkcs12(2048),
            scrypt(16_384, 8, 1),
            scrypt(1 << 20, 1, 4),
        ] {
            check(&text).unwrap();
        }
    }
}
