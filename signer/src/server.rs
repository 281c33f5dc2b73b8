//! The service as a whole: what it stands on, in which order that comes up, and in which order it
//! ends.
//!
//! [`check`] reads everything that can be read without changing anything, so that `serve --check`
//! and a start judge a configuration by the same code. [`Server::start`] opens the state and the
//! sockets and starts the HSM workers; it does not wait for an HSM, since what is stored is served
//! without one. [`Server::run`] serves until it is told to stop.

mod admission;
mod inbox;
mod listener;
mod origin;
mod readiness;
mod reload;
pub mod request;
mod signer;
mod supervision;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::Admission;
use self::listener::{Front, Listener, Stop};
use self::readiness::Sources;
use self::request::Around;
use crate::anchor::{self, AnchorError};
use crate::api::{Api, health};
use crate::audit::Inbox;
use crate::audit::sink::Follower;
use crate::authorize::{OperatorsCa, OperatorsCaError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Limits};
use crate::confinement::Confinement;
use crate::control::{ControlError, Door, Parts as Reach};
use crate::hsm::latch::LatchKeyError;
use crate::hsm::{self, LatchKey};
use crate::signing::{Examiner, Parts, Service};
use crate::store::{Backend, OpenError, Sqlite, SqliteError, Store};
use crate::tls::{self, Live, ServerTls, TlsError};

/// What a start needs besides the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is started as `hsm-worker`.
    pub executable: PathBuf,
    /// What `/metrics` shows; nothing is counted without it.
    pub metrics: Option<PrometheusHandle>,
    /// Log in to a token even if it says that a wrong PIN was presented lately.
    pub force_login: bool,
    /// What the kernel holds this process to, if it was confined.
    pub confinement: Option<Confinement>,
}

/// Where a server listens; with the ports that it got, if the configuration said 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The API.
    pub api: SocketAddr,
    /// Health and metrics.
    pub ops: SocketAddr,
}

/// What the configuration's files hold.
#[derive(Clone, Debug)]
pub struct Checked {
    /// For the API's listener.
    pub tls: ServerTls,
    /// Whose admins decide.
    pub operators: Arc<OperatorsCa>,
}

/// Reads the certificates, keys and authorities that the configuration names.
///
/// # Errors
///
/// Fails on the first one that cannot be used.
pub fn check(config: &Config, clock: &dyn Clock) -> Result<Checked, ServerError> {
    let tls = ServerTls::load(&config.tls, clock.now())?;
    let path = &config.tls.operators_ca;
    let operators = Arc::new(OperatorsCa::from_pem(&anchor::read(path)?)?);
    for hsm in &config.hsms {
        let path = &hsm.module.path;
        std::fs::File::open(path).map_err(|source| ServerError::Read {
            path: path.clone(),
            source,
        })?;
        if let Some(path) = &hsm.public_key {
            anchor::read(path)?;
        }
        hsm.module.check_file(nix::unistd::geteuid().as_raw())?;
    }
    Ok(Checked { tls, operators })
}

/// A service that has everything it needs and serves when it is [run](Self::run).
#[derive(Debug)]
pub struct Server {
    store: Store,
    pool: hsm::Pool,
    service: Arc<Service>,
    readiness: Arc<Sources>,
    api: Listener,
    ops: Listener,
    door: Door,
    addresses: Addresses,
    drain_timeout: Duration,
    metrics: Option<PrometheusHandle>,
    inbox: Inbox,
    live: Arc<Live>,
    admission: Admission,
    heads: Follower,
}

