//! `mastersign sign`: the signing service for one request, without a network.
//!
//! The same store, the same policy, the same permit, the same worker and the same audit record: what
//! differs is that request and answer are files, and that it ends when the answer is written. The
//! database has one writer, so it refuses to run beside `serve`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use minion::verify::{Fingerprint, KeyHash};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::audit::sink::Follower;
use crate::authorize::{MasterId, SignedStatement, Statement, Verb};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigArgument};
use crate::hsm::{Pool, State};
use crate::offline::{Checked, Claim, ClaimError, RequestFile};
use crate::server;
use crate::signing::{Answer, Examiner, Parts, Ready, Service};
use crate::store::{Sqlite, Store};
use crate::tls::ClientVerifier;
use crate::{memory, terminal, tls};

/// The arguments of `mastersign sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    /// The file that `mastersign request` wrote
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    #[command(flatten)]
    config: ConfigArgument,
    /// Where the answer is written; the file must not exist [default: REQUEST.answer]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Accept the request's key, which must have this SHA-256: compare it with the master's console
    /// first
    #[arg(
        long,
        value_name = "SHA256",
        requires = "admin_certificate",
        requires = "admin_key"
    )]
    accept: Option<KeyHash>,
    /// With --accept: the admin's certificate, PEM
    #[arg(long, value_name = "FILE")]
    admin_certificate: Option<PathBuf>,
    /// With --accept: the admin's private key, PEM
    #[arg(long, value_name = "FILE")]
    admin_key: Option<PathBuf>,
    /// How old a request may be
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = humantime::parse_duration)]
    max_age: Duration,
}

/// Runs `mastersign sign`.
///
/// # Errors
///
/// Whatever kept the key from being signed, except that nobody accepted it yet.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    memory::harden().context("cannot keep this process out of core dumps")?;
    let config = arguments.config.load()?;
    let text = fs::read_to_string(&arguments.request)
        .with_context(|| format!("failed to read {}", arguments.request.display()))?;
    let request: RequestFile = serde_json::from_str(&text)
        .with_context(|| format!("{} is no request", arguments.request.display()))?;
    let out = arguments.out.clone().unwrap_or_else(|| {
        let mut name = arguments.request.clone().into_os_string();
        name.push(".answer");
        PathBuf::from(name)
    });
    ensure!(
        !fs::exists(&out).unwrap_or(true),
        "{} exists already; name another file with --out",
        out.display()
    );
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(sign(arguments, &config, &request, &out))
}

