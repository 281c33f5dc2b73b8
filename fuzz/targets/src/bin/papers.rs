//! Makes the papers in `seeds/papers` anew, in place: `papers fuzz/targets/seeds/papers`.
//!
//! They are kept and not made at each run, because ECDSA signs with a number that nobody can repeat
//! and a seed must be the same everywhere. The authorities' keys are thrown away: nobody can make
//! another paper, so a target may assert that no other is believed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fuzz_targets::papers::{ADMIN, MASTER, MASTER_KEY, NOW, SIGNING_KEY, STORE, master_key};
use minion::verify::Algorithm;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use signer::authorize::{Proof, Purpose, SignedStatement, Statement, Verb};
use signer::client::Credentials;
use signer::clock::Timestamp;
use signer::offline::RequestFile;
use signer::pki::{Authority, Existing, Issued, Profile, Scope, write_private, write_public};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: papers DIRECTORY")?;
    fs::create_dir_all(&folder)?;
    for name in [MASTER_KEY, SIGNING_KEY] {
        fs::write(
            folder.join(name),
            Rsa::generate(2048)?.private_key_to_pem()?,
        )?;
    }
    let made = tempfile::tempdir()?;
    let now: Timestamp = NOW.parse()?;
    let authority = |scope: Scope| -> Result<Authority, Box<dyn Error>> {
        let mut authority = Authority::create(scope, CENTURY, now)?;
        authority.save(&made.path().join(scope.to_string()), Existing::Keep)?;
        let name = format!("{scope}-ca.pem");
        write_public(&folder.join(name), authority.certificate_pem(), REPLACE)?;
        Ok(authority)
    };
    let [masters, operators, service] =
        [Scope::Masters, Scope::Operators, Scope::Service].map(authority);
    let (masters, operators, service) = (masters?, operators?, service?);

    let issue = |authority: &Authority, profile: Profile| authority.issue(&profile, VALID, now);
    let uri = |kind: &str, name: &str| format!("mastersign:{kind}:{name}").parse();
    let master = issue(&masters, Profile::Client(uri("master", MASTER)?))?;
    write(&folder, "master", &master)?;
    let server = issue(&service, Profile::Server(vec!["localhost".parse()?]))?;
    write(&folder, "server", &server)?;
    let admin = issue(&operators, Profile::Client(uri("admin", ADMIN)?))?;

    let lost = issue(&masters, Profile::Client(uri("master", "lost")?))?;
    write_public(&folder.join("lost.pem"), &lost.certificate_pem, REPLACE)?;
    let list = made.path().join(Scope::Masters.to_string());
    masters.revoke(&list, &[lost.entry.serial], now)?;
    fs::copy(list.join("ca.crl"), folder.join("masters.crl"))?;
    for name in ["index.jsonl", "revoked.jsonl"] {
        fs::copy(list.join(name), folder.join(name))?;
    }

    decide(&folder, &admin)?;
    request(&folder)
}

/// What the admin says about the master's key.
fn decide(folder: &Path, admin: &Issued) -> Result<(), Box<dyn Error>> {
    let key = PKey::private_key_from_pem(admin.key_pem.as_bytes())?;
    for (verb, generation) in [(Verb::Accept, 1), (Verb::Revoke, 2)] {
        let statement = Statement {
            verb,
            store: STORE.parse()?,
            master: MASTER.parse()?,
            key: Some(master_key().public.hash()),
            generation,
            time: NOW.parse()?,
        };
        let signed = SignedStatement::sign(&statement, &key, &admin.certificate_pem)?;
        let name = format!("{}.json", verb.name());
        fs::write(folder.join(name), serde_json::to_vec(&signed)?)?;
    }
    Ok(())
}

/// What the master asks for in a file.
fn request(folder: &Path) -> Result<(), Box<dyn Error>> {
    let path = |name: &str| folder.join(name);
    let papers = Credentials::read(
        &path("service-ca.pem"),
        &path("master.pem"),
        &path("master.key"),
    )?;
    let key = master_key();
    let proof = Proof {
        purpose: Purpose::Request,
        store: STORE.parse()?,
        client_key: papers.client_key(),
        key: key.public.hash(),
        master: MASTER.parse()?,
        time: NOW.parse()?,
    };
    let algorithm = Some(Algorithm::Sha224);
    let request = RequestFile::make(&proof, &key.public, algorithm, &key.private, &papers)?;
    Ok(fs::write(
        path("request.json"),
        serde_json::to_vec(&request)?,
    )?)
}

fn write(folder: &Path, name: &str, issued: &Issued) -> Result<(), signer::pki::Error> {
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    write_public(&folder.join(certificate), &issued.certificate_pem, REPLACE)?;
    write_private(&folder.join(key), &issued.key_pem, REPLACE)
}

const REPLACE: Existing = Existing::Replace;
/// A seed does not grow old.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
const VALID: Duration = Duration::from_secs(99 * 365 * 86_400);
