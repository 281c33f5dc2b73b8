//! Certificates, authorities and revocation lists that are exchanged while the service runs.
//!
//! New handshakes use what was read last. A connection that is open keeps its keys, and the client
//! on it is judged again when something was exchanged or its certificate has ended: without that, a
//! client whose certificate was revoked would stay as long as it keeps its connection busy.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};

use super::{ServerTls, TlsError, not_after};
use crate::clock::Timestamp;
use crate::config;
use crate::telemetry::Chain;

/// What the listener goes by at the moment.
#[derive(Debug)]
pub struct Live {
    files: config::Tls,
    current: RwLock<ServerTls>,
    /// Grows with each exchange; connections compare it before they ask for more.
    generation: AtomicU64,
    looked_at: Mutex<Vec<Option<Stamp>>>,
    /// The operators' authority that statements are checked against, which is read at start only.
    operators: Option<[u8; 32]>,
    problem: Mutex<Option<String>>,
}

/// What tells that a file was exchanged: device, inode, size, and both times in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl Live {
    /// Begins with what was read at start.
    #[must_use]
    pub fn new(files: config::Tls, current: ServerTls) -> Self {
        Self {
            looked_at: Mutex::new(stamps(&files)),
            operators: digest(&files.operators_ca),
            files,
            current: RwLock::new(current),
            generation: AtomicU64::new(0),
            problem: Mutex::new(None),
        }
    }

    /// For the next handshake: the configuration, and which generation it is of.
    pub fn handshake(&self) -> (Arc<ServerConfig>, u64) {
        let generation = self.generation.load(Ordering::Acquire);
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&current.config), generation)
    }

    /// When the service's own certificate ends.
    pub fn not_after(&self) -> Timestamp {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.not_after
    }

    /// What an operator has to look at, if there is something.
    pub fn problem(&self) -> Option<String> {
        let problem = self.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again if one of them changed since the last look, or if told to; what cannot
    /// be used is reported, and what was read before stays.
    ///
    /// # Errors
    ///
    /// Says what cannot be used.
    pub fn reload(&self, now: Timestamp, look: Look) -> Result<bool, TlsError> {
        let found = stamps(&self.files);
        {
            let looked_at = self.looked_at.lock();
            let mut looked_at = looked_at.unwrap_or_else(PoisonError::into_inner);
            if *looked_at == found && look == Look::IfChanged {
                return Ok(false);
            }
            *looked_at = found;
        }
        let loaded = ServerTls::load(&self.files, now);
        let problem = match &loaded {
            Ok(_) if digest(&self.files.operators_ca) != self.operators => Some(
                "tls.operators_ca was exchanged: connections go by the new one, statements still \
                 by the old one until the service is started again"
                    .to_owned(),
            ),
            Ok(_) => None,
            Err(error) => Some(format!(
                "new certificates were not taken over, the earlier ones are in use: {}",
                Chain(error)
            )),
        };
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        let loaded = loaded?;
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = loaded;
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<u64, Lapsed> {
        let generation = self.generation.load(Ordering::Acquire);
        let verifier = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&current.verifier)
        };
        let (leaf, others) = chain.split_first().ok_or(Lapsed)?;
        let verdict = verifier.verify_client_cert(leaf, others, now);
        verdict.map(|_| generation).map_err(|_| Lapsed)
    }
}

/// Whether a reload looks for changes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Read whatever is there.
    Always,
    /// Read only if a file changed.
    IfChanged,
}

/// The client of one connection, as its handshake showed it.
#[derive(Debug)]
pub struct Admission {
    live: Arc<Live>,
    chain: Vec<CertificateDer<'static>>,
    generation: AtomicU64,
    not_after: Timestamp,
}

