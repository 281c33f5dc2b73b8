//! Our minion at real masters: every answer that a master gives to a sign-in, jobs, and failover.
//!
//! In `make test` 3008.5 gets every case, with both algorithms and with both ways in which a master
//! comes to its signature where one could make a difference; ten heartbeats at Salt's default of ten
//! seconds are left to `make soak`. 3006.30 and 3007.17 get each algorithm's path and what their code
//! does in another way. `make soak` runs all that is in these files at all three.
//! What needs a firewall is in `as_root`.

mod aging;
mod as_root;
mod changes;
mod failover;
mod heartbeat;
mod jobs;
mod salt_3006;
mod salt_3007;
mod salt_3008;
mod sign_in;

use std::sync::atomic::{AtomicU32, Ordering};

use minion::verify::Algorithm;
use serde_json::{Value, json};
use softhsm_tests::namespace::Namespace;
use softhsm_tests::salt::{
    Console, Master, Ours, OursConfig, Restless, RunningOurs, SignedBy, Stage, Version,
};

/// How a master comes to its signatures.
#[derive(Clone, Copy)]
enum Way {
    /// It signs each answer itself.
    PerRequest,
    /// It shows the file that the service made.
    Precomputed,
}

impl Way {
    const fn signed_by(self, algorithm: Algorithm) -> SignedBy {
        match self {
            Self::PerRequest => SignedBy::Master,
            Self::Precomputed => SignedBy::Service(algorithm),
        }
    }
}

/// Tests of one file's cases with both algorithms. The version's name comes first in a test's path,
/// so that the tests of one version stand together and share its masters; see `Stage`.
macro_rules! cases {
    ($file:ident, $version:ident; $($case:ident),* $(,)? ; soak: $($soak:ident),* $(,)?) => {
        mod $file {
            $crate::masters::cases!(sha1, Sha1, $file, $version; $($case),*; $($soak),*);
            $crate::masters::cases!(sha224, Sha224, $file, $version; $($case),*; $($soak),*);
        }
    };
    (
        $file:ident by $name:ident $way:ident, $version:ident;
        $($case:ident),* $(,)? ; soak: $($soak:ident),* $(,)?
    ) => {
        mod $name {
            $crate::masters::cases!(
                sha1, Sha1, $file, $version $way; $($case),*; $($soak),*
            );
            $crate::masters::cases!(
                sha224, Sha224, $file, $version $way; $($case),*; $($soak),*
            );
        }
    };
    (
        $module:ident, $algorithm:ident, $file:ident, $version:ident;
        $($case:ident),*; $($soak:ident),*
    ) => {
        mod $module {
            use minion::verify::Algorithm;
            use softhsm_tests::salt::Version;

            $(#[test]
            fn $case() {
                $crate::masters::$file::$case(Version::$version, Algorithm::$algorithm);
            })*
            $(#[test]
            #[ignore = "a repetition of what another case shows; `make soak` runs it"]
            fn $soak() {
                $crate::masters::$file::$soak(Version::$version, Algorithm::$algorithm);
            })*
        }
    };
    (
        $module:ident, $algorithm:ident, $file:ident, $version:ident $way:ident;
        $($case:ident),*; $($soak:ident),*
    ) => {
        mod $module {
            use minion::verify::Algorithm::$algorithm;
            use softhsm_tests::salt::Version::$version;

            use $crate::masters::Way::$way;

            $(#[test]
            fn $case() {
                $crate::masters::$file::$case($version, $algorithm, $way);
            })*
            $(#[test]
            #[ignore = "a repetition of what another case shows; `make soak` runs it"]
            fn $soak() {
                $crate::masters::$file::$soak($version, $algorithm, $way);
            })*
        }
    };
}
use cases;

/// The same for cases to which the algorithm makes no difference.
macro_rules! plain_cases {
    ($file:ident, $version:ident; $($case:ident),* $(,)? ; soak: $($soak:ident),* $(,)?) => {
        mod $file {
            use softhsm_tests::salt::Version;

            $(#[test]
            fn $case() {
                $crate::masters::$file::$case(Version::$version);
            })*
            $(#[test]
            #[ignore = "a repetition of what another case shows; `make soak` runs it"]
            fn $soak() {
                $crate::masters::$file::$soak(Version::$version);
            })*
        }
    };
}
use plain_cases;

