//! Certificates, revocation lists, and what is signed by their keys: nothing that the authorities
//! did not make is believed, whatever it looks like.
#![expect(
    clippy::disallowed_types,
    reason = "the authorities are constants, and a target has no argument but its input"
)]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use signer::authorize::{OperatorsCa, SignedStatement};
use signer::clock::{Clock, Timestamp};
use signer::config;
use signer::offline::RequestFile;
use signer::pki::check::Report;
use signer::pki::{Authority, Existing, Scope};
use signer::tls::ServerTls;
use uuid::Uuid;

use crate::papers::{Desk, Noon, STORE, master_key, paper};

/// What is said about any file of certificates is fit for a terminal and has as many certificates
/// as the file; only what our authority made is found good under it.
pub fn certificates(input: &[u8]) {
    let now = Noon.now();
    let found = CertificateDer::pem_slice_iter(input)
        .filter(Result::is_ok)
        .count();
    let plain = Report::of_pem(input, None, now);
    assert!(plain.certificates.len() <= found);
    let told = serde_json::to_string(&plain).expect("it is text");
    assert!(!told.contains("\\u001b"), "{told}");
    if found == 0 {
        assert!(!plain.is_good(), "there is nothing to be good");
    } else {
        let mut report = Report::of_pem(input, Some(&paper("masters-ca.pem")), now);
        if report.is_good() {
            let leaf = report.certificates.first().expect("it is good");
            assert!(leaf.is_authority || leaf.sha256 == sha256_of(&paper("master.pem")));
        }
        report.check_key(input, &paper("master.key"));
    }
    if let Ok(authority) = OperatorsCa::from_pem(input) {
        // Whoever it is, it did not certify our admin unless it is ours.
        let signed = decision("accept.json");
        let is_ours = first(input) == first(&paper("operators-ca.pem"));
        assert!(!is_ours || authority.check(&signed).is_ok());
    }
}

/// Ours, alone and together.
#[must_use]
pub fn certificates_seeds() -> Vec<Vec<u8>> {
    let names = [
        "master.pem",
        "server.pem",
        "masters-ca.pem",
        "operators-ca.pem",
        "master.key",
    ];
    let mut seeds: Vec<Vec<u8>> = names.iter().map(|name| paper(name)).collect();
    seeds.push([paper("master.pem"), paper("masters-ca.pem")].concat());
    seeds
}

/// Whatever stands in the place of one of the service's files: it starts with it or says which file
/// is wrong, and no client gets in that the authorities did not vouch for or took back.
///
/// The first byte chooses the file.
pub fn service_papers(input: &[u8]) {
    let Some((&which, content)) = input.split_first() else {
        return;
    };
    let desk = Desk::new();
    let which = usize::from(which).checked_rem(FILES.len()).expect("some");
    let path = |index: usize| {
        let (name, original) = FILES.get(index).expect("one of them");
        if index == which {
            desk.put(name, content)
        } else {
            desk.put(name, &paper(original))
        }
    };
    let files = config::Tls {
        certificate: path(0),
        key: path(1),
        masters_ca: path(2),
        operators_ca: path(3),
        masters_crl: Some(path(4)),
        operators_crl: (which == 5).then(|| path(5)),
    };
    match ServerTls::load(&files, Noon.now()) {
        Ok(tls) => {
            assert!(!lets_in(&tls, &paper("lost.pem")), "it was taken back");
            if which != 2 && which != 4 {
                assert!(
                    lets_in(&tls, &paper("master.pem")),
                    "nothing was changed for masters"
                );
            }
        }
        Err(error) => {
            let mut told = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                told.push_str(&error.to_string());
                source = error.source();
            }
            assert!(!told.is_empty());
        }
    }
}

/// Each file as it should be.
#[must_use]
pub fn service_papers_seeds() -> Vec<Vec<u8>> {
    let files = (0_u8..).zip(FILES);
    files
        .map(|(which, (_, original))| [&[which], paper(original).as_slice()].concat())
        .collect()
}

/// The names below the desk, and what is there if nothing is changed.
const FILES: [(&str, &str); 6] = [
    ("server.pem", "server.pem"),
    ("server.key", "server.key"),
    ("masters-ca.pem", "masters-ca.pem"),
    ("operators-ca.pem", "operators-ca.pem"),
    ("masters.crl", "masters.crl"),
    ("operators.crl", "masters.crl"),
];

/// No client certificate is let in but the one that was issued and not taken back.
pub fn client_chain(input: &[u8]) {
    if lets_in(&SERVER, input) {
        assert_eq!(
            first(input),
            first(&paper("master.pem")),
            "nobody issued it"
        );
    }
}

/// The three that are vouched for, with and without their authority.
#[must_use]
pub fn client_chain_seeds() -> Vec<Vec<u8>> {
    let [master, lost, server] = ["master.pem", "lost.pem", "server.pem"].map(paper);
    let chain = [master.clone(), paper("masters-ca.pem")].concat();
    vec![master, lost, server, chain]
}

