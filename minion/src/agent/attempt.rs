//! One attempt to sign in, from a master's name to a session's keys and both its connections.
//!
//! The subscription is part of it: a master that lets us in but publishes nothing is of no use, and
//! a minion that goes to another master must hear the new one before it lets go of the old.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::clock::after;
use super::outcome::{self, Failed};
use super::random::nonce;
use super::resolve::addresses;
use super::setup::Setup;
use crate::config::Master;
use crate::net::{Connect, Request, Subscription};
use crate::verify::PublicKey;
use crate::wire::auth::{Handshake, Session, Trust};
use crate::zmtp::Identity;

/// What an attempt that succeeded has in hand.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) session: Session,
    /// The serial that was reached under its AES key before.
    pub(super) last_serial: Option<u64>,
    /// The connection for requests.
    pub(super) request: Request,
    /// Where it leads.
    pub(super) address: SocketAddr,
    /// Where the master publishes.
    pub(super) publisher: SocketAddr,
    /// The connection to it; none if it is subscribed there already.
    pub(super) subscription: Option<Subscription>,
}

/// Which master is asked, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) master: &'a Master,
    pub(super) within: Duration,
    pub(super) publications: Wanted,
}

/// Whether an attempt subscribes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    /// Yes.
    All,
    /// Unless the master publishes where a session is subscribed already.
    Elsewhere(SocketAddr),
    /// No.
    None,
}

/// Signs in; calls `reached` when the master has taken the connection and is about to be asked.
pub(super) async fn sign_in(
    setup: &Setup,
    asked: Asked<'_>,
    reached: impl FnOnce(),
) -> Result<SignedIn, Failed> {
    let deadline = after(asked.within);
    timeout_at(deadline, run(setup, asked, deadline, reached))
        .await
        .unwrap_or(Err(Failed::NoAnswer(asked.within)))
}

async fn run(
    setup: &Setup,
    asked: Asked<'_>,
    deadline: Instant,
    reached: impl FnOnce(),
) -> Result<SignedIn, Failed> {
    let mut targets = addresses(
        &asked.master.host,
        asked.master.port.get(),
        setup.network.ipv6,
    )
    .await
    .map_err(Failed::Resolve)?;
    if let Wanted::Elsewhere(known) = asked.publications {
        // A renewal goes where the session is: at another address of the same host there would be
        // another subscription to make.
        targets.sort_by_key(|target| target.ip() != known.ip());
    }
    let (address, request) = reach(setup, targets, deadline).await?;
    reached();
    let (session, request) = shake_hands(setup, asked.master, request, deadline).await?;
    let publisher = publisher(setup, address, session.publish_port);
    let subscription = match asked.publications {
        Wanted::None => None,
        Wanted::Elsewhere(known) if known == publisher => None,
        Wanted::All | Wanted::Elsewhere(_) => Some(subscribe(setup, publisher, deadline).await?),
    };
    let reached = setup.store.serial(&session.master, session.aes.id());
    let last_serial = reached.map_err(store("the last serial"))?;
    Ok(SignedIn {
        session,
        last_serial,
        request,
        address,
        publisher,
        subscription,
    })
}

