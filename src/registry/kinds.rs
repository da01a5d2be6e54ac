//! Kinds of data, and of values: what a field is said to be. Room: registry.

use super::enums::EnumType;

/// The kind of data a field holds; the policy grants by it (`data:<category>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataCategory {
    /// `id`, `createdAt`: readable where any field of the type is.
    Key,
    /// Names and language.
    Identity,
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// Postal addresses and their parts.
    Postal,
    /// Company and job.
    Employment,
    /// Birth date.
    Birth,
    /// Text written by staff.
    FreeText,
    /// Links by which the person decides.
    Preference,
    /// State and bookkeeping of a record.
    Technical,
    /// Where a value comes from.
    Provenance,
    /// Recorded grounds.
    Ground,
    /// Objections.
    Objection,
    /// Consents and their events.
    Consent,
    /// Data-subject requests.
    Request,
    /// Restrictions of processing.
    Restriction,
    /// What was done, by whom, when.
    Audit,
    /// Values before and after a change.
    AuditValue,
    /// Tokens and recipients.
    Administration,
    /// The way from one governed type to another.
    Link,
}

impl DataCategory {
    /// The name in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            DataCategory::Key => "key",
            DataCategory::Identity => "identity",
            DataCategory::Email => "email",
            DataCategory::Phone => "phone",
            DataCategory::Postal => "postal",
            DataCategory::Employment => "employment",
            DataCategory::Birth => "birth",
            DataCategory::FreeText => "free_text",
            DataCategory::Preference => "preference",
            DataCategory::Technical => "technical",
            DataCategory::Provenance => "provenance",
            DataCategory::Ground => "ground",
            DataCategory::Objection => "objection",
            DataCategory::Consent => "consent",
            DataCategory::Request => "request",
            DataCategory::Restriction => "restriction",
            DataCategory::Audit => "audit",
            DataCategory::AuditValue => "audit_value",
            DataCategory::Administration => "administration",
            DataCategory::Link => "link",
        }
    }
}

/// The channels whose consent a field needs under a purpose on consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequiredChannel {
    /// A consent for e-mail.
    Email,
    /// A consent for calls or text messages.
    Phone,
    /// A consent for post.
    Post,
}

/// What a caller gets who may only see the masked value. Masks keep the type; null stays null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `***`: nothing of the value.
    Hidden,
    /// `***@***`: neither length nor domain.
    Email,
    /// The year of a date, a reduced-precision ISO 8601 string (`1984`).
    Year,
    /// The first letter: `S***`.
    Initial,
    /// There is no masked form: masked is null.
    Null,
}

/// What kind of value a column holds.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// An opaque UUID.
    Id,
    /// Text.
    Text,
    /// A JSON array of text.
    TextList,
    /// A JSON array of names of an enum.
    EnumList(&'static EnumType),
    /// A 32-bit integer.
    Int,
    /// An instant, RFC 3339 in UTC.
    DateTime,
    /// A calendar date, ISO 8601.
    Date,
    /// One of an enum's names.
    Enum(&'static EnumType),
    /// A status that reads `EXPIRED` once `expires_at` has passed while it is `GRANTED`.
    Expiring(&'static EnumType),
    /// Sealed values of an audit entry, before or after the change; a JSON object by coordinate.
    Sealed {
        /// Whether those after the change.
        after: bool,
    },
}
