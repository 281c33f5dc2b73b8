//! Whether a request is answered at all: its caller's share, and the service's own.
//!
//! Asked when the body is there and before anything is done with it. Asking earlier would let slow
//! senders hold places that they do not use; asking later would spend what is to be protected. Who
//! is turned away is told when to come back; nobody waits in a line without an end.
//!
//! A request for a signature may wait for the HSM as long as its deadline lets it, and any other is
//! answered within moments. So these have at most half of the places: however long the HSM's queue
//! is configured, what is stored goes on being served.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::{Kind, Problem};
use crate::authorize::Identity;
use crate::config::Limits;
use crate::tls::peer::Peer;

/// The places and the shares. Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    /// How many of these may be held by requests that wait for a signature.
    signing: Arc<Semaphore>,
    /// For operators when the others have taken every place: somebody must be able to look.
    reserved: Arc<Semaphore>,
    shares: Arc<DefaultKeyedRateLimiter<[u8; 32]>>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let share = u32::try_from(limits.requests_per_second).ok();
        let share = share.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        Self {
            places: Arc::new(Semaphore::new(limits.requests)),
            signing: Arc::new(Semaphore::new(signing_places(limits.requests))),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            shares: Arc::new(RateLimiter::keyed(Quota::per_second(share))),
        }
    }

    /// A place for as long as the request is answered.
    pub(super) fn admit(&self, peer: Option<&Peer>, method: &Method) -> Result<Place, Problem> {
        if let Some(peer) = peer
            && let Err(early) = self.shares.check_key(&peer.client_key)
        {
            let wait = early.wait_time_from(DefaultClock::default().now());
            count("share");
            return Err(Problem::new(
                Kind::TooManyRequests,
                "this client key sent more requests than its share (limits.requests_per_second)",
            )
            .retry_after(wait.max(Duration::from_secs(1))));
        }
        // The only PUT is the one for a signature.
        let signing = if method == Method::PUT {
            let Ok(place) = Arc::clone(&self.signing).try_acquire_owned() else {
                count("signing");
                return Err(Problem::new(
                    Kind::Unavailable,
                    "as many requests wait for a signature as may (half of limits.requests); repeat \
                     it later",
                ));
            };
            Some(place)
        } else {
            None
        };
        let taken = |place| Place {
            _place: place,
            _signing: signing,
        };
        let is_operator =
            peer.is_some_and(|peer| matches!(peer.identity, Identity::Operator { .. }));
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(taken(place));
        }
        if is_operator && let Ok(place) = Arc::clone(&self.reserved).try_acquire_owned() {
            return Ok(taken(place));
        }
        count("places");
        Err(Problem::new(
            Kind::Unavailable,
            "as many requests are being answered as may be (limits.requests); repeat it later",
        ))
    }

    /// Forgets the callers who have their whole share again.
    pub(super) fn forget(&self) {
        self.shares.retain_recent();
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _signing: Option<OwnedSemaphorePermit>,
}

/// Half of all places; a service with a single one has no other half.
const fn signing_places(requests: usize) -> usize {
    let half = requests / 2;
    if half == 0 { 1 } else { half }
}

fn count(reason: &'static str) {
    metrics::counter!("mastersign_requests_turned_away_total", "reason" => reason).increment(1);
}

/// For a few people with a few tools each.
const RESERVED: usize = 8;

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::tls::testing::Setting;

    fn limits(requests: usize, requests_per_second: usize) -> Limits {
        let second = Duration::from_secs(1);
        Limits {
            connections: 1,
            connections_per_address: 1,
            requests,
            requests_per_second,
            handshake_timeout: second,
            header_timeout: second,
            request_timeout: second,
            drain_timeout: second,
        }
    }

    fn peers() -> [Peer; 3] {
        let setting = Setting::new();
        let peer = |pair: crate::tls::testing::Pair| Peer::from_certificate(&pair.der).unwrap();
        [
            peer(setting.masters.client("mastersign:master:one")),
            peer(setting.masters.client("mastersign:master:two")),
            peer(setting.operators.client("mastersign:admin:ada")),
        ]
    }

    #[test]
    fn whoever_asks_too_often_is_told_so_and_nobody_else_is() {
        let admission = Admission::new(&limits(100, 3));
        let [one, two, _] = peers();
        for _ in 0..3 {
            drop(admission.admit(Some(&one), &Method::GET).unwrap());
        }
        let refused = admission.admit(Some(&one), &Method::GET).unwrap_err();
        assert_eq!(refused.kind(), Kind::TooManyRequests);
        drop(admission.admit(Some(&two), &Method::GET).unwrap());
        admission.forget();
        let refused = admission.admit(Some(&one), &Method::GET).unwrap_err();
        assert_eq!(
            refused.kind(),
            Kind::TooManyRequests,
            "a share in use is not forgotten"
        );
    }

    #[test]
    fn a_full_house_turns_away_masters_and_lets_some_operators_in() {
        let admission = Admission::new(&limits(2, 1000));
        let [one, two, ada] = peers();
        let first = admission.admit(Some(&one), &Method::GET).unwrap();
        let _second = admission.admit(Some(&two), &Method::GET).unwrap();
        let refused = admission.admit(Some(&one), &Method::GET).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        let operators: Vec<_> = (0..RESERVED)
            .map(|_| admission.admit(Some(&ada), &Method::GET).unwrap())
            .collect();
        assert!(admission.admit(Some(&ada), &Method::GET).is_err());
        drop(operators);
        drop(first);
        drop(admission.admit(Some(&one), &Method::GET).unwrap());
    }

    #[test]
    fn those_who_wait_for_a_signature_leave_half_of_the_places_to_the_others() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let admission = Admission::new(&limits(5, 1000));
        let [one, two, ada] = peers();
        let mut waiting: Vec<_> = (0..2)
            .map(|_| admission.admit(Some(&one), &Method::PUT).unwrap())
            .collect();
        for peer in [&one, &two, &ada] {
            let refused = admission.admit(Some(peer), &Method::PUT).unwrap_err();
            assert_eq!(refused.kind(), Kind::Unavailable);
            assert!(refused.detail().contains("wait for a signature"));
        }
        let counted = "mastersign_requests_turned_away_total{reason=\"signing\"} 3";
        assert!(metrics.render().contains(counted), "{}", metrics.render());
        let reading: Vec<_> = (0..3)
            .map(|_| admission.admit(Some(&two), &Method::GET).unwrap())
            .collect();
        // The reverse is no rule: what is not waited for may have all of them.
        waiting.clear();
        let more: Vec<_> = (0..2)
            .map(|_| admission.admit(Some(&two), &Method::GET).unwrap())
            .collect();
        let refused = admission.admit(Some(&one), &Method::PUT).unwrap_err();
        assert!(!refused.detail().contains("wait for a signature"));
        drop((reading, more));
        // What was turned away by the one kept nothing of the other.
        let again = (0..2).map(|_| admission.admit(Some(&one), &Method::PUT));
        assert!(again.collect::<Result<Vec<_>, _>>().is_ok());
        // One place is one place.
        let single = Admission::new(&limits(1, 1000));
        drop(single.admit(Some(&one), &Method::PUT).unwrap());
    }
}
