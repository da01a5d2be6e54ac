//! An opt-out as it is put on the list. Room: domain/suppressions.

use chrono::{DateTime, Utc};
use entity::enums::{Channel, SuppressionKind};

/// An opt-out of advertising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutDeclaration {
    /// Code of the purpose or group.
    pub purpose: String,
    /// Its kind.
    pub kind: SuppressionKind,
    /// The channel, if one was named.
    pub channel: Option<Channel>,
    /// When it was declared.
    pub since: DateTime<Utc>,
    /// Where it was declared.
    pub source: Option<String>,
}
