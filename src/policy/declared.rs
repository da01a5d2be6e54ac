//! The data declared in `purposes.toml` and the texts: roles, purposes, forms and consent texts. Room: policy.

use std::sync::Arc;

use sha2::{Digest, Sha256};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in files, tables and the SDL.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Parses the name.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

words! {
    /// Legal bases of Art. 6(1).
    LegalBasis {
        /// (a)
        Consent = "CONSENT",
        /// (b)
        Contract = "CONTRACT",
        /// (c)
        LegalObligation = "LEGAL_OBLIGATION",
        /// (d)
        VitalInterests = "VITAL_INTERESTS",
        /// (e)
        PublicTask = "PUBLIC_TASK",
        /// (f)
        LegitimateInterests = "LEGITIMATE_INTERESTS",
    }
}

impl LegalBasis {
    /// Whether Art. 21(1) grants a right to object.
    pub fn can_be_objected_to(self) -> bool {
        matches!(self, Self::PublicTask | Self::LegitimateInterests)
    }
}

words! {
    /// What makes a purpose lawful for one contact.
    Grounds {
        /// A consent of that contact in force.
        Consent = "consent",
        /// A recorded ground of that contact.
        Recorded = "recorded",
        /// Nothing further: the purpose applies to every contact.
        EveryContact = "every_contact",
        /// No contact at all.
        None = "none",
    }
}

words! {
    /// Ways to reach a person.
    Channel {
        /// E-mail.
        Email = "EMAIL",
        /// Calls.
        Phone = "PHONE",
        /// Text messages.
        Sms = "SMS",
        /// Letters.
        Post = "POST",
    }
}

/// A purpose or a group of purposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurposeDef {
    /// Code, without prefix.
    pub code: String,
    /// Title, German.
    pub title_de: String,
    /// Title, English.
    pub title_en: String,
    /// Description, German.
    pub description_de: String,
    /// Description, English.
    pub description_en: String,
    /// Legal basis; none for groups.
    pub basis: Option<LegalBasis>,
    /// What makes it lawful for one contact.
    pub grounds: Grounds,
    /// Channels that it uses; consent is given per channel.
    pub channels: Vec<Channel>,
    /// The group that an objection or withdrawal may name instead.
    pub group: Option<String>,
    /// Whether it is a group, which is never the purpose of an operation.
    pub is_group: bool,
    /// Whether it also sees consents, objections and requests of other purposes.
    pub sees_all: bool,
    /// Whether it is allowed while processing is restricted (Art. 18(2)).
    pub allowed_restricted: bool,
    /// Whether it is allowed while the record is only retained (Art. 17(3)(b)).
    pub allowed_retained: bool,
    /// Term of the Data Privacy Vocabulary.
    pub dpv_iri: Option<String>,
    /// Kinds of proof that a consent needs (Art. 7(1)).
    pub proof: Vec<String>,
    /// How long a consent is valid, ISO 8601, e.g. `P2Y`.
    pub validity: Option<String>,
    /// How long before its expiry a consent is due for review, ISO 8601, e.g. `P2M`.
    pub review: Option<String>,
    /// Whether the person is asked by e-mail to renew the consent when the review is due.
    pub asks_renewal: bool,
    /// How long data is kept after the purpose has ended, ISO 8601.
    pub retention: Option<String>,
    /// Categories of recipients (Art. 13(1)(e)).
    pub recipients: Vec<String>,
}

/// A role of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDef {
    /// Code, without prefix.
    pub code: String,
    /// Title, German.
    pub title_de: String,
    /// Title, English.
    pub title_en: String,
    /// Whether this is the role of the data subjects themselves, who only see their own rows.
    pub of_subject: bool,
}

/// What `purposes.toml` declares.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) roles: Vec<RoleDef>,
    pub(super) purposes: Vec<Arc<PurposeDef>>,
    pub(super) forms: Vec<FormDef>,
    pub(super) requirements: Vec<TextRequirement>,
}

/// A sign-up form (`/p/signup/<code>`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormDef {
    /// Code, also part of its URL.
    pub code: String,
    /// Title, German.
    pub title_de: String,
    /// Title, English.
    pub title_en: String,
    /// Purposes that can be consented to, each with its own check box.
    pub purposes: Vec<String>,
    /// Optional name fields in addition to the e-mail address.
    pub fields: Vec<String>,
    /// Version of the linked privacy notice (Art. 13).
    pub notice_version: Option<String>,
    /// URL of that notice.
    pub notice_url: Option<String>,
    /// Line in the file.
    pub(super) line: usize,
}

/// What a version of a text requires of consents to earlier versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextRequirement {
    pub(super) purpose: String,
    pub(super) version: String,
    pub(super) renew_within: Option<String>,
    pub(super) line: usize,
}

/// A consent text, identified by its hash: once published it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentText {
    /// Code of the purpose.
    pub purpose: String,
    /// Language (BCP 47).
    pub language: String,
    /// Version.
    pub version: String,
    /// The text in full.
    pub text: String,
    /// How long consents to earlier versions stay valid, ISO 8601; `None` for no limit.
    pub renew_within: Option<String>,
}

impl ConsentText {
    /// SHA-256 of the text, hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.text))
    }
}
