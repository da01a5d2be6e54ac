//! The choices of a sign-up. Room: domain/signups.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A sign-up with its evidence.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The contact, if the sign-up is for a known one.
    pub contact_id: Option<Uuid>,
    /// E-mail address.
    pub address: String,
    /// Given name, if given.
    pub given_name: Option<String>,
    /// Family name, if given.
    pub family_name: Option<String>,
    /// Language of the texts and of the mail.
    pub language: String,
    /// The form it was made with.
    pub source: String,
    /// The consents.
    pub choices: Vec<Choice>,
    /// Version of the privacy notice shown.
    pub notice_version: Option<String>,
    /// When the person signed up.
    pub signed_up_at: DateTime<Utc>,
}

/// A purpose consented to.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Code of the purpose.
    pub purpose: String,
    /// Version of the text; the current one by default.
    pub text_version: Option<String>,
}

/// A choice as stored until it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredChoice {
    pub(super) purpose: String,
    pub(super) channel: String,
    pub(super) text: Uuid,
}
