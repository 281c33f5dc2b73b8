//! Every form in which Salt keeps a master's keys, and the forms that are refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use tempfile::TempDir;

use super::*;

/// A `pki_dir` and a configuration directory in front of it.
struct Master {
    root: TempDir,
    rsa: Rsa<Private>,
}

impl Master {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("pki")).unwrap();
        let rsa = Rsa::generate(2048).unwrap();
        let master = Self { root, rsa };
        master.write("master.pub", &master.rsa.public_key_to_pem().unwrap());
        master.write("master.pem", &master.rsa.private_key_to_pem().unwrap());
        master
    }

    fn pki(&self) -> PathBuf {
        self.root.path().join("pki")
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.pki().join(name), content).unwrap();
    }

    fn salt(&self, options: &str) -> SaltMaster {
        fs::write(self.root.path().join("master"), options).unwrap();
        SaltMaster::load(self.root.path()).unwrap()
    }

    fn open(&self) -> PkiDir {
        PkiDir::open_own(&self.pki(), geteuid().as_raw()).unwrap()
    }

    fn read(&self, options: &str) -> Result<MasterKeys, KeysError> {
        MasterKeys::read(&self.open(), &self.salt(options))
    }

    /// What a first start of 3008 does with the files of 3006.
    fn migrate(&self, id: &str) {
        for end in ["pem", "pub"] {
            let (old, new) = (format!("master.{end}"), format!("{id}.{end}"));
            fs::rename(self.pki().join(&old), self.pki().join(&new)).unwrap();
            symlink(self.pki().join(&new), self.pki().join(&old)).unwrap();
        }
    }
}

fn name(master: &Master, options: &str) -> String {
    signature_name(&master.open(), &master.salt(options))
        .unwrap()
        .as_str()
        .to_owned()
}

#[test]
fn a_pair_is_read_in_every_form_that_salt_reads() {
    let master = Master::new();
    let expected = master.read("").unwrap().public.hash();
    let key = PKey::from_rsa(master.rsa.clone()).unwrap();
    let aes = Cipher::aes_256_cbc();
    for pem in [
        key.private_key_to_pem_pkcs8().unwrap(),
        key.private_key_to_pem_pkcs8_passphrase(aes, b"sesame")
            .unwrap(),
        master
            .rsa
            .private_key_to_pem_passphrase(aes, b"sesame")
            .unwrap(),
    ] {
        master.write("master.pem", &pem);
        let keys = master.read("key_pass: sesame\n").unwrap();
        assert_eq!(keys.public.hash(), expected);
    }
}

#[test]
fn an_encrypted_key_without_its_pass_phrase_is_said_to_be_one() {
    let master = Master::new();
    let pem = master
        .rsa
        .private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"sesame")
        .unwrap();
    master.write("master.pem", &pem);
    for (options, words) in [("", "is not set"), ("key_pass: open\n", "does not decrypt")] {
        let error = master.read(options).unwrap_err();
        assert!(matches!(error, KeysError::Encrypted { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn white_space_that_salt_cleans_away_does_not_matter() {
    let master = Master::new();
    let expected = master.read("").unwrap().public.hash();
    let pem = String::from_utf8(master.rsa.public_key_to_pem().unwrap()).unwrap();
    for text in [
        pem.trim().to_owned(),
        format!("\n \n{pem}\n\n"),
        pem.replace('\n', "\r\n"),
    ] {
        master.write("master.pub", text.as_bytes());
        assert_eq!(master.read("").unwrap().public.hash(), expected);
    }
}

#[test]
fn the_command_that_is_printed_for_another_spelling_rewrites_the_file() {
    let master = Master::new();
    let expected = master.read("").unwrap().public.hash();
    let spki = String::from_utf8(master.rsa.public_key_to_pem().unwrap()).unwrap();
    let pkcs1 = master.rsa.public_key_to_pem_pkcs1().unwrap();
    let body: String = spki.lines().filter(|line| !line.starts_with('-')).collect();
    let wide = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    for (migrated, text) in [(false, pkcs1), (true, wide.into_bytes())] {
        if migrated {
            master.migrate("m 1's");
        }
        fs::write(master.pki().join("master.pub"), text).unwrap();
        let error = master.read("").unwrap_err();
        let KeysError::NotCanonical { command, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(error.to_string().contains(command));
        let run = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(run.status.success(), "{run:?}");
        assert_eq!(master.read("").unwrap().public.hash(), expected);
    }
}

#[test]
fn halves_of_different_keys_are_refused() {
    let master = Master::new();
    let other = Rsa::generate(2048).unwrap();
    master.write("master.pub", &other.public_key_to_pem().unwrap());
    let error = master.read("").unwrap_err();
    assert!(matches!(error, KeysError::Strangers { .. }), "{error:?}");
}

#[test]
fn a_private_key_in_the_place_of_the_public_one_is_named() {
    let master = Master::new();
    master.write("master.pub", &master.rsa.private_key_to_pem().unwrap());
    let error = master.read("").unwrap_err();
    assert!(
        matches!(
            error,
            KeysError::Key {
                source: KeyError::PrivateKey,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_signatures_name_follows_the_version_that_wrote_the_directory() {
    let master = Master::new();
    assert_eq!(name(&master, ""), "master_pubkey_signature");
    assert_eq!(name(&master, "id: m1\n"), "master_pubkey_signature");
    master.migrate("m1");
    assert_eq!(name(&master, ""), "m1_master_pubkey_signature");
    assert_eq!(name(&master, "id: m1\n"), "m1_pubkey_signature");
    assert_eq!(
        name(&master, "id: m1_master\n"),
        "m1_master_pubkey_signature"
    );
    assert_eq!(name(&master, "master_pubkey_signature: mine\n"), "mine");
    let salt = master.salt("master_pubkey_signature: ../mine\n");
    assert!(signature_name(&master.open(), &salt).is_err());
}

#[test]
fn a_migrated_directory_is_read_through_its_links() {
    let master = Master::new();
    let expected = master.read("").unwrap().public.hash();
    master.migrate("m1");
    assert_eq!(
        master.read("id: m1_master\n").unwrap().public.hash(),
        expected
    );
}

#[test]
fn two_keys_of_which_salt_versions_choose_differently_are_refused() {
    let master = Master::new();
    let other = Rsa::generate(2048).unwrap();
    master.write("m1.pub", &other.public_key_to_pem().unwrap());
    let error = master.read("id: m1\n").unwrap_err();
    assert!(matches!(error, KeysError::TwoKeys { .. }), "{error:?}");
    assert!(master.read("id: m2\n").is_ok());
}

#[test]
fn a_directory_without_keys_says_what_to_start() {
    let master = Master::new();
    fs::remove_file(Path::new(&master.pki()).join("master.pub")).unwrap();
    let error = master.read("").unwrap_err();
    assert!(
        error.to_string().contains("start salt-master once"),
        "{error}"
    );
}