async fn sign(
    arguments: &Arguments,
    config: &Config,
    request: &RequestFile,
    out: &Path,
) -> anyhow::Result<ExitCode> {
    let checked = server::check(config, &SystemClock)?;
    server::make_directory(&config.state_dir)?;
    let backend = Sqlite::open(&config.store.path)
        .context("cannot open the database; a signer without a network does not run `serve`")?;
    let store = Store::open(
        Arc::new(backend),
        Arc::clone(&checked.operators),
        Arc::new(SystemClock),
        config.store.id,
    )
    .await?;
    let clients = checked.tls.verifier();
    let claim = request.claim(store.uuid(), clients, SystemClock.now())?;
    let heads = server::tell_heads(config, &store);
    let asked = match claim.prove(SystemClock.now(), arguments.max_age) {
        Ok(asked) => asked,
        Err(refused) => {
            let noted = refuse(&store, &request.master, &claim, &refused).await;
            close(&store, heads).await?;
            noted.context("the refused proof is not in the audit log")?;
            return Err(refused.into());
        }
    };
    let executable = std::env::current_exe().context("cannot tell which program this is")?;
    let (pool, _) = server::start_pool(config, &executable, false, &store)?;
    let service = Service::new(Parts {
        store: store.clone(),
        signer: Arc::new(pool.clone()),
        operators: Arc::clone(&checked.operators),
        clock: Arc::new(SystemClock),
        examiner: Examiner::start().context("cannot start a thread")?,
        signing: config.signing.clone(),
    });
    let ended = work(arguments, request, &asked, clients, &service, &pool).await;
    service.close().await;
    pool.shutdown().await;
    close(&store, heads).await?;
    match ended? {
        Some(ready) => {
            write(out, &ready)?;
            terminal::say(format_args!("wrote {}", out.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            pending(request, &asked)?;
            Ok(ExitCode::from(PENDING))
        }
    }
}

/// Puts a refused proof on record, as the service does. Each one: a person runs this for each file.
async fn refuse(
    store: &Store,
    master: &MasterId,
    claim: &Claim<'_>,
    refused: &ClaimError,
) -> Result<(), crate::store::Error> {
    let actor = claim.actor(refused, nix::unistd::getuid().as_raw());
    let hash = claim.key().hash();
    let refusal = store.refuse_proof(actor, master, hash, refused.reason(), 0);
    refusal.await
}

async fn close(store: &Store, heads: Follower) -> anyhow::Result<()> {
    store.close().await;
    if let Some(problem) = heads.finish().await {
        terminal::note(problem)?;
    }
    Ok(())
}

async fn work(
    arguments: &Arguments,
    request: &RequestFile,
    asked: &Checked,
    clients: &ClientVerifier,
    service: &Service,
    pool: &Pool,
) -> anyhow::Result<Option<Arc<Ready>>> {
    // The key is shown first, so that it is on record whatever is decided about it.
    match service.put_file(asked).await {
        Ok(Answer::Pending(_)) if arguments.accept.is_some() => {}
        Ok(Answer::Pending(_)) => return Ok(None),
        Ok(Answer::Signed { ready, .. }) => return Ok(Some(ready)),
        Err(error) if arguments.accept.is_none() && !needs_hsm(&error) => return Err(error.into()),
        Err(_) => {}
    }
    if let Some(hash) = arguments.accept {
        accept(arguments, &request.master, hash, asked, clients, service).await?;
    }
    ready(pool, service.store()).await?;
    match service.put_file(asked).await? {
        Answer::Pending(_) => Ok(None),
        Answer::Signed { ready, .. } => Ok(Some(ready)),
    }
}

/// Whether the only thing that was missing is an HSM, which had no time to start yet.
const fn needs_hsm(error: &crate::signing::Error) -> bool {
    matches!(
        error,
        crate::signing::Error::NoSigningKey | crate::signing::Error::Flight(_)
    )
}

/// Waits for an HSM, and for its key to be the store's.
async fn ready(pool: &Pool, store: &Store) -> anyhow::Result<()> {
    let settled = |state: State| !matches!(state, State::Starting);
    let status = pool
        .until(|hsms| {
            hsms.iter().any(|hsm| hsm.state == State::Ready)
                || hsms.iter().all(|hsm| settled(hsm.state))
        })
        .await;
    if !status.iter().any(|hsm| hsm.state == State::Ready) {
        let why: Vec<String> = status
            .iter()
            .map(|hsm| format!("{}: {}", hsm.name, hsm.detail))
            .collect();
        bail!("no HSM is ready: {}", why.join("; "));
    }
    let key = pool.ready().await;
    store.add_signing_key(&key).await?;
    Ok(())
}

/// The operator's statement, made and checked here as everywhere.
async fn accept(
    arguments: &Arguments,
    master: &MasterId,
    hash: KeyHash,
    asked: &Checked,
    operators: &ClientVerifier,
    service: &Service,
) -> anyhow::Result<()> {
    ensure!(
        hash == asked.key().hash(),
        "the request is for the key {}, and {hash} was to be accepted; nothing was signed",
        asked.key().hash()
    );
    let read = |path: &Option<PathBuf>| {
        let path = path
            .as_ref()
            .context("--admin-certificate and --admin-key are needed")?;
        fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
    };
    let certificate = read(&arguments.admin_certificate)?;
    let key = zeroize::Zeroizing::new(read(&arguments.admin_key)?);
    // Without a callback OpenSSL would ask whoever sits at the terminal for a pass phrase.
    let key = openssl::pkey::PKey::private_key_from_pem_callback(key.as_bytes(), |_| Ok(0))
        .context("failed to read the admin's private key")?;
    let generation = service
        .store()
        .state()
        .master(master)
        .map_or(0, |master| master.generation);
    let statement = Statement {
        verb: Verb::Accept,
        store: service.store().uuid(),
        master: master.clone(),
        key: Some(hash),
        generation: generation.saturating_add(1),
        time: SystemClock.now(),
    };
    let signed = SignedStatement::sign(&statement, &key, &certificate)?;
    // A statement holds for ever, so the checks of statements know no revocation lists: whoever
    // hands one in over a connection was judged by them in the handshake.
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<_, _>>()
        .context("the admin's certificate is not PEM")?;
    operators
        .admit(&chain, SystemClock.now())
        .context("the admin's certificate is refused; nothing was accepted")?;
    service.decide_here(&signed).await?;
    Ok(())
}

fn write(out: &Path, ready: &Ready) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_slice(&ready.document())?;
    let text = serde_json::to_string_pretty(&answer)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(out)
        .with_context(|| format!("failed to create {}", out.display()))?;
    std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("failed to write {}", out.display()))
}

fn pending(request: &RequestFile, asked: &Checked) -> anyhow::Result<()> {
    let key = asked.key();
    terminal::say(json!({
        "result": "pending",
        "master": request.master,
        "public_key_sha256": key.hash().to_string(),
        "fingerprints": {
            "salt": Fingerprint::salt(key).to_string(),
            "file": Fingerprint::file(key).to_string(),
            "spki": Fingerprint::spki(key).ok().map(|print| print.to_string()),
        },
    }))?;
    terminal::note(format_args!(
        "nobody accepted this key yet. Compare it with the master's console, then: --accept {}",
        key.hash()
    ))?;
    Ok(())
}

const PENDING: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes:
  0   signed; the answer is written
  1   refused or failed; the message says why
  3   pending: an operator has to accept the key first";
