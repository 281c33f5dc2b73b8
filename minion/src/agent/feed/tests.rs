//! A feed and its orders, at a publisher that is gone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scripted_master::{Keypair, Master, Setup as MasterSetup};

use super::super::channel::Parts;
use super::*;
use crate::agent::{Identity, Memory, Store};
use crate::failover::{AttemptId, Position, Settings};
use crate::net::{Connect, Keepalive, Request};
use crate::verify::PublicKey;
use crate::wire::envelope::Algorithms;
use crate::wire::private_key::{Encryption, PrivateKey};
use crate::wire::request::Requests;
use crate::zmtp::{self, Rhythm};

/// A session that ends while it is being renewed is known to the machine by its new name.
#[tokio::test]
async fn a_feed_that_ends_beside_its_renewal_ends_the_renewed_session() {
    let (own, signer) = (Keypair::generate(2048), Keypair::generate(2048));
    let master = Master::start(MasterSetup::new(&Arc::new(own), &signer)).await;
    let setup = setup(&Keypair::generate(2048));
    let (notices, mut told) = mpsc::channel(8);
    let publisher = connect(master.publish_address());
    let subscription = Subscription::connect(&publisher, zmtp::Identity::new(Vec::new()), &[b""]);
    let subscription = subscription.await.unwrap();
    let first = keys(&setup, &master, 1).await;
    let second = keys(&setup, &master, 2).await;
    let (feed, orders) = Feed::new(setup, subscription, first, notices);
    // The feed is at the probe when the other order comes.
    let (probe, within) = (ProbeId::numbered(1), Duration::from_secs(60));
    orders.try_send(Order::Probe { probe, within }).unwrap();
    orders.try_send(Order::Rekey(Box::new(second))).unwrap();
    drop(master);
    feed.run().await;
    let ended = std::iter::from_fn(|| told.try_recv().ok()).find_map(|notice| match notice {
        Notice::Gone { attempt, .. } => Some(attempt),
        _ => None,
    });
    assert_eq!(ended, Some(AttemptId::numbered(2)));
    // And who comes later is told.
    assert!(orders.is_closed());
}

async fn keys(setup: &Setup, master: &Master, attempt: u64) -> Keys {
    let options = connect(master.request_address());
    let aes = || Crypticle::parse(STANDARD.encode([7; 56]).as_bytes()).unwrap();
    let channel = Channel::open(Parts {
        attempt: AttemptId::numbered(attempt),
        master: Position::FIRST,
        key: PublicKey::parse(master.key().public().to_file().as_bytes()).unwrap(),
        publisher: master.publish_address(),
        requests: Requests::new(aes(), &setup.identity.as_wire()),
        request: Request::connect(&options).await.unwrap(),
        options,
        // The line's own word is not asked for here.
        notices: mpsc::channel(1).0,
    });
    Keys {
        aes: aes(),
        channel,
        last_serial: None,
    }
}

fn setup(minion: &Keypair) -> Arc<Setup> {
    let key = PrivateKey::from_pem(&minion.to_pem()).unwrap();
    let algorithms = Algorithms {
        signing: Algorithm::Sha1,
        encryption: Encryption::Sha1,
    };
    let id = "minion".parse().unwrap();
    let identity = Identity::new(id, key, "minion.pem".into(), algorithms, None).unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new(Vec::new()));
    let setup = Setup::new(Arc::new(identity), store, Settings::default(), Vec::new());
    Arc::new(setup)
}

fn connect(target: std::net::SocketAddr) -> Connect {
    Connect {
        target,
        source: None,
        keepalive: Keepalive::Off,
        within: Duration::from_secs(60),
        rhythm: Rhythm {
            interval: Duration::MAX,
            patience: Duration::MAX,
        },
    }
}
