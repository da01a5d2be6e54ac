//! What a person signs up to. Room: domain/signups.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a person signs up to, with the evidence of it.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The contact, where it is asked for one that is known.
    pub contact_id: Option<Uuid>,
    /// E-mail address.
    pub address: String,
    /// Given name, if given.
    pub given_name: Option<String>,
    /// Family name, if given.
    pub family_name: Option<String>,
    /// Language of the texts and of the mail.
    pub language: String,
    /// The form it was made by.
    pub source: String,
    /// What is consented to.
    pub choices: Vec<Choice>,
    /// Version of the privacy notice shown.
    pub notice_version: Option<String>,
    /// When the person signed up.
    pub signed_up_at: DateTime<Utc>,
}

/// One purpose that is consented to.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Code of the purpose.
    pub purpose: String,
    /// Version of the text; the current one otherwise.
    pub text_version: Option<String>,
}

/// A choice as it is kept until it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredChoice {
    pub(super) purpose: String,
    pub(super) channel: String,
    pub(super) text: Uuid,
}