/// Connects to whichever address answers first; each has a head start of a quarter of a second over
/// the next (RFC 8305, section 5).
async fn reach(
    setup: &Setup,
    targets: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<(SocketAddr, Request), Failed> {
    let mut targets = targets.into_iter();
    let mut attempts = JoinSet::new();
    let mut next_at = Instant::now();
    let mut failed = Failed::NoAddress;
    loop {
        let waiting = targets.len() > 0;
        if attempts.is_empty() && !waiting {
            return Err(failed);
        }
        tokio::select! {
            biased;
            Some(ended) = attempts.join_next() => match ended {
                Ok((address, Ok(request))) => return Ok((address, request)),
                Ok((_, Err(error))) => {
                    failed = Failed::Reach(error);
                    next_at = Instant::now();
                }
                // Nobody cancels one, and none panics; either way it did not connect.
                Err(_) => {}
            },
            () = sleep_until(next_at), if waiting => {
                if let Some(target) = targets.next() {
                    let options = request_options(setup, target, remaining(deadline));
                    attempts.spawn(async move { (target, Request::connect(&options).await) });
                }
                next_at = after(HEAD_START);
            }
        }
    }
}

async fn shake_hands(
    setup: &Setup,
    asked: &Master,
    request: Request,
    deadline: Instant,
) -> Result<(Session, Request), Failed> {
    let identity = &setup.identity;
    outcome::begun(identity.key_path()).say();
    let named = setup
        .store
        .signing_keys()
        .map_err(store("the signing keys"))?;
    let signing_keys: Vec<PublicKey> = named.iter().map(|signer| signer.key.clone()).collect();
    let revoked = setup
        .store
        .revoked()
        .map_err(store("the list of revoked keys"))?;
    let known = setup
        .store
        .pinned(&asked.endpoint())
        .map_err(store("the key of the master"))?;
    let trust = Trust {
        signing_keys: &signing_keys,
        revoked: &revoked,
        finger: setup.finger,
        known: known.as_ref(),
    };
    let (handshake, body) = Handshake::begin(identity.as_wire(), trust, nonce()?)?;
    let (reply, request) = request.exchange(&body, remaining(deadline)).await?;
    let session = handshake.finish(&reply)?;
    let signer = named.get(session.signer).map_or("", |signer| &signer.name);
    for line in outcome::verified(&asked.name, signer) {
        line.say();
    }
    outcome::begun(identity.key_path()).say();
    Ok((session, request))
}

fn store(what: &'static str) -> impl FnOnce(std::io::Error) -> Failed {
    move |source| Failed::Store { what, source }
}

/// Where a master publishes: the host that signed us in, and the port that it told, unless an
/// operator knows better.
fn publisher(setup: &Setup, address: SocketAddr, told: NonZeroU16) -> SocketAddr {
    let port = setup.publish_port.unwrap_or(told);
    SocketAddr::new(address.ip(), port.get())
}

async fn subscribe(
    setup: &Setup,
    publisher: SocketAddr,
    deadline: Instant,
) -> Result<Subscription, Failed> {
    let network = &setup.network;
    let id = setup.identity.id().as_str();
    let options = Connect {
        source: source(setup, publisher, network.source_publish_port),
        ..request_options(setup, publisher, remaining(deadline))
    };
    // Salt 3008.5, salt/transport/zeromq.py, PublishClient: the identity is the id; the topics are
    // everybody's and the hash of the id.
    let identity = Identity::new(id.as_bytes().to_vec());
    let own = hex_sha1(id);
    let topics: [&[u8]; 2] = [b"broadcast", own.as_bytes()];
    let everything: [&[u8]; 1] = [b""];
    let prefixes: &[&[u8]] = if network.zmq_filtering {
        &topics
    } else {
        &everything
    };
    let mut subscription = Subscription::connect(&options, identity, prefixes).await?;
    // It is answered after the subscription was read, so whoever hears that the minion is ready can
    // publish to it.
    subscription.probe(remaining(deadline)).await?;
    Ok(subscription)
}

/// How to connect to a request port.
pub(super) fn request_options(setup: &Setup, target: SocketAddr, within: Duration) -> Connect {
    let network = &setup.network;
    Connect {
        target,
        source: source(setup, target, network.source_ret_port),
        keepalive: network.keepalive,
        within,
        rhythm: setup.rhythm,
    }
}

/// Where a connection comes from, if that is configured.
fn source(setup: &Setup, target: SocketAddr, port: Option<NonZeroU16>) -> Option<SocketAddr> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let address = setup.network.source_address;
    let configured = address.is_some() || port.is_some();
    let port = port.map_or(0, NonZeroU16::get);
    configured.then(|| SocketAddr::new(address.unwrap_or(any), port))
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn hex_sha1(text: &str) -> String {
    use sha1::{Digest, Sha1};
    hex::encode(Sha1::digest(text.as_bytes()))
}

/// How long an address has before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);