impl Server {
    /// Opens the state, binds the sockets and starts the HSM workers, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails on what an operator has to repair first. An HSM is never a reason.
    pub async fn start(config: &Config, options: Options) -> Result<Self, ServerError> {
        tls::install_provider();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let Checked { tls, operators } = check(config, &*clock)?;
        let sockets = Sockets::bind(config).await?;
        make_directory(&config.state_dir)?;
        // The store first: it refuses a directory into which others may write.
        let (backend, store) = open_store(config, &operators, &clock).await?;
        let heads = tell_heads(config, &store);
        let (pool, door) = start_hsms(config, &options, &store)?;
        let service = Arc::new(Service::new(Parts {
            store: store.clone(),
            signer: Arc::new(pool.clone()),
            operators,
            clock,
            examiner: Examiner::start().map_err(ServerError::Thread)?,
            signing: config.signing.clone(),
        }));
        let admission = Admission::new(&config.limits);
        let live = Arc::new(Live::new(config.tls.clone(), tls));
        let readiness = Arc::new(Sources::new(
            pool.clone(),
            store.clone(),
            backend,
            Arc::clone(&live),
            heads.problem(),
            options.confinement,
        ));
        let watched = Arc::clone(&readiness) as Arc<dyn health::Sources>;
        Ok(Self {
            addresses: sockets.addresses,
            api: Listener {
                socket: sockets.api,
                tls: Some(Arc::clone(&live)),
                front: Front::Api(
                    Arc::new(Around::new(
                        config.limits.request_timeout,
                        admission.clone(),
                    )),
                    Arc::new(Api::new(Arc::clone(&service))),
                ),
                limits: config.limits,
            },
            ops: operations(
                sockets.ops,
                health::router(watched, options.metrics.clone()),
                config.limits,
            ),
            door,
            store,
            pool,
            service,
            readiness,
            drain_timeout: config.limits.drain_timeout,
            metrics: options.metrics,
            inbox: Inbox::new(&config.state_dir),
            live,
            admission,
            heads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The HSMs, to wait for one or to ask about them.
    #[must_use]
    pub const fn pool(&self) -> &hsm::Pool {
        &self.pool
    }

    /// The state.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Serves until `shutdown` is done, then ends in good order: readiness goes down, no connection
    /// is accepted, what is in flight is finished within the drain timeout, the HSM workers end,
    /// and the store is closed last, because signatures that are under way are stored until then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (api, ops) = (Stop::default(), Stop::default());
        let tasks = TaskTracker::new();
        let mut serving = tasks.spawn(self.api.run(api.clone()));
        tasks.spawn(self.ops.run(ops.clone()));
        let background = ops.drain.clone();
        let registered = signer::register(
            self.pool.clone(),
            self.store.clone(),
            Arc::clone(&self.readiness),
        );
        tasks.spawn(background.clone().run_until_cancelled_owned(registered));
        tasks.spawn(reload::follow(self.live, background.clone()));
        let (inbox, store) = (self.inbox, self.store.clone());
        tasks.spawn(inbox::collect(inbox, store, background.clone()));
        tasks.spawn(self.door.run(background.clone()));
        tasks.spawn(upkeep(self.metrics, self.admission, background));
        tasks.spawn(supervision::report(self.pool.clone(), ops.drain.clone()));
        tasks.close();
        tracing::info!(api = %self.addresses.api, ops = %self.addresses.ops, "serving");
        shutdown.await;

        tracing::info!("stopping; what is in flight is finished first");
        supervision::stopping();
        self.readiness.drain();
        api.drain.cancel();
        let end = (Instant::now() + self.drain_timeout).into();
        if tokio::time::timeout_at(end, &mut serving).await.is_err() {
            api.abort.cancel();
        }
        // A caller that left does not end its signature; what comes too late fails with the pool.
        let late = tokio::time::timeout_at(end, self.service.close()).await;
        self.pool.shutdown().await;
        if late.is_err() {
            self.service.close().await;
        }
        self.store.close().await;
        self.heads.finish().await;
        ops.drain.cancel();
        ops.abort.cancel();
        tasks.wait().await;
        tracing::info!("stopped");
    }
}

/// Serves until `shutdown` is done; `bound` learns where.
///
/// # Errors
///
/// See [`Server::start`].
pub async fn run(
    config: &Config,
    options: Options,
    bound: impl FnOnce(Addresses),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let server = Server::start(config, options).await?;
    bound(server.addresses());
    server.run(shutdown).await;
    Ok(())
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A bound socket that does not know its address.
    #[error("cannot tell the address of a socket")]
    Address(#[source] io::Error),
    /// A file that says whom to believe.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control socket.
    #[error("cannot open the control socket")]
    Control(#[from] ControlError),
    /// The key of the PIN latch.
    #[error(transparent)]
    LatchKey(#[from] LatchKeyError),
    /// A PKCS#11 module that somebody else could exchange.
    #[error(transparent)]
    Module(#[from] hsm_config::ModuleError),
    /// The operators' CA.
    #[error("`tls.operators_ca` cannot be used")]
    OperatorsCa(#[from] OperatorsCaError),
    /// A file that the configuration names.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error("cannot open the database")]
    Sqlite(#[from] SqliteError),
    /// The state directory.
    #[error("cannot use the state directory {}", .path.display())]
    StateDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state in the database.
    #[error("cannot load the state")]
    Store(#[from] OpenError),
    /// A thread of its own for what takes long.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Both are bound before anything else is opened: a busy port is the likeliest reason not to start.
struct Sockets {
    api: TcpListener,
    ops: TcpListener,
    addresses: Addresses,
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self, ServerError> {
        let api = bind(config.listen.api).await?;
        let ops = bind(config.listen.ops).await?;
        let addresses = Addresses {
            api: api.local_addr().map_err(ServerError::Address)?,
            ops: ops.local_addr().map_err(ServerError::Address)?,
        };
        Ok(Self {
            api,
            ops,
            addresses,
        })
    }
}

/// The listener of health and metrics.
const fn operations(socket: TcpListener, router: Router, limits: Limits) -> Listener {
    Listener {
        socket,
        tls: None,
        front: Front::Plain(router),
        limits: Limits {
            connections: OPS_CONNECTIONS,
            // Balancer and scrapers may well share an address.
            connections_per_address: OPS_CONNECTIONS,
            ..limits
        },
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Bind { address, source })
}

/// Starts the HSM workers, and opens the door through which root reaches them.
fn start_hsms(
    config: &Config,
    options: &Options,
    store: &Store,
) -> Result<(hsm::Pool, Door), ServerError> {
    let (pool, attempts) = start_pool(config, &options.executable, options.force_login, store)?;
    let reach = Reach {
        pool: pool.clone(),
        store: store.clone(),
        attempts,
    };
    Ok((pool, Door::open(&config.state_dir, reach)?))
}

/// Starts the HSM workers for this store.
pub(crate) fn start_pool(
    config: &Config,
    executable: &Path,
    force_login: bool,
    store: &Store,
) -> Result<(hsm::Pool, hsm::Attempts), ServerError> {
    let attempts = hsm::Attempts::new(&config.state_dir);
    let context = hsm::Context {
        executable: executable.to_owned(),
        config: config.path.clone(),
        store: store.uuid(),
        signing_key: store.state().active,
        latch: Arc::new(store.clone()),
        latch_key: LatchKey::open(&config.state_dir)?,
        attempts: attempts.clone(),
        force_login,
    };
    Ok((hsm::Pool::start(config.hsms.clone(), context), attempts))
}

async fn open_store(
    config: &Config,
    operators: &Arc<OperatorsCa>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Backend>, Store), ServerError> {
    let backend: Arc<dyn Backend> = Arc::new(Sqlite::open(&config.store.path)?);
    let store = Store::open(
        Arc::clone(&backend),
        Arc::clone(operators),
        Arc::clone(clock),
        config.store.id,
    )
    .await?;
    if config.store.id.is_none() {
        tracing::warn!(
            "`store.id` is not configured, so the database alone says which store this is, and the \
             HSM workers believe it: put `id = \"{}\"` under [store] in {}",
            store.uuid(),
            config.path.display()
        );
    }
    Ok((backend, store))
}

/// Begins to tell where the audit chain of this store ends.
pub(crate) fn tell_heads(config: &Config, store: &Store) -> Follower {
    // Asked for first, so that no commit falls between the two.
    let heads = store.heads();
    let found = store.state().head();
    Follower::start(config.audit_head_sink.clone(), store.uuid(), found, heads)
}

/// Makes the state directory if it is missing, for the owner alone.
///
/// # Errors
///
/// Fails if it cannot be made, or if others may write to it.
pub fn make_directory(path: &Path) -> Result<(), ServerError> {
    let failed = |source| ServerError::StateDirectory {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    // The latch's key is beside the database, unless `store.path` leads that elsewhere.
    let mode = path.metadata().map_err(failed)?.mode();
    if mode & 0o022 == 0 {
        Ok(())
    } else {
        Err(failed(io::Error::other(
            "others may write to it; chmod 0700 it",
        )))
    }
}

/// The recorder keeps every sample of a histogram until somebody asks for it or this is done; of
/// callers their share is kept.
async fn upkeep(metrics: Option<PrometheusHandle>, admission: Admission, stop: CancellationToken) {
    let pause = || stop.run_until_cancelled(tokio::time::sleep(UPKEEP));
    while pause().await.is_some() {
        if let Some(metrics) = &metrics {
            metrics.run_upkeep();
        }
        admission.forget();
    }
}

/// A supervisor, a balancer and two scrapers, each with a second attempt.
const OPS_CONNECTIONS: usize = 16;
const UPKEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
