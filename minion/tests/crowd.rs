//! A crowd of agents in one process, which is this test's own: it counts the process's descriptors,
//! and other tests beside it would be counted too.
#![cfg(feature = "agent")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minion::agent::{Agent, Identity, Memory, Setup, SigningKey, Status};
use minion::config;
use minion::failover::{MasterType, Settings};
use minion::verify::Algorithm;
use minion::wire::envelope::Algorithms;
use minion::wire::private_key::{Encryption, PrivateKey};
use scripted_master::{Keypair, Master};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Two connections for each agent and one descriptor for each connection, before and after all of
/// them have lost their master; and they do not come to the next one all at once.
#[tokio::test]
async fn a_crowd_has_two_descriptors_each_and_moves_without_a_stampede() {
    let signer = Keypair::generate(2048);
    let [first, second] = [1, 2].map(|_| Arc::new(Keypair::generate(2048)));
    let first = Master::start(scripted_master::Setup::new(&first, &signer)).await;
    let second = Master::start(scripted_master::Setup::new(&second, &signer)).await;
    let masters = [configured("first", &first), configured("second", &second)];
    let key = Keypair::generate(2048).to_pem();
    let before = descriptors();

    let (stop, mut crowd, mut watched) = (CancellationToken::new(), JoinSet::new(), Vec::new());
    for number in 0..CROWD {
        let agent = agent(number, &key, &signer, &masters);
        watched.push(agent.status());
        crowd.spawn(agent.run(stop.clone()));
    }
    all_on("first", &mut watched).await;
    settled(&first).await;
    // Ours and the master's end of each.
    assert_eq!(descriptors() - before, 4 * CROWD);

    let lost = Instant::now();
    drop(first);
    all_on("second", &mut watched).await;
    settled(&second).await;
    // The lost master's two listeners are gone.
    assert_eq!(descriptors() - (before - 2), 4 * CROWD);
    let log = second.log();
    let ids: BTreeSet<_> = log.sign_ins.iter().map(|one| &one.id).collect();
    assert_eq!(
        (log.sign_ins.len(), ids.len()),
        (CROWD, CROWD),
        "one each, and none was late"
    );
    let hasty = log.sign_ins.iter().filter(|one| one.at - lost < SPREAD / 4);
    // A quarter of them is expected, and all of them without a spread: they would take a second of
    // this machine's time.
    let hasty = hasty.count();
    assert!(hasty <= CROWD / 2, "{hasty} in the first quarter");
    stop.cancel();
    while let Some(ended) = crowd.join_next().await {
        ended.unwrap();
    }
    timeout(
        LONG,
        second.until(|log| log.requesting == 0 && log.subscribed == 0),
    )
    .await
    .unwrap();
    assert_eq!(descriptors(), before - 2);
}

async fn all_on(master: &str, watched: &mut [watch::Receiver<Status>]) {
    for status in watched {
        let there = |status: &Status| status.current().any(|one| one.name == master);
        timeout(LONG, status.wait_for(there))
            .await
            .unwrap()
            .unwrap();
    }
}

/// Every agent is subscribed and has said that it is there.
async fn settled(master: &Master) {
    let crowd = u64::try_from(CROWD).unwrap();
    let done = master.until(|log| {
        log.subscribed == crowd && log.requesting == crowd && log.commands.len() == 2 * CROWD
    });
    timeout(LONG, done).await.unwrap();
}

fn agent(number: usize, key: &[u8], signer: &Keypair, masters: &[config::Master]) -> Agent {
    let identity = Identity::new(
        format!("minion-{number}").parse().unwrap(),
        PrivateKey::from_pem(key).unwrap(),
        "minion.pem".into(),
        Algorithms {
            signing: Algorithm::Sha1,
            encryption: Encryption::Sha1,
        },
        None,
    );
    let store = Memory::new(vec![SigningKey {
        name: "master_sign.pub".to_owned(),
        key: signer.public().clone(),
    }]);
    let failover = Settings {
        master_type: MasterType::Failover,
        auth_timeout: LONG,
        // The crowd is at one master, however long that takes.
        stagger: LONG,
        loss_spread: SPREAD,
        ..Settings::default()
    };
    let identity = Arc::new(identity.unwrap());
    Agent::new(Setup::new(
        identity,
        Arc::new(store),
        failover,
        masters.to_vec(),
    ))
    .unwrap()
}

fn configured(name: &str, master: &Master) -> config::Master {
    let address = master.request_address();
    config::Master {
        name: name.to_owned(),
        host: address.ip().to_string(),
        port: NonZeroU16::new(address.port()).unwrap(),
    }
}

/// How many this process has open.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const CROWD: usize = 150;

/// The window over which the crowd's sign-ins are spread.
const SPREAD: Duration = Duration::from_secs(6);

/// Long enough that only a failing test waits for it.
const LONG: Duration = Duration::from_secs(60);
