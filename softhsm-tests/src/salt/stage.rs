//! The masters that the cases of one Salt version share.
//!
//! A master takes seconds of processor time to start and a case takes milliseconds, so masters are
//! started once, when the first case needs them, and each case brings minion ids of its own. Only
//! one version's masters are kept: the tests of one version stand together.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};
use minion::verify::Algorithm;
use nix::unistd::geteuid;
use openssl::pkey::Private;
use openssl::rsa::Rsa;
use tempfile::TempDir;

use super::{
    Installation, Master, MasterConfig, Signatory, Signing, Turn, Version, sign_as_stranger,
};
use crate::namespace::Namespace;
use crate::process::remove_at_end;

/// What the cases of one version share.
#[derive(Debug)]
pub struct Stage {
    version: Version,
    /// Tells its masters from those of another stage at the same service.
    number: usize,
    signatory: Arc<Signatory>,
    /// For root a network of the stage's own; for others the masters are on the host's loopback.
    namespace: Option<Arc<Namespace>>,
    sha1: OnceLock<Result<Master, String>>,
    sha224: OnceLock<Result<Master, String>>,
    six: OnceLock<Result<Master, String>>,
    restless: Mutex<Option<Restless>>,
    /// How many of them the service has signed.
    restless_ones: AtomicUsize,
    trio: Mutex<Option<Trio>>,
    /// How many trios there were: to the service each is a new one.
    trios: AtomicUsize,
}

/// A master for cases that disturb everybody who is at it.
#[derive(Debug)]
pub struct Restless {
    /// Whose signature it shows.
    pub signed_by: SignedBy,
    /// The master.
    pub master: Master,
    /// The text of its `master_sign.pub`.
    pub trusted: String,
}

/// How a master comes to the signature of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// It signs each answer itself, with the algorithm that a minion asks for.
    Master,
    /// The service has signed it beforehand, with this algorithm.
    Service(Algorithm),
}

/// Three masters to fail over between, and two that are no good.
#[derive(Debug)]
pub struct Trio {
    /// The algorithm of their signatures, those of publications as well.
    pub algorithm: Algorithm,
    /// Three good ones.
    pub masters: [Master; 3],
    /// Its signature was made by a key that nobody trusts.
    pub foreign: Master,
    /// Its signature is another master's.
    pub forged: Master,
    namespace: Option<Arc<Namespace>>,
}

impl Stage {
    /// The quiet master of this algorithm keeps the grains that minions tell it, as Salt's default
    /// is; the other one keeps none.
    pub const KEEPS_GRAINS: Algorithm = Algorithm::Sha1;

    /// The stage of this version, the same for all cases that run at the time.
    ///
    /// # Errors
    ///
    /// Fails if the signing service does not come up.
    pub fn of(version: Version) -> Result<Arc<Self>> {
        static STAGES: AtomicUsize = AtomicUsize::new(0);
        static CURRENT: Mutex<Option<Arc<Stage>>> = Mutex::new(None);
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = current.as_ref().filter(|stage| stage.version == version) {
            return Ok(Arc::clone(stage));
        }
        // The masters of the version before end here, unless a case is still at them.
        *current = None;
        let stage = Arc::new(Self {
            version,
            number: STAGES.fetch_add(1, Ordering::Relaxed),
            signatory: signatory()?,
            namespace: if geteuid().is_root() {
                Some(Arc::new(Namespace::create()?))
            } else {
                None
            },
            sha1: OnceLock::new(),
            sha224: OnceLock::new(),
            six: OnceLock::new(),
            restless: Mutex::new(None),
            restless_ones: AtomicUsize::new(0),
            trio: Mutex::new(None),
            trios: AtomicUsize::new(0),
        });
        *current = Some(Arc::clone(&stage));
        Ok(stage)
    }

