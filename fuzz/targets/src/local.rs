//! What the service and its commands read on their own machine: the control socket, the pipe to
//! their child, notes, PINs, a signing key that is to be imported, their configuration.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hsm_config::PinSource;
use minion::salt_config::{self, Loaded};
use minion::verify::clean_key;
use openssl::pkey::PKey;
use secrecy::{ExposeSecret, SecretString};
use signer::audit::{Inbox, Note};
use signer::commands::connection::Options;
use signer::commands::hsm::{pem, secrets::Secrets};
use signer::control::{Answer, Request};
use signer::fetch::directory::PkiDir;
use signer::fetch::keys::MasterKeys;
use signer::fetch::salt_config::SaltMaster;
use signer::fetch::settings::{Partial, SettingsError};
use signer::hsm::pin;

use crate::papers::{Desk, NOW, signing_key};

/// A request at the control socket has one form, its PIN is not shown, and an answer is read as it
/// was written.
pub fn control_frames(input: &[u8]) {
    if let Ok(request) = Request::from_bytes(input) {
        assert_eq!(request.to_bytes().expect("it was read").as_slice(), input);
        if let Request::Unlock { pin, hsm, .. } = &request
            && pin.expose_secret().len() > 8
            && !hsm
                .as_deref()
                .unwrap_or_default()
                .contains(pin.expose_secret())
        {
            assert!(!format!("{request:?}").contains(pin.expose_secret()));
        }
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(input) {
        let again = serde_json::to_vec(&answer).expect("it was read");
        assert_eq!(serde_json::from_slice::<Answer>(&again).ok(), Some(answer));
    }
}

/// One of each request and of each answer.
#[must_use]
pub fn control_frames_seeds() -> Vec<Vec<u8>> {
    let pin = || SecretString::from("0001password");
    let hsm = Some("rack-1".to_owned());
    let requests = [
        Request::Unlatch { serial: None },
        Request::Unlatch {
            serial: Some("0042".to_owned()),
        },
        Request::Unlock {
            hsm,
            pin: pin(),
            force: false,
        },
        Request::Unlock {
            hsm: None,
            pin: pin(),
            force: true,
        },
    ];
    let mut seeds: Vec<Vec<u8>> = requests
        .iter()
        .map(|request| request.to_bytes().expect("short").to_vec())
        .collect();
    seeds.extend(
        [
            r#"{"result":"refused","why":"this is for root, not for user 7"}"#,
            r#"{"result":"unlatched","latches_lifted":1,"logins_forgotten":0}"#,
            r#"{"result":"unlocked","hsm":"a","state":"ready","detail":"signs"}"#,
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    seeds
}

/// Secrets come out of the pipe as they went in.
pub fn command_secrets(input: &[u8]) {
    let Ok(secrets) = Secrets::parse(input) else {
        return;
    };
    let mut sent = Vec::new();
    secrets
        .send(&mut sent)
        .expect("they fit, as they were read");
    let mut read = input
        .get(..sent.len())
        .expect("all of it was read")
        .to_vec();
    // Any byte but zero says that the secret is there.
    let mut at: usize = 0;
    for _ in 0..3 {
        let present = read.get_mut(at).expect("a head");
        *present = (*present).min(1);
        let length = read
            .get(at.saturating_add(1)..)
            .and_then(|rest| rest.first_chunk());
        let length = usize::from(u16::from_be_bytes(*length.expect("a length")));
        let absent = read.get(at) == Some(&0);
        at = at.saturating_add(3).saturating_add(length);
        if absent && length > 0 {
            // What belongs to no secret is dropped, and nothing else can be compared.
            return;
        }
    }
    assert_eq!(sent, read);
}

/// All, some and none of them.
#[must_use]
pub fn command_secrets_seeds() -> Vec<Vec<u8>> {
    let secret = |text: &str| Some(SecretString::from(text));
    let all = [
        Secrets::default(),
        Secrets {
            pin: secret("1234\n\u{e9}"),
            ..Secrets::default()
        },
        Secrets {
            pin: secret("1234"),
            so_pin: secret("so"),
            key: secret("-----BEGIN"),
        },
    ];
    let bytes = all.iter().map(|secrets| {
        let mut bytes = Vec::new();
        secrets.send(&mut bytes).expect("a vector takes it");
        bytes
    });
    bytes.collect()
}

/// A file in the audit inbox is one note or none, and never more than a note may be.
pub fn audit_note(input: &[u8]) {
    let desk = Desk::new();
    fs::create_dir(desk.path("audit-inbox")).expect("a directory");
    let path = desk.put("audit-inbox/note.json", input);
    let inbox = Inbox::new(&desk.path(""));
    let notes = inbox.notes().expect("the directory can be read");
    let expected = serde_json::from_slice::<Note>(input)
        .ok()
        .filter(|_| input.len() <= 16 * 1024);
    match (notes.as_slice(), expected) {
        ([], None) => {}
        ([(found, note)], Some(expected)) => {
            assert_eq!((note, found), (&expected, &path));
            let again = serde_json::to_vec(note).expect("it was read");
            assert_eq!(
                serde_json::from_slice::<Note>(&again).ok().as_ref(),
                Some(note)
            );
            inbox.remove(found).expect("it is ours");
            assert_eq!(inbox.notes().expect("as before"), []);
        }
        (notes, expected) => panic!("{notes:?} and not {expected:?}"),
    }
}

/// What commands leave, and one that is longer than a note may be.
#[must_use]
pub fn audit_note_seeds() -> Vec<Vec<u8>> {
    let id = crate::papers::STORE;
    let note = |command: &str, detail: &str| {
        format!(
            r#"{{"id":"{id}","time":"{NOW}","actor":{{"identity":"mastersign:local:0","certificate":null}},"command":"{command}","detail":{detail}}}"#
        )
    };
    let long = format!(r#"{{"arguments":"{}"}}"#, "x".repeat(16 * 1024));
    [
        note(
            "hsm init",
            r#"{"arguments":"hsm init --hsm a","outcome":"done"}"#,
        ),
        note("pki issue", "{}"),
        note("hsm init", &long),
    ]
    .map(String::into_bytes)
    .into()
}

/// A PIN is the file but for one newline, whichever way it comes, or an error that does not show it.
pub fn pin_source(input: &[u8]) {
    let read = pin::from_reader(input);
    let expected = input.strip_suffix(b"\n").unwrap_or(input);
    let is_pin = (1..=1024).contains(&expected.len()) && std::str::from_utf8(expected).is_ok();
    assert_eq!(read.is_ok(), is_pin);
    let path = Desk::new();
    let file = pin::read(&PinSource::File {
        path: path.put("pin", input),
    });
    match (read, file) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.expose_secret().as_bytes(), expected);
            assert_eq!(other.expose_secret(), one.expose_secret());
        }
        (Err(one), Err(other)) => {
            for error in [one, other] {
                let told = error.to_string();
                let text = String::from_utf8_lossy(expected);
                assert!(text.len() < 8 || !told.contains(&*text), "{told}");
            }
        }
        (one, other) => panic!("{} and {}", one.is_ok(), other.is_ok()),
    }
}

/// Short and long ones, with every end.
#[must_use]
pub fn pin_source_seeds() -> Vec<Vec<u8>> {
    let longest = "x".repeat(1024);
    let all = [
        "1234",
        "1234\n",
        "with spaces \n",
        "\n",
        "p\u{e9}n\r\n",
        "",
        &longest,
    ];
    let mut seeds: Vec<Vec<u8>> = all.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.push(format!("{longest}\n").into_bytes());
    seeds.push(b"\xff\xfe1\x002\x00".to_vec());
    seeds
}

/// A private key that is read is one RSA key, which is read again from either of its plain forms;
/// nobody is asked for a pass phrase.
///
/// The first byte says whether a pass phrase is given.
pub fn private_key(input: &[u8]) {
    let Some((&given, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let pass = (given & 1 == 1).then(|| SecretString::from(PASS));
    match pem::private_rsa(text, pass.as_ref()) {
        Ok(key) => {
            let begins = text
                .lines()
                .filter(|line| line.trim().starts_with("-----BEGIN "));
            assert_eq!(begins.count(), 1, "one key is meant");
            if pass.is_none() {
                let with = pem::private_rsa(text, Some(&SecretString::from(PASS)));
                assert!(with.is_ok(), "it was read without one");
            }
            // A key may be nonsense: that is judged behind this.
            let pkcs1 = key.private_key_to_pem().expect("it was read");
            let pkcs8 = PKey::from_rsa(key.clone()).and_then(|key| key.private_key_to_pem_pkcs8());
            for form in [pkcs1, pkcs8.expect("it was read")] {
                let form = String::from_utf8(form).expect("PEM");
                let again = pem::private_rsa(&form, None).expect("its own form");
                assert_eq!(
                    (again.n(), again.e(), again.d()),
                    (key.n(), key.e(), key.d())
                );
            }
        }
        Err(error) => {
            let told = format!("{error:#}");
            assert!(!told.is_empty() && !told.contains(PASS), "{told}");
        }
    }
}

/// Every spelling of one key, and what is none.
#[must_use]
pub fn private_key_seeds() -> Vec<Vec<u8>> {
    let key = signing_key();
    let rsa = key.private.rsa().expect("an RSA key");
    let one = rsa.private_key_to_pem().expect("OpenSSL writes it");
    let two = [one.clone(), one].concat();
    let forms = [
        (0, rsa.private_key_to_pem()),
        (0, key.private.private_key_to_pem_pkcs8()),
        (
            1,
            Ok(include_bytes!("../seeds/encrypted-pkcs1.pem").to_vec()),
        ),
        (
            1,
            Ok(include_bytes!("../seeds/encrypted-pkcs8.pem").to_vec()),
        ),
        (0, rsa.public_key_to_pem()),
        (0, Ok(two)),
    ];
    let seeds = forms.into_iter().map(|(given, form)| {
        let form = form.expect("OpenSSL writes it");
        [&[given], form.as_slice()].concat()
    });
    seeds.collect()
}

/// `fetch.toml` and `admin.toml`: each is settings whose paths are absolute, or an error that names
/// the file, and what the line says wins.
pub fn client_settings(input: &[u8]) {
    let desk = Desk::new();
    let fetch = desk.put("fetch.toml", input);
    match Partial::read(&fetch) {
        Ok(partial) => {
            let all = [
                &partial.ca,
                &partial.certificate,
                &partial.key,
                &partial.master_sign_pub,
                &partial.salt_config,
            ];
            assert!(all.into_iter().flatten().all(|path| path.is_absolute()));
            let line = Partial {
                url: Some("https://line".to_owned()),
                ..Partial::default()
            };
            let url = line.over(partial.clone()).url;
            assert_eq!(url.as_deref(), Some("https://line"));
            match partial.clone().complete() {
                Ok(settings) => assert_eq!(Some(settings.ca), partial.ca),
                Err(SettingsError::Missing(names)) => assert!(!names.is_empty()),
                Err(SettingsError::Algorithm(_)) => assert!(partial.algorithm.is_some()),
                Err(error) => panic!("{error}"),
            }
        }
        Err(error) => names_the_file(&error.to_string(), &fetch),
    }
    let admin = desk.put("admin.toml", input);
    match Options::read(&admin) {
        // Read twice, it says the same.
        Ok(options) => assert_eq!(Options::read(&admin).ok(), Some(options)),
        Err(error) => names_the_file(&format!("{error:#}"), &admin),
    }
}

/// The keys that a master shows and signs with are one pair, in the form in which they are shown, or
/// an error that names the directory and shows nothing of the private one.
///
/// The first byte says which of the two files the rest is.
pub fn master_keys(input: &[u8]) {
    let Some((&which, content)) = input.split_first() else {
        return;
    };
    let desk = Desk::new();
    let key = signing_key();
    let own = key.private.private_key_to_pem_pkcs8().expect("our key");
    let shown = key.public.to_file().into_bytes();
    let (shown, own) = match which & 1 {
        0 => (content, own.as_slice()),
        _ => (shown.as_slice(), content),
    };
    desk.put("master.pub", shown);
    desk.put("master.pem", own);
    let user = fs::metadata(desk.path("")).expect("our directory").uid();
    let directory = PkiDir::open_own(&desk.path(""), user).expect("nobody else can write there");
    let salt = SaltMaster::read(Loaded {
        options: salt_config::parse(Path::new("master"), &format!("key_pass: {PASS}\n"))
            .expect("one option"),
        sources: Vec::new(),
    });
    match MasterKeys::read(&directory, &salt.expect("one option")) {
        Ok(keys) => {
            assert_eq!(keys.public.hash(), key.public.hash());
            let text = std::str::from_utf8(shown).expect("it was read");
            assert_eq!(clean_key(text), key.public.canonical());
            let half = keys.private.public_key_to_pem().expect("it was read");
            assert_eq!(String::from_utf8(half).ok(), Some(key.public.to_file()));
            assert!(!format!("{keys:?}").contains("PRIVATE"));
        }
        Err(error) => {
            let told = format!("{error:?} {error}");
            assert!(told.contains(&*desk.path("").to_string_lossy()), "{told}");
            let own = String::from_utf8_lossy(own);
            let mut secrets = own.lines().filter(|line| line.len() >= 60);
            assert!(secrets.all(|line| !told.contains(line)), "{told}");
        }
    }
}

/// Both files in every form.
#[must_use]
pub fn master_keys_seeds() -> Vec<Vec<u8>> {
    let key = signing_key();
    let rsa = key.private.rsa().expect("an RSA key");
    let shown = key.public.to_file();
    let forms = [
        (0, Ok(shown.clone().into_bytes())),
        (0, Ok(shown.replace('\n', "\r\n").into_bytes())),
        (0, Ok(format!("\n{shown}\n").into_bytes())),
        (0, rsa.public_key_to_pem_pkcs1()),
        (0, rsa.private_key_to_pem()),
        (1, rsa.private_key_to_pem()),
        (1, key.private.private_key_to_pem_pkcs8()),
        (
            1,
            Ok(include_bytes!("../seeds/encrypted-pkcs1.pem").to_vec()),
        ),
        (
            1,
            Ok(include_bytes!("../seeds/encrypted-pkcs8.pem").to_vec()),
        ),
        (1, Ok(include_bytes!("../seeds/weak.pem").to_vec())),
    ];
    let seeds = forms.into_iter().map(|(which, form)| {
        let form = form.expect("OpenSSL writes it");
        [&[which], form.as_slice()].concat()
    });
    seeds.collect()
}

fn names_the_file(told: &str, file: &Path) {
    assert!(
        told.contains(&file.display().to_string()),
        "no file in: {told}"
    );
}

/// The shipped file, with and without its defaults, and an admin's.
#[must_use]
pub fn client_settings_seeds() -> Vec<Vec<u8>> {
    let shipped = include_str!("../../../deploy/fetch.example.toml");
    let admin = format!(
        "url = \"https://sign.example.org:8443\"\nca = \"ca.pem\"\ncertificate = \"admin.pem\"\n\
         key = \"/run/admin.key\"\nstore = \"{}\"\n",
        crate::papers::STORE
    );
    [
        shipped.to_owned(),
        shipped.replace("\n# ", "\n"),
        admin,
        "certificat = 'x'\n".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

const PASS: &str = "open sesame";
