//! The files of a minion's own host: its keys, whom it trusts, what it remembers, what it says.
#![expect(
    clippy::disallowed_types,
    reason = "the honest files are constants, and a target has no argument but its input"
)]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU16;
use std::sync::LazyLock;
use std::time::Duration;

use minion::agent::{MasterState, Status};
use minion::config::{Master, MasterName};
use minion::grains::distribution;
use minion::log::{DateFormat, Format};
use minion::pki::Store;
use minion::verify::{KeyHash, PublicKey};
use minion::wire::msgpack::{self, Value};
use minion::wire::private_key::PrivateKey;

use crate::capture::JOB;
use crate::papers::{Desk, master_key, signing_key};

/// Whatever one of the files in `pki_dir` holds: the minion trusts what it says, all of it, or
/// trusts nobody and names the file.
///
/// The first byte chooses the file.
pub fn minion_pki(input: &[u8]) {
    let Some((&which, content)) = input.split_first() else {
        return;
    };
    let which = usize::from(which).checked_rem(FILES).expect("some");
    let desk = Desk::new();
    let folder = desk.path("pki");
    for name in ["", "master_sign.d", "masters"] {
        fs::create_dir(folder.join(name)).expect("a directory");
    }
    for (index, (name, original)) in files().iter().enumerate() {
        let content = if index == which {
            content
        } else {
            original.as_slice()
        };
        desk.put(&format!("pki/{name}"), content);
    }
    let store = Store::open(&folder, "master_sign").expect("nobody else can write there");
    let text = String::from_utf8_lossy(content);
    match which {
        0 | 1 => believes(&store, &text, which == 1),
        2 => match store.revoked() {
            Ok(revoked) => assert_eq!(revoked, hashes(&text).expect("it was read")),
            Err(error) => {
                assert_eq!(hashes(&text), None, "{error}");
                assert!(error.to_string().contains("revoked_masters"), "{error}");
            }
        },
        3 | 4 => match store.pinned(&master()) {
            Ok(Some(pinned)) => assert_eq!(pinned.hash(), master_key().public.hash()),
            Ok(None) => panic!("there is one"),
            Err(error) => assert!(error.to_string().contains("/masters/"), "{error}"),
        },
        _ => remembers(&store),
    }
}

fn believes(store: &Store, text: &str, has_validity: bool) {
    let keys = match store.signing_keys() {
        Ok(keys) => keys,
        Err(error) => return assert!(error.to_string().contains("master_sign"), "{error}"),
    };
    assert_eq!(keys.len(), 2, "none is passed over");
    let more = keys.last().expect("two");
    if has_validity {
        let says = |label: &str| text.lines().any(|line| line.starts_with(label));
        assert_eq!(more.not_before.is_some(), says("# not-before:"));
        assert_eq!(more.not_after.is_some(), says("# not-after:"));
    }
    // It counts from its beginning on, and at its end no more.
    let instant = Duration::from_nanos(1);
    if let (Some(begin), None) = (more.not_before, more.not_after) {
        assert!(more.is_current(begin));
        assert!(
            begin
                .checked_sub(instant)
                .is_none_or(|before| !more.is_current(before))
        );
    }
    if let (None, Some(end)) = (more.not_before, more.not_after) {
        assert!(!more.is_current(end));
        assert!(
            end.checked_sub(instant)
                .is_none_or(|before| more.is_current(before))
        );
    }
    for key in &keys {
        assert!(PublicKey::parse(key.key.canonical().as_bytes()).is_ok());
    }
}

fn remembers(store: &Store) {
    let (key, aes) = (&master_key().public, JOB.aes().id());
    match store.serial(key, aes) {
        Ok(Some(u64::MAX)) => {}
        Ok(before) => {
            let next = before.unwrap_or(0).saturating_add(1);
            store
                .keep_serial(key, aes, next)
                .expect("it can be written");
            assert_eq!(store.serial(key, aes).expect("it was written"), Some(next));
            store.keep_serial(key, aes, 0).expect("nothing is written");
            assert_eq!(store.serial(key, aes).expect("as before"), Some(next));
        }
        Err(error) => assert!(error.to_string().contains(".serials"), "{error}"),
    }
}

/// Each file as it should be, and the operator's with everything that may be in it.
#[must_use]
pub fn minion_pki_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0_u8..)
        .zip(files())
        .map(|(which, (_, content))| [&[which], content.as_slice()].concat())
        .collect();
    let key = signing_key().public.to_file();
    let valid = format!(
        "\u{1}# not-before: 2026-01-01T00:00:00Z\n\n# not-after: 2030-12-31T23:59:59+01:00\n{key}"
    );
    seeds.push(valid.into_bytes());
    seeds.push(format!("\u{2}# lost in May\n\n  {}  \r\n", "0b".repeat(32)).into_bytes());
    seeds
}

fn files() -> &'static [(String, Vec<u8>); FILES] {
    static ALL: LazyLock<[(String, Vec<u8>); FILES]> = LazyLock::new(honest);
    &ALL
}

fn honest() -> [(String, Vec<u8>); FILES] {
    let (sign, master) = (&signing_key().public, &master_key().public);
    let (hash, aes) = (master.hash(), JOB.aes().id());
    let more = format!("# not-before: 2026-01-01T00:00:00Z\n{}", sign.to_file());
    [
        ("master_sign.pub".to_owned(), sign.to_file().into_bytes()),
        ("master_sign.d/next.pub".to_owned(), more.into_bytes()),
        (
            "revoked_masters".to_owned(),
            format!("{}\n", "0a".repeat(32)).into_bytes(),
        ),
        (
            "masters/salt:4506.endpoint".to_owned(),
            format!("{hash}\n").into_bytes(),
        ),
        (format!("masters/{hash}.pub"), master.to_file().into_bytes()),
        (
            format!("masters/{hash}.serials"),
            format!("{aes} 41\n").into_bytes(),
        ),
    ]
}