impl Admission {
    /// For a connection whose handshake was made with that generation.
    #[must_use]
    pub fn new(live: Arc<Live>, chain: &[CertificateDer<'_>], generation: u64) -> Option<Self> {
        let chain: Vec<_> = chain.iter().map(|der| der.clone().into_owned()).collect();
        Some(Self {
            not_after: not_after(chain.first()?).ok()?,
            live,
            chain,
            generation: AtomicU64::new(generation),
        })
    }

    /// Whether the client would still be let in. Costs a comparison as long as nothing changed.
    ///
    /// # Errors
    ///
    /// Fails if its certificate was revoked, has ended, or is not of a trusted authority any more.
    pub fn check(&self, now: Timestamp) -> Result<(), Lapsed> {
        let judged = self.generation.load(Ordering::Acquire);
        let is_current = judged == self.live.generation.load(Ordering::Acquire);
        if is_current && now <= self.not_after {
            return Ok(());
        }
        let seconds = u64::try_from(now.unix()).unwrap_or(0);
        let moment = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let generation = self.live.judge(&self.chain, moment)?;
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }
}

/// A client certificate that counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client certificate was revoked, has ended, or is not of a trusted authority any more")]
pub struct Lapsed;

fn stamps(files: &config::Tls) -> Vec<Option<Stamp>> {
    let config::Tls {
        certificate,
        key,
        masters_ca,
        operators_ca,
        masters_crl,
        operators_crl,
    } = files;
    let paths: [Option<&PathBuf>; 6] = [
        Some(certificate),
        Some(key),
        Some(masters_ca),
        Some(operators_ca),
        masters_crl.as_ref(),
        operators_crl.as_ref(),
    ];
    let stamp = |metadata: Metadata| {
        let times = (metadata.mtime(), metadata.mtime_nsec());
        let changes = (metadata.ctime(), metadata.ctime_nsec());
        let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
        (device, inode, size, times.0, times.1, changes.0, changes.1)
    };
    let look = |path: &PathBuf| path.metadata().ok().map(stamp);
    paths.into_iter().map(|path| path.and_then(look)).collect()
}

fn digest(path: &Path) -> Option<[u8; 32]> {
    let text = std::fs::read(path).ok()?;
    Some(Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::tls::testing::Setting;

    fn live(setting: &Setting) -> Arc<Live> {
        let files = config::Tls {
            masters_crl: Some(setting.path().join("masters.crl")),
            ..setting.files()
        };
        let tls = ServerTls::load(&files, SystemClock.now()).unwrap();
        Arc::new(Live::new(files, tls))
    }

    #[test]
    fn a_client_that_was_revoked_meanwhile_is_refused_and_the_others_are_not() {
        let setting = Setting::new();
        let one = setting.masters.client("mastersign:master:one");
        let two = setting.masters.client("mastersign:master:two");
        let ada = setting.operators.client("mastersign:admin:ada");
        setting.write("masters.crl", &setting.masters.revoke(&[]));
        let live = live(&setting);
        let (_, generation) = live.handshake();
        let admission = |der: &CertificateDer<'static>| {
            let chain = [der.clone()];
            Admission::new(Arc::clone(&live), &chain, generation).unwrap()
        };
        let clients = [&one, &two, &ada].map(|pair| admission(&pair.der));
        let now = SystemClock.now();
        assert!(!live.reload(now, Look::IfChanged).unwrap());
        assert!(clients.iter().all(|client| client.check(now).is_ok()));

        setting.write("masters.crl", &setting.masters.revoke(&[&one]));
        assert!(live.reload(now, Look::IfChanged).unwrap());
        let verdicts = clients.map(|client| client.check(now));
        assert_eq!(verdicts, [Err(Lapsed), Ok(()), Ok(())]);
    }

    #[test]
    fn a_certificate_that_ends_while_its_connection_is_open_ends_with_it() {
        let setting = Setting::new();
        setting.write("masters.crl", &setting.masters.revoke(&[]));
        let live = live(&setting);
        let pair = setting.masters.client("mastersign:master:one");
        let (_, generation) = live.handshake();
        let client = Admission::new(live, &[pair.der], generation).unwrap();
        let now = SystemClock.now();
        assert_eq!(client.check(now), Ok(()));
        let later = Timestamp::from_unix(now.unix().saturating_add(2 * 86_400)).unwrap();
        assert_eq!(client.check(later), Err(Lapsed));
    }

    #[test]
    fn a_file_that_cannot_be_used_changes_nothing_but_readiness() {
        let setting = Setting::new();
        setting.write("masters.crl", &setting.masters.revoke(&[]));
        let live = live(&setting);
        let (before, generation) = live.handshake();
        let now = SystemClock.now();
        setting.write("masters.crl", "nothing");
        live.reload(now, Look::IfChanged).unwrap_err();
        assert!(live.problem().unwrap().contains("masters.crl"));
        let (after, same) = live.handshake();
        assert!(Arc::ptr_eq(&before, &after) && generation == same);
        // It is not read again and again.
        assert!(!live.reload(now, Look::IfChanged).unwrap());
        setting.write("masters.crl", &setting.masters.revoke(&[]));
        assert!(live.reload(now, Look::IfChanged).unwrap());
        assert_eq!(live.problem(), None);
    }

    #[test]
    fn another_operators_authority_is_said_to_need_a_restart() {
        let setting = Setting::new();
        setting.write("masters.crl", &setting.masters.revoke(&[]));
        let live = live(&setting);
        let other = crate::tls::testing::Authority::new("others");
        setting.write("operators.pem", &other.pem);
        assert!(live.reload(SystemClock.now(), Look::Always).unwrap());
        assert!(live.problem().unwrap().contains("started again"));
    }
}
