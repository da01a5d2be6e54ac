//! Enums stored as text, the same words as in the SDL (floor 0).

use sea_orm::entity::prelude::*;

/// State of a contact's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ContactState {
    /// In use.
    #[sea_orm(string_value = "ACTIVE")]
    Active,
    /// Processing is restricted (Art. 18).
    #[sea_orm(string_value = "RESTRICTED")]
    Restricted,
    /// Kept apart because a law demands it (Art. 17(3)(b)).
    #[sea_orm(string_value = "RETAINED")]
    Retained,
    /// Erased (Art. 17).
    #[sea_orm(string_value = "ERASED")]
    Erased,
}

/// Kind of a contact point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ContactPointKind {
    /// E-mail address.
    #[sea_orm(string_value = "EMAIL")]
    Email,
    /// Phone number.
    #[sea_orm(string_value = "PHONE")]
    Phone,
    /// Postal address.
    #[sea_orm(string_value = "POSTAL")]
    Postal,
}

/// Legal basis (Art. 6(1) GDPR).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum LegalBasis {
    /// Consent, point (a).
    #[sea_orm(string_value = "CONSENT")]
    Consent,
    /// Contract or steps before one, point (b).
    #[sea_orm(string_value = "CONTRACT")]
    Contract,
    /// Legal obligation, point (c).
    #[sea_orm(string_value = "LEGAL_OBLIGATION")]
    LegalObligation,
    /// Vital interests, point (d).
    #[sea_orm(string_value = "VITAL_INTERESTS")]
    VitalInterests,
    /// Public task, point (e).
    #[sea_orm(string_value = "PUBLIC_TASK")]
    PublicTask,
    /// Legitimate interests, point (f).
    #[sea_orm(string_value = "LEGITIMATE_INTERESTS")]
    LegitimateInterests,
}

/// Channel of communication; a consent holds for its channel only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Channel {
    /// E-mail.
    #[sea_orm(string_value = "EMAIL")]
    Email,
    /// Phone calls.
    #[sea_orm(string_value = "PHONE")]
    Phone,
    /// Text messages.
    #[sea_orm(string_value = "SMS")]
    Sms,
    /// Letters.
    #[sea_orm(string_value = "POST")]
    Post,
}

/// State of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ConsentStatus {
    /// Asked for, not yet declared or confirmed.
    #[sea_orm(string_value = "PENDING")]
    Pending,
    /// Given; the only state that permits processing.
    #[sea_orm(string_value = "GRANTED")]
    Granted,
    /// Refused.
    #[sea_orm(string_value = "REFUSED")]
    Refused,
    /// Withdrawn (Art. 7(3)).
    #[sea_orm(string_value = "WITHDRAWN")]
    Withdrawn,
    /// Ended by time.
    #[sea_orm(string_value = "EXPIRED")]
    Expired,
    /// No longer valid, e.g. because the address changed.
    #[sea_orm(string_value = "INVALIDATED")]
    Invalidated,
}

/// What happened to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ConsentEventKind {
    /// It was asked for.
    #[sea_orm(string_value = "REQUESTED")]
    Requested,
    /// The person granted it.
    #[sea_orm(string_value = "GRANTED")]
    Granted,
    /// The person confirmed it (double opt-in).
    #[sea_orm(string_value = "CONFIRMED")]
    Confirmed,
    /// The person refused it.
    #[sea_orm(string_value = "REFUSED")]
    Refused,
    /// The person withdrew it.
    #[sea_orm(string_value = "WITHDRAWN")]
    Withdrawn,
    /// Its time ended.
    #[sea_orm(string_value = "EXPIRED")]
    Expired,
    /// It lost its validity.
    #[sea_orm(string_value = "INVALIDATED")]
    Invalidated,
    /// The person declared it anew.
    #[sea_orm(string_value = "RENEWED")]
    Renewed,
}

/// Which right a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RequestKind {
    /// Access (Art. 15).
    #[sea_orm(string_value = "ACCESS")]
    Access,
    /// Rectification (Art. 16).
    #[sea_orm(string_value = "RECTIFICATION")]
    Rectification,
    /// Erasure (Art. 17).
    #[sea_orm(string_value = "ERASURE")]
    Erasure,
    /// Restriction (Art. 18).
    #[sea_orm(string_value = "RESTRICTION")]
    Restriction,
    /// Portability (Art. 20).
    #[sea_orm(string_value = "PORTABILITY")]
    Portability,
    /// Objection (Art. 21).
    #[sea_orm(string_value = "OBJECTION")]
    Objection,
}

