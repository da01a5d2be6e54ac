//! The cost budget of each credential per minute, and the headers that report what is left. Room: http.

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

/// draft-ietf-httpapi-ratelimit-headers-10; one unit is the minimum cost of an operation.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Number of charges after which credentials with a full budget are forgotten.
const CLEANUP_EVERY: u64 = 10_000;

type Limiter = Governor<String, HashMapStateStore<String>, MonotonicClock, StateInformationMiddleware>;

/// The remaining budgets of all credentials, in this process.
pub(super) struct RateLimiter {
    limiter: Limiter,
    quota: u32,
    charges: AtomicU64,
}

impl RateLimiter {
    /// A limiter with a budget of `per_minute` for each credential, which may be spent at once; `None` for no limit.
    pub(super) fn new(per_minute: u64) -> Option<Arc<Self>> {
        let quota = NonZeroU32::new(u32::try_from(per_minute).unwrap_or(u32::MAX))?;
        let limiter = Governor::hashmap_with_clock(Quota::per_minute(quota), MonotonicClock)
            .with_middleware::<StateInformationMiddleware>();
        Some(Arc::new(Self { limiter, quota: quota.get(), charges: AtomicU64::new(0) }))
    }
}

/// The account of one credential for one request.
pub(super) struct RateAccount {
    rate_limiter: Arc<RateLimiter>,
    credential: String,
    left: AtomicU32,
    /// Seconds to wait after a refused charge.
    wait: AtomicU64,
}

impl RateAccount {
    pub(super) fn new(rate_limiter: Arc<RateLimiter>, credential: &str) -> Self {
        let credential = credential.to_owned();
        Self { rate_limiter, credential, left: AtomicU32::new(0), wait: AtomicU64::new(0) }
    }

    /// Sets the headers that report what is left and when to retry.
    pub(super) fn set_headers(&self, response: &mut Response) {
        let (quota, left) = (self.rate_limiter.quota, self.left.load(Ordering::Relaxed));
        let full = (u64::from(quota.saturating_sub(left)) * 60).div_ceil(u64::from(quota));
        let headers = response.headers_mut();
        insert_header(headers, RATELIMIT_POLICY, &format!("\"credential\";q={quota};w=60"));
        insert_header(headers, RATELIMIT, &format!("\"credential\";r={left};t={full}"));
        let wait = self.wait.load(Ordering::Relaxed);
        if wait > 0 {
            insert_header(headers, RETRY_AFTER, &wait.to_string());
        }
    }
}

fn insert_header(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl CostMeter for RateAccount {
    fn charge(&self, cost: u64) -> Result<(), Error> {
        let limiter = &self.rate_limiter.limiter;
        if self.rate_limiter.charges.fetch_add(1, Ordering::Relaxed) % CLEANUP_EVERY == CLEANUP_EVERY - 1 {
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
                Err(Error::new(Code::RateLimited, "this credential has used up its budget for this minute"))
            }
            Err(_) => Err(Error::new(
                Code::QueryTooComplex,
                "the operation costs more than the budget of a credential per minute",
            )),
        }
    }
}

impl std::fmt::Debug for RateAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateAccount").field("credential", &self.credential).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_spends_its_own() {
        let rate_limiter = RateLimiter::new(10).unwrap();
        let account = RateAccount::new(rate_limiter.clone(), "token:1");
        account.charge(7).unwrap();
        assert_eq!(account.left.load(Ordering::Relaxed), 3);
        assert_eq!(account.charge(4).unwrap_err().code, Code::RateLimited);
        assert!((1..=7).contains(&account.wait.load(Ordering::Relaxed)));
        account.charge(3).unwrap();
        let other_account = RateAccount::new(rate_limiter, "token:2");
        assert_eq!(other_account.charge(11).unwrap_err().code, Code::QueryTooComplex);
        other_account.charge(10).unwrap();
        let mut response = Response::default();
        other_account.set_headers(&mut response);
        assert_eq!(response.headers().get("ratelimit-policy").unwrap(), "\"credential\";q=10;w=60");
        assert_eq!(response.headers().get("ratelimit").unwrap(), "\"credential\";r=0;t=60");
        assert!(RateLimiter::new(0).is_none());
    }

    #[test]
    fn who_has_everything_left_is_forgotten() {
        // So much in a minute that a charge is made up for at once.
        let rate_limiter = RateLimiter::new(u64::MAX).unwrap();
        for number in 0..3 * CLEANUP_EVERY {
            RateAccount::new(rate_limiter.clone(), &format!("token:{number}")).charge(1).unwrap();
            assert!(rate_limiter.limiter.len() as u64 <= CLEANUP_EVERY + 1);
        }
    }
}