    /// Its Salt.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The network that the masters are in, if it is not the host's.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_deref()
    }

    /// The text of the service's `master_sign.pub`.
    ///
    /// # Errors
    ///
    /// Fails if it can't be read.
    pub fn trusted(&self) -> Result<String> {
        self.signatory.trusted()
    }

    /// A master with a signature file of this algorithm, which accepts nobody by itself, and whose
    /// heart beats every second, if it is not a 3007.
    ///
    /// # Errors
    ///
    /// Fails if it has not come up.
    pub fn quiet(&self, algorithm: Algorithm) -> Result<&Master> {
        let (place, number) = match algorithm {
            Algorithm::Sha1 => (&self.sha1, 6),
            Algorithm::Sha224 => (&self.sha224, 7),
        };
        started(place, || self.start_quiet(algorithm, number))
    }

    /// A master on `::1`, which accepts everybody.
    ///
    /// # Errors
    ///
    /// Fails if it has not come up.
    pub fn six(&self) -> Result<&Master> {
        started(&self.six, || {
            let _turn = Turn::take()?;
            let id = format!("six-{}-{}", self.version, self.number);
            let installation = self.install(&id, 9, Signing::Precomputed, true, "")?;
            installation.move_to_ipv6()?;
            self.signatory.sign(&installation, &id, Algorithm::Sha1)?;
            installation.start()
        })
    }

    /// A new master for one case, whose AES key lives no longer than this many seconds where age counts.
    ///
    /// # Errors
    ///
    /// Fails if it does not come up.
    pub fn aging(&self, seconds: u32) -> Result<Master> {
        let _turn = Turn::take()?;
        let id = format!("aging-{}-{}", self.version, self.number);
        let more = format!("loop_interval: 1\npublish_session: {seconds}\n");
        let installation = self.install(&id, 10, Signing::Precomputed, false, &more)?;
        self.signatory.sign(&installation, &id, Algorithm::Sha1)?;
        installation.start()
    }

    fn start_quiet(&self, algorithm: Algorithm, number: u8) -> Result<Master> {
        let _turn = Turn::take()?;
        let id = format!("quiet-{algorithm}-{}-{}", self.version, self.number);
        let keeps_grains = if algorithm == Self::KEEPS_GRAINS {
            "True"
        } else {
            "False"
        };
        let more = format!(
            "publish_signing_algorithm: {algorithm}\nminion_data_cache: {keeps_grains}\n\
             {HEARTBEATS}"
        );
        let installation = self.install(&id, number, Signing::Precomputed, false, &more)?;
        self.signatory.sign(&installation, &id, algorithm)?;
        installation.start()
    }

    /// The master for cases that disturb others, for one case at a time. There is one of them.
    ///
    /// # Errors
    ///
    /// Fails if it does not come up.
    pub fn restless(&self, signed_by: SignedBy) -> Result<Borrowed<'_, Restless>> {
        let fits = |restless: &Restless| restless.signed_by == signed_by;
        Borrowed::of(&self.restless, fits, || self.start_restless(signed_by))
    }

    fn start_restless(&self, signed_by: SignedBy) -> Result<Restless> {
        let _turn = Turn::take()?;
        let (installation, trusted) = match signed_by {
            SignedBy::Master => {
                let key = Rsa::generate(2048)?;
                let signing = Signing::PerRequest(&key);
                let installation = self.install("restless", 8, signing, false, RESTLESS)?;
                (installation, public_text(&key)?)
            }
            SignedBy::Service(algorithm) => {
                // To the service each is a new master.
                let number = self.restless_ones.fetch_add(1, Ordering::Relaxed);
                let id = format!("restless-{}-{}-{number}", self.version, self.number);
                let installation = self.install(&id, 8, Signing::Precomputed, false, RESTLESS)?;
                self.signatory.sign(&installation, &id, algorithm)?;
                (installation, self.trusted()?)
            }
        };
        Ok(Restless {
            signed_by,
            master: installation.start()?,
            trusted,
        })
    }

    /// The masters to fail over between, for one case at a time; all of them are up. Their
    /// signatures are of SHA-1.
    ///
    /// # Errors
    ///
    /// Fails if one of them does not come up.
    pub fn trio(&self) -> Result<Borrowed<'_, Trio>> {
        self.trio_of(Algorithm::Sha1)
    }

    /// The same with this algorithm; there is one trio at a time.
    ///
    /// # Errors
    ///
    /// As [`Stage::trio`].
    pub fn trio_of(&self, algorithm: Algorithm) -> Result<Borrowed<'_, Trio>> {
        let fits = |trio: &Trio| trio.algorithm == algorithm;
        let mut trio = Borrowed::of(&self.trio, fits, || self.start_trio(algorithm))?;
        trio.heal()?;
        Ok(trio)
    }

    fn start_trio(&self, algorithm: Algorithm) -> Result<Trio> {
        let _turn = Turn::take()?;
        let trio = self.trios.fetch_add(1, Ordering::Relaxed);
        let more = format!("publish_signing_algorithm: {algorithm}\n");
        let install = |name: &str, number| {
            let id = format!("{name}-{}-{}-{trio}", self.version, self.number);
            let made = self.install(&id, number, Signing::Precomputed, true, &more)?;
            Ok::<_, anyhow::Error>((made, id))
        };
        let launch = |name: &str, number| {
            let (made, id) = install(name, number)?;
            self.signatory.sign(&made, &id, algorithm)?;
            made.launch()
        };
        let masters = [launch("alpha", 1)?, launch("beta", 2)?, launch("gamma", 3)?];
        let (foreign, _) = install("foreign", 4)?;
        sign_as_stranger(&foreign, algorithm)?;
        let (forged, _) = install("forged", 5)?;
        let [alpha, ..] = &masters;
        std::fs::copy(
            alpha.installation().signature_file(),
            forged.signature_file(),
        )?;
        let trio = Trio {
            algorithm,
            masters,
            foreign: foreign.launch()?,
            forged: forged.launch()?,
            namespace: self.namespace.clone(),
        };
        for master in trio.all() {
            master.wait()?;
        }
        Ok(trio)
    }

    fn install(
        &self,
        id: &str,
        number: u8,
        signing: Signing<'_>,
        auto_accept: bool,
        more: &str,
    ) -> Result<Installation> {
        let address = Ipv4Addr::new(127, 0, 0, number);
        Installation::with(&MasterConfig {
            version: self.version,
            id,
            place: self
                .namespace
                .as_ref()
                .map(|namespace| (namespace, address)),
            signing,
            auto_accept,
            more,
        })
    }
}

