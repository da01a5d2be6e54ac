//! What each credential may spend in a minute, and the headers that tell how much is left. Room: http.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER},
    response::Response,
};
use governor::{
    Quota, RateLimiter as Governor,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{
    base::error::{Code, Error},
    graphql::CostMeter,
};

/// draft-ietf-httpapi-ratelimit-headers-10; a unit is what an operation costs at least.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Charges after which credentials that have everything left are forgotten.
const CLEANUP_EVERY: u64 = 10_000;

type Limiter = Governor<String, HashMapStateStore<String>, MonotonicClock, StateInformationMiddleware>;

/// What every credential has left, in this process.
pub(super) struct RateLimiter {
    limiter: Limiter,
    quota: u32,
    charges: AtomicU64,
}

impl RateLimiter {
    /// Rates at which a credential may spend `per_minute`, all of it at once too; `None` for no limit.
    pub(super) fn new(per_minute: u64) -> Option<Arc<Self>> {
        let quota = NonZeroU32::new(u32::try_from(per_minute).unwrap_or(u32::MAX))?;
        let limiter = Governor::hashmap_with_clock(Quota::per_minute(quota), MonotonicClock)
            .with_middleware::<StateInformationMiddleware>();
        Some(Arc::new(Self { limiter, quota: quota.get(), charges: AtomicU64::new(0) }))
    }
}

/// What one credential spends by one request.
pub(super) struct Account {
    rates: Arc<RateLimiter>,
    credential: String,
    left: AtomicU32,
    /// Seconds to wait, once a charge was refused.
    wait: AtomicU64,
}

impl Account {
    pub(super) fn new(rates: Arc<RateLimiter>, credential: &str) -> Self {
        let credential = credential.to_owned();
        Self { rates, credential, left: AtomicU32::new(0), wait: AtomicU64::new(0) }
    }

    /// Tells what is left, and when there will be enough.
    pub(super) fn stamp(&self, response: &mut Response) {
        let (quota, left) = (self.rates.quota, self.left.load(Ordering::Relaxed));
        let full = (u64::from(quota.saturating_sub(left)) * 60).div_ceil(u64::from(quota));
        let headers = response.headers_mut();
        tell(headers, RATELIMIT_POLICY, &format!("\"credential\";q={quota};w=60"));
        tell(headers, RATELIMIT, &format!("\"credential\";r={left};t={full}"));
        let wait = self.wait.load(Ordering::Relaxed);
        if wait > 0 {
            tell(headers, RETRY_AFTER, &wait.to_string());
        }
    }
}

fn tell(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl CostMeter for Account {
    fn charge(&self, cost: u64) -> Result<(), Error> {
        let limiter = &self.rates.limiter;
        if self.rates.charges.fetch_add(1, Ordering::Relaxed) % CLEANUP_EVERY == CLEANUP_EVERY - 1 {
            limiter.retain_recent();
        }
        let Some(cost) = NonZeroU32::new(u32::try_from(cost).unwrap_or(u32::MAX)) else { return Ok(()) };
        match limiter.check_key_n(&self.credential, cost) {
            Ok(Ok(state)) => {
                self.left.store(state.remaining_burst_capacity(), Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(MonotonicClock.now()).as_secs() + 1;
                self.wait.store(wait, Ordering::Relaxed);
                Err(Error::new(Code::RateLimited, "this credential has spent what it may spend in a minute"))
            }
            Err(_) => Err(Error::new(
                Code::QueryTooComplex,
                "the operation costs more than a credential may spend in a minute",
            )),
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("credential", &self.credential).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_spends_its_own() {
        let rates = RateLimiter::new(10).unwrap();
        let one = Account::new(rates.clone(), "token:1");
        one.charge(7).unwrap();
        assert_eq!(one.left.load(Ordering::Relaxed), 3);
        assert_eq!(one.charge(4).unwrap_err().code, Code::RateLimited);
        assert!((1..=7).contains(&one.wait.load(Ordering::Relaxed)));
        one.charge(3).unwrap();
        let other = Account::new(rates, "token:2");
        assert_eq!(other.charge(11).unwrap_err().code, Code::QueryTooComplex);
        other.charge(10).unwrap();
        let mut response = Response::default();
        other.stamp(&mut response);
        assert_eq!(response.headers().get("ratelimit-policy").unwrap(), "\"credential\";q=10;w=60");
        assert_eq!(response.headers().get("ratelimit").unwrap(), "\"credential\";r=0;t=60");
        assert!(RateLimiter::new(0).is_none());
    }

    #[test]
    fn who_has_everything_left_is_forgotten() {
        // So much in a minute that a charge is made up for at once.
        let rates = RateLimiter::new(u64::MAX).unwrap();
        for number in 0..3 * CLEANUP_EVERY {
            Account::new(rates.clone(), &format!("token:{number}")).charge(1).unwrap();
            assert!(rates.limiter.len() as u64 <= CLEANUP_EVERY + 1);
        }
    }
}
