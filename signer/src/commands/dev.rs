//! `mastersign dev`: everything on a throw-away token, with one command and without root.
//!
//! It takes no short cut. The token is made by `mastersign hsm init`, the service is the one that
//! `serve` runs, and the first signature goes over mTLS with a proof and an operator's statement,
//! so what works here works the same way in production. Only the place is special: one folder that
//! holds every key, of the operators' authority too.

mod folder;
mod setup;
mod visit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio::sync::oneshot;

use self::folder::Folder;
use self::setup::Files;
use crate::config::{Config, Log, LogFormat};
use crate::server::{Options, Server};
use crate::{memory, telemetry, terminal};

/// The arguments of `mastersign dev`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder for everything; it must be empty and is kept [default: a fresh one, removed at
    /// the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Sign this master.pub instead of a sample; its private key beside it (FILE with .pem) makes
    /// the proof
    #[arg(long, value_name = "FILE")]
    master_pub: Option<PathBuf>,
    /// End after the verified signature instead of waiting for Ctrl-C
    #[arg(long)]
    exit: bool,
}

/// Runs `mastersign dev`.
///
/// # Errors
///
/// Fails without SoftHSM2, or if any step of the way to a verified signature does.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        dir,
        master_pub,
        exit,
    } = arguments;
    telemetry::log(
        &Log {
            format: LogFormat::Text,
            filter: "warn".to_owned(),
        },
        None,
    )?;
    memory::harden().context("cannot keep this process out of core dumps")?;
    let folder = Folder::open(dir)?;
    let files = Files::new(folder.path());
    files.make(master_pub.as_deref())?;
    let config = Config::load(&files.config)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(&config, &files, exit))?;
    if let Some(kept) = folder.close()? {
        terminal::note(format_args!(
            "Kept {}; `mastersign serve --config {}` goes on from here.",
            kept.display(),
            kept.join(setup::CONFIG).display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the service, pays the first visit, and ends on a signal, a failed visit, or as soon as it
/// was paid.
async fn serve(config: &Config, files: &Files, exit: bool) -> anyhow::Result<()> {
    let executable = std::env::current_exe().context("cannot tell which program this is")?;
    let server = Server::start(
        config,
        Options {
            executable,
            metrics: Some(telemetry::metrics()?),
            force_login: false,
            confinement: None,
        },
    )
    .await?;
    let url = format!("https://{}", server.addresses().api);
    let ops = server.addresses().ops;
    let pool = server.pool().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = tokio::spawn(server.run(async {
        // The sender is dropped with the visit, which ends the service as well.
        let _ = stopped.await;
    }));
    let visited = async {
        visit::first_signature(&pool, files, &url).await?;
        tell(files, &url, ops, exit)?;
        if !exit {
            interrupted().await?;
        }
        anyhow::Ok(())
    };
    let outcome = visited.await;
    drop(stop);
    service.await.context("the service ended by a panic")?;
    outcome
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done.context("cannot wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

fn tell(files: &Files, url: &str, ops: std::net::SocketAddr, exit: bool) -> anyhow::Result<()> {
    let shown = |path: &Path| path.display().to_string();
    let [ca, admin, admin_key] =
        [&files.ca, &files.admin, &files.admin_key].map(|path| shown(path));
    let [public, signing, signature] =
        [&files.master_pub, &files.master_sign_pub, &files.signature].map(|path| shown(path));
    let program =
        std::env::current_exe().map_or_else(|_| "mastersign".to_owned(), |path| shown(&path));
    terminal::say(format_args!(
        "\nSigned and verified: {signature}\n\n  folder   {}\n  service  {url}\n  health   http://{ops}/readyz",
        files.folder.display()
    ))?;
    if exit {
        return Ok(());
    }
    terminal::say(format_args!(
        "\nTry:\n\n\
         # which masters there are, as an operator\n\
         {program} masters list --url {url} --ca {ca} --certificate {admin} --private-key {admin_key}\n\n\
         # the signature, checked without any of our code\n\
         printf %s \"$(cat {public})\" | openssl dgst -sha1 -verify {signing} -signature <(base64 -d {signature})\n\n\
         # the signing key, from the service\n\
         curl --cacert {ca} --cert {admin} --key {admin_key} {url}/v1/signing-keys\n\n\
         Everything in the folder is for trying only: the operators' authority lies there too. Ctrl-C ends."
    ))?;
    Ok(())
}