impl Trio {
    /// Their network, if it is not the host's.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_deref()
    }

    fn all(&self) -> impl Iterator<Item = &Master> {
        self.masters.iter().chain([&self.foreign, &self.forged])
    }

    /// Undoes what a case has done to them.
    fn heal(&mut self) -> Result<()> {
        if let Some(namespace) = &self.namespace {
            namespace.lift()?;
        }
        for master in &mut self.masters {
            if master.process().is_gone()? {
                master.restart()?;
            } else {
                master.process().resume()?;
            }
        }
        Ok(())
    }
}

/// A master that is started once; a failure stays one.
fn started(
    place: &OnceLock<Result<Master, String>>,
    start: impl FnOnce() -> Result<Master>,
) -> Result<&Master> {
    place
        .get_or_init(|| start().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|reason| anyhow!("{reason}"))
}

/// Something of the stage that one case has for itself.
#[derive(Debug)]
pub struct Borrowed<'a, T>(MutexGuard<'a, Option<T>>);

impl<'a, T> Borrowed<'a, T> {
    fn of(
        place: &'a Mutex<Option<T>>,
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Self> {
        // What a case that failed has left behind is put right by the next.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.as_ref().is_some_and(fits) {
            // What was there has ended when the next begins.
            *place = None;
            *place = Some(make()?);
        }
        Ok(Self(place))
    }
}

#[expect(
    clippy::expect_used,
    reason = "`of` is the only constructor, and leaves something there"
)]
impl<T> std::ops::Deref for Borrowed<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it was made")
    }
}

#[expect(
    clippy::expect_used,
    reason = "`of` is the only constructor, and leaves something there"
)]
impl<T> std::ops::DerefMut for Borrowed<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it was made")
    }
}

/// The service that all stages have their signatures from.
fn signatory() -> Result<Arc<Signatory>> {
    static ONLY: OnceLock<Result<Arc<Signatory>, String>> = OnceLock::new();
    ONLY.get_or_init(|| {
        start_signatory()
            .map(Arc::new)
            .map_err(|error| format!("{error:#}"))
    })
    .as_ref()
    .map(Arc::clone)
    .map_err(|reason| anyhow!("{reason}"))
}

fn start_signatory() -> Result<Signatory> {
    // Nothing that is static is dropped, so the directories of the stages, and with them everybody
    // else's from here on, are inside one that goes when this process has ended.
    let directory = TempDir::with_prefix("mastersign-stage-")?.keep();
    remove_at_end(&directory)?;
    tempfile::env::override_temp_dir(&directory)
        .map_err(|other| anyhow!("the temporary directory is {} already", other.display()))?;
    Signatory::start()
}

fn public_text(key: &Rsa<Private>) -> Result<String> {
    String::from_utf8(key.public_key_to_pem()?).context("a PEM text is ASCII")
}

/// Salt 3006.30 and 3008.5, `salt/transport/zeromq.py`, `_set_zmq_heartbeat`, in milliseconds: who
/// leaves five without an answer is cut off. 3007.17 knows neither.
const HEARTBEATS: &str = "zmq_heartbeat_ivl: 1000\nzmq_heartbeat_timeout: 5000\n";

/// Looks for a key to rotate every second, and turns minions away beyond the first.
const RESTLESS: &str = "loop_interval: 1\nmax_minions: 1\n";
