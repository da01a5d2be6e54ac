//! Serialises values with secrets starred. Room: config.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use crate::base::identities::Region;

/// Stars a secret.
pub(super) fn starred<T, S: Serializer>(secret: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_some("***"),
        None => serializer.serialize_none(),
    }
}

/// The database URL. A PostgreSQL URL may hold a password anywhere, so only its scheme is shown.
pub(super) fn url<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match url.split_once("://") {
        Some(("sqlite", _)) => serializer.serialize_str(url),
        Some((scheme, _)) => serializer.serialize_str(&format!("{scheme}://***")),
        None => serializer.serialize_str("***"),
    }
}

/// Like [`url`], for an optional URL.
pub(super) fn reader_url<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => url(text, serializer),
        None => serializer.serialize_none(),
    }
}

/// The URL of the mail server, starred if it holds a password.
pub(super) fn mail_url<S: Serializer>(url: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) if has_password(url) => serializer.serialize_some("***"),
        url => url.serialize(serializer),
    }
}

/// An address; empty for none.
pub(super) fn address<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&address.map(|address| address.to_string()).unwrap_or_default())
}

/// A region; empty for none.
pub(super) fn region<S: Serializer>(region: &Option<Region>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&region.map(|region| region.to_string()).unwrap_or_default())
}

/// Whether a URL holds a password: before the `@` or in the query.
pub(super) fn has_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (address, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = address.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
    let named = settings.split('&').any(|setting| setting.starts_with("password="));
    named || user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}
