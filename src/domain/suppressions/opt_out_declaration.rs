//! What is declared about an address, as it is put on the list. Room: domain/suppressions.

use chrono::{DateTime, Utc};
use entity::enums::{Channel, SuppressionKind};

/// A no to advertising, as it is put on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutDeclaration {
    /// Code of the purpose or group.
    pub purpose: String,
    /// What it is.
    pub kind: SuppressionKind,
    /// The channel, where one was named.
    pub channel: Option<Channel>,
    /// When.
    pub since: DateTime<Utc>,
    /// Where it was declared.
    pub source: Option<String>,
}
