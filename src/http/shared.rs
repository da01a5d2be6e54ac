//! State that the handlers share. Room: http.

use std::sync::Arc;

use super::socket::connection_limits::Sockets;
use crate::http::{concurrency::ConcurrencyLimit, rate_limit::RateLimiter};
use crate::{app::App, base::limits::Limits, graphql::Pipeline};

/// State that the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: Arc<App>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) limits: Limits,
    /// `None` if there is no rate limit.
    pub(super) rate_limiter: Option<Arc<RateLimiter>>,
    pub(super) concurrency: ConcurrencyLimit,
    pub(super) sockets: Arc<Sockets>,
    /// Whether GraphiQL is served.
    pub(super) graphiql: bool,
}
