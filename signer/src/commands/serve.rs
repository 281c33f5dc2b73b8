//! `mastersign serve`: the signing service until it is told to stop.
//!
//! The first SIGTERM or SIGINT lets it finish what is in flight, the second one ends it at once.
//! Ending at any moment is safe, since an answer leaves only after its transaction is on the disk;
//! it is only less polite.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::{Config, ConfigArgument};
use crate::confinement::{self, Confinement};
use crate::server::{self, Options, Server};
use crate::{memory, telemetry, terminal};

/// The arguments of `mastersign serve`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// Which log lines are written, like "info,signer=debug"; replaces `log.filter`
    #[arg(long = "log", env = "MASTERSIGN_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// Log in even if a token says that a wrong PIN was presented lately; one more wrong PIN may
    /// lock the token
    #[arg(long)]
    force_login: bool,

    /// Read the configuration and every file it names, say whether it can be used, and end
    #[arg(long)]
    check: bool,
}

/// Runs `mastersign serve`.
///
/// # Errors
///
/// Fails if the configuration cannot be used, or if the state or a socket cannot be opened.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments over"
)]
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load()?;
    if arguments.check {
        judge_loader(variables(), &config)?;
        return check(&config);
    }
    telemetry::log(&config.log, arguments.log.as_deref())?;
    memory::harden().context("cannot keep this process out of core dumps")?;
    refuse_root(&config)?;
    judge_loader(variables(), &config)?;
    let metrics = telemetry::metrics()?;
    server::make_directory(&config.state_dir)?;
    // Before the runtime has threads, which would stay outside.
    let confinement = confinement::confine(&config).context("cannot confine this process")?;
    judge(confinement, &config)?;
    let options = Options {
        executable: std::env::current_exe().context("cannot tell which program this is")?,
        metrics: Some(metrics),
        force_login: arguments.force_login,
        confinement: Some(confinement),
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(&config, options))
}

/// Whoever takes the service gets what its user may do, and the service needs nothing of root's.
fn refuse_root(config: &Config) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    ensure!(
        config.hardening.allow_root,
        "this runs as root and need not: start it as a user of its own, as deploy/mastersign.service \
         does; where there is no other user, as in a container, say allow_root = true under \
         [hardening] in {}",
        config.path.display()
    );
    tracing::warn!(
        "this runs as root, as hardening.allow_root says; whoever takes it has the machine"
    );
    Ok(())
}

/// Whoever sets these for the service puts code into it. What was loaded has run by now, so this is
/// for what is there by accident.
fn judge_loader(variables: impl Iterator<Item = OsString>, config: &Config) -> anyhow::Result<()> {
    let loader = variables.filter(|name| LOADER.iter().any(|loader| *loader == name.as_os_str()));
    let names: Vec<_> = loader
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(", ");
    ensure!(
        !config.hardening.required,
        "the environment has {names}, which put other code into this process, and \
         hardening.required forbids that; what a vendor's module needs belongs under \
         [hsm.environment], where only its worker gets it"
    );
    tracing::warn!(
        "the environment has {names}, which put other code into this process; what a vendor's module \
         needs belongs under [hsm.environment]"
    );
    Ok(())
}

fn variables() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

/// Says what the kernel does not hold, and refuses to go on if it has to.
fn judge(confinement: Confinement, config: &Config) -> anyhow::Result<()> {
    let Confinement { landlock, seccomp } = confinement;
    metrics::gauge!("mastersign_landlock_enforced").set(landlock.share());
    metrics::gauge!("mastersign_seccomp_enforced").set(seccomp.share());
    if confinement.is_whole() {
        return Ok(());
    }
    ensure!(
        !config.hardening.required,
        "this kernel does not hold all that hardening.required asks for (Landlock: {landlock:?}, \
         seccomp: {seccomp:?}); a Linux from 6.7 on with both does, unless the container keeps them away"
    );
    tracing::warn!(
        ?landlock,
        ?seccomp,
        "this kernel does not hold the service away from the system's files and other ports \
         (Landlock, since Linux 6.7) or from system calls that it never makes (seccomp); rely on the \
         unit's own settings"
    );
    Ok(())
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let checked = server::check(config, &SystemClock)?;
    terminal::say(format_args!(
        "{}: good; {} HSM(s), certificate until {}",
        config.path.display(),
        config.hsms.len(),
        checked.tls.not_after
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config, options: Options) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let server = Server::start(config, options).await?;
    let stop = CancellationToken::new();
    let told = async {
        signals.next().await;
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        () = server.run(stop.cancelled()) => Ok(ExitCode::SUCCESS),
        () = told => {
            tracing::warn!("told to stop twice; what is in flight is dropped");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What tells a service to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What has the dynamic loader (ld.so(8)) or OpenSSL (openssl-env(7)) load other code.
const LOADER: [&str; 6] = [
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confinement::Enforced;
    use crate::tls::testing::Setting;

    fn configuration() -> Config {
        let setting = Setting::new();
        let text =
            "[tls]\ncertificate = \"a\"\nkey = \"b\"\nmasters_ca = \"c\"\noperators_ca = \"d\"\n";
        setting.write("mastersign.toml", text);
        Config::load(&setting.path().join("mastersign.toml")).unwrap()
    }

    #[test]
    fn code_from_the_environment_is_a_reason_not_to_serve_only_where_that_was_asked_for() {
        let mut config = configuration();
        for (variables, serves) in [
            (&["PATH", "LD_BIND_NOW"][..], true),
            (&["PATH", "LD_PRELOAD"], false),
            (&["LD_AUDIT"], false),
            (&["OPENSSL_MODULES"], false),
            (&["LD_LIBRARY_PATH", "HOME"], false),
        ] {
            let judged = |config: &Config| judge_loader(variables.iter().map(Into::into), config);
            config.hardening.required = false;
            judged(&config).unwrap();
            config.hardening.required = true;
            assert_eq!(judged(&config).is_ok(), serves, "{variables:?}");
        }
    }

    #[test]
    fn a_kernel_that_holds_less_is_a_reason_not_to_serve_only_where_it_was_asked_for() {
        let mut config = configuration();
        let held = |landlock, seccomp| Confinement { landlock, seccomp };
        for (confinement, serves) in [
            (held(Enforced::Whole, Enforced::Whole), true),
            (held(Enforced::Partial, Enforced::Whole), false),
            (held(Enforced::Whole, Enforced::Absent), false),
        ] {
            config.hardening.required = false;
            judge(confinement, &config).unwrap();
            config.hardening.required = true;
            assert_eq!(
                judge(confinement, &config).is_ok(),
                serves,
                "{confinement:?}"
            );
        }
    }
}
