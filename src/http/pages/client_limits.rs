//! Limits on forms per client and per link in a minute; client addresses are stored nowhere else. Room: http/pages.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderMap, HeaderName};
use governor::{
    Quota, RateLimiter, clock::MonotonicClock, middleware::NoOpMiddleware, state::keyed::HashMapStateStore,
};

/// Number of forms after which clients with a full quota are forgotten.
const CLEANUP_EVERY: u64 = 1_000;
/// Maximum number of clients that are counted separately. Further ones share one quota.
const MAX_CLIENTS: usize = 50_000;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The sender of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// An IP address; for IPv6 the /64 network, because one household has many addresses.
    At(IpAddr),
    /// A client without a known address, or beyond the maximum number.
    Other,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// The remaining quotas of clients and valid links, in this process.
pub(super) struct ClientLimits {
    limiter: Limiter<Client>,
    /// Keyed by the hash of their token.
    links: Limiter<u64>,
    hasher: RandomState,
    behind_proxy: bool,
    forms: AtomicU64,
}

impl ClientLimits {
    /// Limits of `per_minute` forms; `None` for no limit. Behind a proxy, the proxy states the client address.
    pub(super) fn new(per_minute: u32, behind_proxy: bool) -> Option<Self> {
        let quota = NonZeroU32::new(per_minute)?;
        let quota = Quota::per_minute(quota);
        let limiter = RateLimiter::hashmap_with_clock(quota, MonotonicClock);
        let links = RateLimiter::hashmap_with_clock(quota, MonotonicClock);
        Some(Self { limiter, links, hasher: RandomState::new(), behind_proxy, forms: AtomicU64::new(0) })
    }

    /// The sender of a form.
    pub(super) fn identify(&self, headers: &HeaderMap, peer: Option<Peer>) -> Client {
        self.address(headers, peer).map_or(Client::Other, |address| Client::At(network(address)))
    }

    /// Whether the client may send one more form.
    pub(super) fn may_send(&self, client: Client) -> bool {
        self.cleanup();
        let client = if self.limiter.len() < MAX_CLIENTS { client } else { Client::Other };
        self.limiter.check_key(&client).is_ok()
    }

    /// Whether one more form may be sent by the valid link `token`.
    pub(super) fn may_send_by_link(&self, token: &str) -> bool {
        self.cleanup();
        // Valid links cannot be forged, so there are only as many as were mailed.
        self.links.check_key(&self.hasher.hash_one(token)).is_ok()
    }

    fn cleanup(&self) {
        if self.forms.fetch_add(1, Ordering::Relaxed) % CLEANUP_EVERY == CLEANUP_EVERY - 1 {
            self.limiter.retain_recent();
            self.links.retain_recent();
        }
    }

    /// Only the last hop is what the proxy itself has seen; anybody can write the hops before it. The crate
    /// `axum-client-ip` (1.3.1) reads no address with a port or brackets, which some proxies send, so this is our own.
    fn address(&self, headers: &HeaderMap, peer: Option<Peer>) -> Option<IpAddr> {
        let hop = || headers.get_all(X_FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next();
        let forwarded = self.behind_proxy.then(hop).flatten().and_then(parse_address);
        forwarded.or(peer.map(|Peer(address)| address))
    }
}

/// An address, with or without a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<Peer> {
        Some(Peer(text.parse().unwrap()))
    }

    fn sends(client_limits: &ClientLimits, headers: &HeaderMap, peer: Option<Peer>) -> bool {
        client_limits.may_send(client_limits.identify(headers, peer))
    }

    #[test]
    fn each_client_has_its_own_minute() {
        let client_limits = ClientLimits::new(2, false).unwrap();
        let none = HeaderMap::new();
        let mut lies = HeaderMap::new();
        lies.insert(X_FORWARDED_FOR, "10.0.0.9".parse().unwrap());
        assert!(
            sends(&client_limits, &none, peer("10.0.0.1")) && sends(&client_limits, &lies, peer("10.0.0.1"))
        );
        assert!(!sends(&client_limits, &lies, peer("10.0.0.1")));
        assert!(sends(&client_limits, &none, peer("10.0.0.2")));
        // One network of IPv6, and an address of IPv4 in the clothes of IPv6.
        assert!(
            sends(&client_limits, &none, peer("2001:db8::1"))
                && sends(&client_limits, &none, peer("2001:db8::2"))
        );
        assert!(!sends(&client_limits, &none, peer("2001:db8::3")));
        assert!(!sends(&client_limits, &none, peer("::ffff:10.0.0.1")));
        assert!(sends(&client_limits, &none, None) && sends(&client_limits, &none, None));
        assert!(!sends(&client_limits, &none, None));
        assert!(ClientLimits::new(0, false).is_none());
    }

    #[test]
    fn each_link_has_its_own_minute() {
        let client_limits = ClientLimits::new(1, false).unwrap();
        assert!(
            sends(&client_limits, &HeaderMap::new(), None) && !sends(&client_limits, &HeaderMap::new(), None)
        );
        assert!(client_limits.may_send_by_link("one") && client_limits.may_send_by_link("other"));
        assert!(!client_limits.may_send_by_link("one") && !client_limits.may_send_by_link("other"));
    }

    #[test]
    fn behind_a_proxy_its_last_word_counts() {
        let client_limits = ClientLimits::new(1, true).unwrap();
        let forwarded = |text: &str| HeaderMap::from_iter([(X_FORWARDED_FOR, text.parse().unwrap())]);
        let proxy = peer("127.0.0.1");
        assert!(sends(&client_limits, &forwarded("10.9.9.9, 10.0.0.1"), proxy));
        assert!(!sends(&client_limits, &forwarded("10.8.8.8,10.0.0.1:4711"), proxy));
        assert!(sends(&client_limits, &forwarded("[2001:db8::1]:4711"), proxy));
        assert!(!sends(&client_limits, &forwarded("2001:db8::2"), proxy));
        assert!(sends(&client_limits, &forwarded("unknown"), proxy));
        assert!(!sends(&client_limits, &HeaderMap::new(), proxy));
    }
}