/// Where the work on a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RequestStatus {
    /// Received.
    #[sea_orm(string_value = "RECEIVED")]
    Received,
    /// The identity is being verified.
    #[sea_orm(string_value = "AWAITING_IDENTITY")]
    AwaitingIdentity,
    /// Being worked on.
    #[sea_orm(string_value = "IN_PROGRESS")]
    InProgress,
    /// Fulfilled.
    #[sea_orm(string_value = "FULFILLED")]
    Fulfilled,
    /// Fulfilled in part.
    #[sea_orm(string_value = "PARTLY_FULFILLED")]
    PartlyFulfilled,
    /// Refused with reasons (Art. 12(4)).
    #[sea_orm(string_value = "REFUSED")]
    Refused,
    /// Taken back by the person.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// Role of a recipient in the processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RecipientKind {
    /// Processor (Art. 28).
    #[sea_orm(string_value = "PROCESSOR")]
    Processor,
    /// Controller of its own.
    #[sea_orm(string_value = "CONTROLLER")]
    Controller,
    /// Joint controller (Art. 26).
    #[sea_orm(string_value = "JOINT_CONTROLLER")]
    JointController,
    /// Public authority.
    #[sea_orm(string_value = "AUTHORITY")]
    Authority,
    /// A unit of the controller.
    #[sea_orm(string_value = "INTERNAL")]
    Internal,
}

/// What an audited action did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum AuditOutcome {
    /// Something changed.
    #[sea_orm(string_value = "CHANGED")]
    Changed,
    /// Everything was as asked for already.
    #[sea_orm(string_value = "UNCHANGED")]
    Unchanged,
}

/// Which point of Art. 18(1) a restriction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RestrictionLimb {
    /// The accuracy is contested.
    #[sea_orm(string_value = "A")]
    A,
    /// The processing is unlawful and the person wants no erasure.
    #[sea_orm(string_value = "B")]
    B,
    /// The person needs the data for legal claims.
    #[sea_orm(string_value = "C")]
    C,
    /// An objection is being weighed.
    #[sea_orm(string_value = "D")]
    D,
}

/// What a mailed link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum LinkKind {
    /// It confirms a sign-up; used once.
    #[sea_orm(string_value = "CONFIRM")]
    Confirm,
    /// It renews a consent; used once.
    #[sea_orm(string_value = "RENEW")]
    Renew,
    /// It opens what only the person may see, for a short time.
    #[sea_orm(string_value = "FRESH")]
    Fresh,
}

/// What stops a purpose for a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum StopKind {
    /// The person objected (Art. 21).
    #[sea_orm(string_value = "OBJECTION")]
    Objection,
    /// Somebody who reads at the address declared that no advertising is to go there.
    #[sea_orm(string_value = "BLOCK")]
    Block,
    /// The address stands on a list of others, e.g. a Robinson list.
    #[sea_orm(string_value = "EXTERNAL_LIST")]
    ExternalList,
    /// Messages to the address come back.
    #[sea_orm(string_value = "UNDELIVERABLE")]
    Undeliverable,
}

/// Why an address is on the suppression list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum SuppressionKind {
    /// Its holder objected (Art. 21).
    #[sea_orm(string_value = "OBJECTION")]
    Objection,
    /// Its holder withdrew or refused a consent (Art. 7(3)).
    #[sea_orm(string_value = "WITHDRAWAL")]
    Withdrawal,
    /// It stands on a list of others, e.g. a Robinson list.
    #[sea_orm(string_value = "EXTERNAL_LIST")]
    ExternalList,
    /// Messages to it come back.
    #[sea_orm(string_value = "UNDELIVERABLE")]
    Undeliverable,
}

/// How a consent changed for those who follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ConsentChangeKind {
    /// It holds from then on.
    #[sea_orm(string_value = "GRANTED")]
    Granted,
    /// It does not hold any more.
    #[sea_orm(string_value = "ENDED")]
    Ended,
}