/// Our minion, and where it runs.
struct Host<'a> {
    namespace: Option<&'a Namespace>,
    algorithm: Algorithm,
    /// The masters' `publish_signing_algorithm`.
    publications: Algorithm,
    trusted: String,
}

impl<'a> Host<'a> {
    /// A host that trusts the service's key.
    fn of(stage: &'a Stage, algorithm: Algorithm) -> Self {
        Self {
            namespace: stage.namespace(),
            algorithm,
            publications: algorithm,
            trusted: stage.trusted().unwrap(),
        }
    }

    /// A host for the master that signs each answer, with the algorithm that the minion asks for,
    /// and publishes with Salt's default.
    fn at_restless(stage: &'a Stage, algorithm: Algorithm, restless: &Restless) -> Self {
        Self {
            publications: Algorithm::Sha1,
            trusted: restless.trusted.clone(),
            ..Self::of(stage, algorithm)
        }
    }

    /// Files of a minion that nobody has seen yet.
    fn minion(&self, masters: &[&Master], options: &[(&str, &str)]) -> Ours {
        let names = masters.iter().map(|master| master.address().to_string());
        self.minion_at(&fresh_id(), &names.collect::<Vec<_>>(), options)
    }

    fn minion_at(&self, id: &str, masters: &[String], options: &[(&str, &str)]) -> Ours {
        let publications = [("publish_signing_algorithm", self.publications.name())];
        Ours::create(OursConfig {
            id,
            masters,
            trusted: &self.trusted,
            algorithm: self.algorithm,
            options: &[&publications, options].concat(),
        })
        .unwrap()
    }

    fn start(&self, minion: Ours) -> RunningOurs {
        minion.start(self.namespace).unwrap()
    }

    /// A minion whose key the master has accepted before it ever ran.
    fn start_accepted(&self, master: &Master, options: &[(&str, &str)]) -> RunningOurs {
        let minion = self.minion(&[master], options);
        minion.seed(master.console().unwrap()).unwrap();
        let minion = self.start(minion);
        expect_ready(&minion, 0, master);
        minion
    }
}

/// An id that no other case has.
fn fresh_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mole-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The operator accepts the key, and the minion that goes on asking is signed in.
fn let_in(minion: &RunningOurs, master: &Master, console: &Console) {
    let mark = minion.log().len();
    console.accept(minion.id()).unwrap();
    expect_on(minion, mark, master);
}

/// The minion verifies this master's key, signs in and tells its operator, and the master hears of
/// it and is answered.
fn expect_on(minion: &RunningOurs, from: usize, master: &Master) {
    expect_ready(minion, from, master);
    expect_answer(minion, master);
}

fn expect_ready(minion: &RunningOurs, from: usize, master: &Master) {
    let log = minion.log();
    let verified = format!(
        "Received signed and verified master pubkey from master {}",
        master.address()
    );
    log.wait_for_after(from, &verified).unwrap();
    log.wait_for_after(from, READY).unwrap();
}

fn expect_answer(minion: &RunningOurs, master: &Master) {
    let answer = master.console().unwrap().ask(minion.id(), "test.ping", &[]);
    let answer = answer.unwrap_or_else(|error| {
        let address = master.address();
        panic!(
            "{error:#}\nthe minion, asked by {address}:\n{}",
            minion.log().text()
        )
    });
    assert_eq!(answer, json!(true));
}

/// Everything that the master's bus says about a job and this minion.
fn returned(console: &Console, jid: &str, id: &str) -> usize {
    console
        .events()
        .count(&format!("event salt/job/{jid}/ret/{id} "))
}

fn stage(version: Version) -> std::sync::Arc<Stage> {
    Stage::of(version).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

const READY: &str = "Minion is ready to receive requests!";
const SIGNED_IN: &str = "Authentication with master successful!";
const CACHED: &str = "The Salt Master has cached the public key for this node";
const REJECTED: &str = "The Salt Master has rejected this minion's public key";