const FILES: usize = 6;

/// The list as another reader understands it.
fn hashes(text: &str) -> Option<BTreeSet<KeyHash>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_hash = |line: &str| {
        line.len() == 64
            && line
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let hashes = lines.map(|line| {
        let bytes = is_hash(line).then(|| hex::decode(line).expect("64 digits"))?;
        Some(KeyHash::new(bytes.try_into().expect("32 bytes")))
    });
    hashes.collect()
}

fn master() -> MasterName {
    let port = NonZeroU16::new(4506).expect("not zero");
    Master {
        name: "salt".to_owned(),
        host: "salt".to_owned(),
        port,
    }
    .endpoint()
}

/// A minion's key that is read has a public half that masters take, and a token of its size.
pub fn minion_key(input: &[u8]) {
    // A longer key would cost a master as much as us; the file is refused before it is read.
    let short = input.get(..input.len().min(8 * 1024)).unwrap_or_default();
    match PrivateKey::from_pem(short) {
        Ok(key) => {
            let public = key.public();
            assert!(public.is_acceptable());
            assert_eq!(
                PublicKey::parse(public.canonical().as_bytes()).as_ref(),
                Ok(public)
            );
            assert_eq!(key.token().len(), public.modulus().len());
            assert_eq!(key.decryptions(), 0);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The recorded minion's, in both forms, encrypted, and keys that are none.
#[must_use]
pub fn minion_key_seeds() -> Vec<Vec<u8>> {
    let key = &master_key().private;
    let rsa = key.rsa().expect("an RSA key");
    vec![
        rsa.private_key_to_pem().expect("OpenSSL writes it"),
        key.private_key_to_pem_pkcs8().expect("OpenSSL writes it"),
        include_bytes!("../seeds/encrypted-pkcs1.pem").to_vec(),
        include_bytes!("../seeds/weak.pem").to_vec(),
        rsa.public_key_to_pem().expect("OpenSSL writes it"),
        crate::papers::paper("server.key"),
    ]
}

/// The state file is what the running minion wrote, or none.
pub fn state_file(input: &[u8]) {
    let Ok(status) = serde_json::from_slice::<Status>(input) else {
        return;
    };
    let again = serde_json::to_vec(&status).expect("it was read");
    assert_eq!(
        serde_json::from_slice::<Status>(&again).ok().as_ref(),
        Some(&status)
    );
    assert!(
        status
            .current()
            .all(|master| master.state == MasterState::Connected)
    );
}

/// What two minions do.
#[must_use]
pub fn state_file_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"id":"m1","pid":7,"updated":1000,"masters":[{"name":"a","state":"failed","since":940,"last_outcome":"no answer\n","address":null,"key":null},{"name":"beta","state":"connected","since":0,"last_outcome":"accepted","address":"10.0.0.2:4506","key":"ab"}]}"#,
        r#"{"id":"m2","pid":null,"updated":-1,"masters":[{"name":"[::1]:4506","state":"pending","since":1,"last_outcome":null,"address":"[::1]:4506","key":null}]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// A format of lines or dates is kept as it is written, and what Salt's own defaults are is one.
pub fn log_format(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(format) = Format::parse(text) {
        assert_eq!(format.to_string(), text);
        // Each `%` belongs to a pair or a name, so what is put behind it is a format as well.
        let longer = format!("{text}%(message)s");
        assert!(Format::parse(&longer).is_ok(), "{longer}");
    }
    if let Ok(format) = text.parse::<DateFormat>() {
        assert_eq!(format.to_string(), text);
    }
}

/// Salt's, and every conversion.
#[must_use]
pub fn log_format_seeds() -> Vec<Vec<u8>> {
    let formats = [Format::console().to_string(), Format::logfile().to_string()];
    let dates = [
        DateFormat::console().to_string(),
        DateFormat::logfile().to_string(),
    ];
    let more = [
        "%(msecs)03d %(created).3f %% %(levelname)-8.2s",
        "%a %d %b %j %z %% %Q",
    ];
    let all = formats
        .into_iter()
        .chain(dates)
        .chain(more.map(str::to_owned));
    all.map(String::into_bytes).collect()
}

/// Whatever `os-release` says, every grain is there once, and all of them travel.
pub fn os_release(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Value::Map(grains) = distribution(&text, "x86_64") else {
        panic!("grains are a map");
    };
    let names: BTreeSet<&str> = grains
        .iter()
        .map(|(name, _)| name.as_text().expect("a name"))
        .collect();
    assert_eq!(names.len(), grains.len(), "{names:?}");
    for name in ["os", "os_family", "osarch", "osfullname"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let sent = msgpack::encode(&Value::Map(grains.clone())).expect("they fit");
    assert_eq!(msgpack::decode(&sent).ok(), Some(Value::Map(grains)));
}

/// Distributions that Salt tells apart, every quotation, and lines that are none.
#[must_use]
pub fn os_release_seeds() -> Vec<Vec<u8>> {
    [
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
         VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
        "NAME='Ubuntu'\nVERSION_ID=24.04\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n",
        "NAME=\"Rocky Linux\"\nVERSION=\"9.4 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n\
         VERSION_ID=\"9.4\"\n",
        "NAME=openSUSE\nID=opensuse-leap\nID_LIKE=\"suse opensuse\"\nVERSION_ID=15.6\n\
         CPE_NAME=\"cpe:/o:opensuse:leap:15.6\"\n",
        "# a remark\n\nNAME=\"a \\\"quoted\\\" \\$name\\\\\"\nID=\nVERSION_ID=1.x.3\nno line\n=\n",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
