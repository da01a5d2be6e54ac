//! What the handlers share. Room: http.

use std::sync::Arc;

use super::{admission::Admission, rates::Rates, socket::places::Sockets};
use crate::{app::App, base::limits::Limits, graphql::Engine};

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: Arc<App>,
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    /// `None` where credentials may spend without limit.
    pub(super) rates: Option<Arc<Rates>>,
    pub(super) admission: Admission,
    pub(super) sockets: Arc<Sockets>,
    /// Whether the page GraphiQL is served.
    pub(super) graphiql: bool,
}