/// Nobody's decision counts but an admin's, word for word.
pub fn operator_decision(input: &[u8]) {
    let Ok(signed) = serde_json::from_slice::<SignedStatement>(input) else {
        return;
    };
    let operators = OperatorsCa::from_pem(&paper("operators-ca.pem")).expect("an authority");
    if let Ok(checked) = operators.check(&signed) {
        let originals = ["accept.json", "revoke.json"].map(decision);
        assert!(
            originals
                .iter()
                .any(|known| known.statement == signed.statement),
            "nobody signed {:?}",
            signed.statement
        );
        assert_eq!(checked.statement().to_string(), signed.statement);
    }
    let kept = operators.check_acceptance(&signed, store(), master_key().public.hash());
    assert!(kept.is_err() || signed.statement == decision("accept.json").statement);
}

/// Both decisions.
#[must_use]
pub fn operator_decision_seeds() -> Vec<Vec<u8>> {
    ["accept.json", "revoke.json"].map(paper).into()
}

/// A request that came as a file is believed only if both keys signed what it asks for.
pub fn request_claim(input: &[u8]) {
    let Ok(file) = serde_json::from_slice::<RequestFile>(input) else {
        return;
    };
    let now = Noon.now();
    let claim = match file.claim(store(), SERVER.verifier(), now) {
        Ok(claim) => claim,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let honest: RequestFile = serde_json::from_slice(&paper("request.json")).expect("a request");
    if let Ok(asked) = claim.prove(now, Duration::from_secs(7 * 86_400)) {
        assert_eq!(asked.key().hash(), master_key().public.hash());
        assert_eq!((&file.master, file.time), (&honest.master, honest.time));
        assert_eq!(file.store, honest.store);
        // PKCS#1 v1.5 has one signature for a text; the other key's has as many as one likes to
        // make, and nobody has the key.
        let decode = |text: &str| STANDARD.decode(text).expect("it was judged");
        assert_eq!(decode(&file.proof), decode(&honest.proof));
        assert_eq!(decode(&file.client_proof), decode(&honest.client_proof));
    }
}

/// The honest one.
#[must_use]
pub fn request_claim_seeds() -> Vec<Vec<u8>> {
    vec![paper("request.json")]
}

/// An authority's own lists are read whole or the line is named, and the list that is signed over
/// them can be read by the service.
pub fn authority_lists(input: &[u8]) {
    let desk = Desk::new();
    desk.put("index.jsonl", input);
    desk.put("revoked.jsonl", input);
    let folder = desk.path("");
    let lines = std::str::from_utf8(input).map_or(0, |text| text.lines().count());
    match Authority::list(&folder) {
        Ok(entries) => assert_eq!(entries.len(), lines),
        Err(error) => assert!(error.to_string().contains("index.jsonl"), "{error}"),
    }
    match Authority::revoked(&folder) {
        Ok(revoked) => {
            assert_eq!(revoked.len(), lines);
            let written = AUTHORITY.write_revocations(&folder, Noon.now());
            let can_be_written = revoked.iter().all(|entry| is_serial(&entry.serial));
            match written {
                Ok(()) => is_readable(&folder),
                Err(error) => assert!(!can_be_written, "{error}"),
            }
        }
        Err(error) => assert!(error.to_string().contains("revoked.jsonl"), "{error}"),
    }
}

/// What `mastersign pki` wrote.
#[must_use]
pub fn authority_lists_seeds() -> Vec<Vec<u8>> {
    let revoked = paper("revoked.jsonl");
    let twice = [revoked.clone(), revoked.clone()].concat();
    vec![paper("index.jsonl"), revoked, twice, Vec::new()]
}

/// RFC 5280, section 4.1.2.2: at most twenty bytes, and not nothing.
fn is_serial(text: &str) -> bool {
    hex::decode(text).is_ok_and(|bytes| (1..=20).contains(&bytes.len()))
}

fn is_readable(folder: &Path) {
    let list = std::fs::read(folder.join("ca.crl")).expect("it was written");
    openssl::x509::X509Crl::from_pem(&list).expect("another library reads it");
}

fn lets_in(tls: &ServerTls, pem: &[u8]) -> bool {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let Ok(chain) = chain else { return false };
    let Some((leaf, rest)) = chain.split_first() else {
        return false;
    };
    let seconds = u64::try_from(Noon.now().unix()).expect("after 1970");
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    tls.verifier().verify_client_cert(leaf, rest, at).is_ok()
}

pub(crate) fn first(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).next()?.ok()
}

fn sha256_of(pem: &[u8]) -> String {
    let der = first(pem).expect("a certificate");
    hex::encode(openssl::sha::sha256(&der))
}

fn decision(name: &str) -> SignedStatement {
    serde_json::from_slice(&paper(name)).expect("a statement")
}

fn store() -> Uuid {
    STORE.parse().expect("a UUID")
}

/// The service with all of its papers in order.
static SERVER: LazyLock<ServerTls> = LazyLock::new(|| {
    let desk = Desk::new();
    let [certificate, key, masters_ca, operators_ca, crl, _] =
        FILES.map(|(name, original)| desk.put(name, &paper(original)));
    let files = config::Tls {
        certificate,
        key,
        masters_ca,
        operators_ca,
        masters_crl: Some(crl),
        operators_crl: None,
    };
    ServerTls::load(&files, Noon.now()).expect("they are in order")
});

/// An authority whose lists are tried; it lasts as long as the process.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let now: Timestamp = Noon.now();
    let mut authority =
        Authority::create(Scope::Masters, Duration::from_secs(86_400), now).expect("an authority");
    let desk = Desk::new();
    authority
        .save(&desk.path("ca"), Existing::Keep)
        .expect("a directory");
    authority
});
