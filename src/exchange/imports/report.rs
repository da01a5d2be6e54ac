//! The report of an import: counts, and line, column and reason of every problem, but never a value.
//! Room: exchange/imports.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use uuid::Uuid;

use crate::registry::ValidationError;

/// Why a row is not imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// A field of the row is not UTF-8.
    InvalidUtf8,
    /// A quote is not closed, or something follows a closing quote, so that rows cannot be separated.
    BrokenQuotes,
    /// The row has more or fewer fields than the header.
    WrongColumnCount,
    /// The column of the external id is empty.
    MissingExternalId,
    /// An earlier row of the file has the same external id, or is the same row.
    DuplicateRow,
    /// An earlier row of the file has the same e-mail address; both come in.
    RepeatedEmail,
    /// Neither a name nor a contact field.
    NoNameOrContact,
    /// Not the shape of an e-mail address.
    InvalidEmail,
    /// Not digits, `+` and separators.
    InvalidPhone,
    /// Not an ISO 8601 date, or one in the future.
    InvalidBirthDate,
    /// Not a language tag.
    InvalidLanguage,
    /// Not an ISO 8601 date.
    InvalidDate,
    /// Longer than the field allows.
    TooLong,
    /// A control character.
    ControlCharacter,
    /// Not a phone number of the region, nor one with a country code.
    UnknownPhoneNumber,
    /// More contact points than a contact may have.
    TooManyContactPoints,
    /// Text outside of a card.
    NotACard,
    /// A card that is not closed, or cannot be read.
    BrokenCard,
    /// A card of a group, an organisation or a place.
    NotAPerson,
    /// A picture or sound, which is not kept; the rest of the card is.
    PictureRefused,
    /// Not JSON, or not of the shape it must have.
    InvalidJson,
    /// Of another type than the field, or of another kind of contact point.
    WrongType,
    /// Not an id of Zweck.
    InvalidId,
    /// A contact that is restricted or only kept, or of which that is unknown: what restricts it does not come
    /// along.
    NotActive,
    /// Another contact has the same id in the same source already.
    SourceTaken,
    /// An address is on the suppression list for the purpose, and nothing else would be a reason to keep the contact;
    /// or an address of the contact is on it for the purpose of a consent.
    Suppressed,
    /// A column that this line needs is empty.
    MissingValue,
    /// A value that means nothing beside the others.
    UnexpectedValue,
    /// Not a time with an offset, or one before the time it must follow.
    InvalidTime,
    /// A time that is not over yet.
    FutureTime,
    /// An ambiguous status word; it holds back each consent of the person to the purpose.
    UnknownStatus,
    /// Another line of the file is or may be an opt-out of the same person and purpose, and could not be recorded.
    HeldBack,
    /// A bounce: a delivery failure, not a declaration of the person.
    Undeliverable,
    /// An opt-out in a file of undeliverable addresses.
    SaysNo,
    /// A street without a postal code or city.
    InvalidAddress,
    /// A column that looks like one of opt-outs, and is not mapped.
    OptOutNotMapped,
    /// Several values in one cell: the first is that of the contact, the others are further contact points.
    SeveralValues,
    /// Neither EMAIL, PHONE, SMS nor POST.
    InvalidChannel,
    /// No purpose of the policy.
    UnknownPurpose,
    /// A purpose that does not rest on consent, or a group.
    NotOnConsent,
    /// The purpose does not use the channel.
    ChannelNotUsed,
    /// No such text was published for the purpose in the language.
    UnknownText,
    /// The purpose does not accept such a proof, or not for the channel.
    ProofNotAccepted,
    /// A double opt-in without a word of where its proof is.
    MissingEvidence,
    /// An end before the consent, or after the purpose's period of validity.
    InvalidExpiry,
    /// No contact is called so.
    UnknownContact,
    /// Several contacts are called so.
    AmbiguousContact,
    /// Another line holds a later declaration of the same.
    RepeatedConsent,
    /// The consent was not given for the address that the contact has now.
    OtherAddress,
    /// The contact has objected to the purpose or its group.
    Objected,
    /// The consent was withdrawn.
    AlreadyWithdrawn,
    /// The consent was refused.
    AlreadyRefused,
    /// The consent lost its validity.
    AlreadyInvalidated,
    /// The consent has ended by its time.
    AlreadyExpired,
    /// The contact has no such value yet, and would get it.
    Filled,
    /// The contact has another value, which would be replaced.
    Changed,
    /// A contact point would be added.
    Added,
    /// The contact has another value, and only gaps are filled; or the file has a part of another postal address.
    Differs,
    /// A person or an application has recorded or removed the value.
    Protected,
    /// The contact was merged from several, so a person decided which value is right.
    Merged,
    /// The address was removed from the contact.
    Removed,
    /// No ground of the contact is in force for the purpose of the import.
    NoGround,
    /// The contact has another version than the file expects.
    VersionConflict,
}

impl Reason {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::InvalidUtf8 => "INVALID_UTF8",
            Reason::BrokenQuotes => "BROKEN_QUOTES",
            Reason::WrongColumnCount => "WRONG_COLUMN_COUNT",
            Reason::MissingExternalId => "MISSING_EXTERNAL_ID",
            Reason::DuplicateRow => "DUPLICATE_ROW",
            Reason::RepeatedEmail => "REPEATED_EMAIL",
            Reason::NoNameOrContact => "NO_NAME_OR_CONTACT",
            Reason::InvalidEmail => "INVALID_EMAIL",
            Reason::InvalidPhone => "INVALID_PHONE",
            Reason::InvalidBirthDate => "INVALID_BIRTH_DATE",
            Reason::InvalidLanguage => "INVALID_LANGUAGE",
            Reason::InvalidDate => "INVALID_DATE",
            Reason::TooLong => "TOO_LONG",
            Reason::ControlCharacter => "CONTROL_CHARACTER",
            Reason::UnknownPhoneNumber => "UNKNOWN_PHONE_NUMBER",
            Reason::TooManyContactPoints => "TOO_MANY_CONTACT_POINTS",
            Reason::NotACard => "NOT_A_CARD",
            Reason::BrokenCard => "BROKEN_CARD",
            Reason::NotAPerson => "NOT_A_PERSON",
            Reason::PictureRefused => "PICTURE_REFUSED",
            Reason::InvalidJson => "INVALID_JSON",
            Reason::WrongType => "WRONG_TYPE",
            Reason::InvalidId => "INVALID_ID",
            Reason::NotActive => "NOT_ACTIVE",
            Reason::SourceTaken => "SOURCE_TAKEN",
            Reason::Suppressed => "SUPPRESSED",
            Reason::MissingValue => "MISSING_VALUE",
            Reason::UnexpectedValue => "UNEXPECTED_VALUE",
            Reason::InvalidTime => "INVALID_TIME",
            Reason::FutureTime => "FUTURE_TIME",
            Reason::UnknownStatus => "UNKNOWN_STATUS",
            Reason::HeldBack => "HELD_BACK",
            Reason::Undeliverable => "UNDELIVERABLE",
            Reason::SaysNo => "SAYS_NO",
            Reason::InvalidAddress => "INVALID_ADDRESS",
            Reason::OptOutNotMapped => "OPT_OUT_NOT_MAPPED",
            Reason::SeveralValues => "SEVERAL_VALUES",
            Reason::InvalidChannel => "INVALID_CHANNEL",
            Reason::UnknownPurpose => "UNKNOWN_PURPOSE",
            Reason::NotOnConsent => "NOT_ON_CONSENT",
            Reason::ChannelNotUsed => "CHANNEL_NOT_USED",
            Reason::UnknownText => "UNKNOWN_TEXT",
            Reason::ProofNotAccepted => "PROOF_NOT_ACCEPTED",
            Reason::MissingEvidence => "MISSING_EVIDENCE",
            Reason::InvalidExpiry => "INVALID_EXPIRY",
            Reason::UnknownContact => "UNKNOWN_CONTACT",
            Reason::AmbiguousContact => "AMBIGUOUS_CONTACT",
            Reason::RepeatedConsent => "REPEATED_CONSENT",
            Reason::OtherAddress => "OTHER_ADDRESS",
            Reason::Objected => "OBJECTED",
            Reason::AlreadyWithdrawn => "ALREADY_WITHDRAWN",
            Reason::AlreadyRefused => "ALREADY_REFUSED",
            Reason::AlreadyInvalidated => "ALREADY_INVALIDATED",
            Reason::AlreadyExpired => "ALREADY_EXPIRED",
            Reason::Filled => "FILLED",
            Reason::Changed => "CHANGED",
            Reason::Added => "ADDED",
            Reason::Differs => "DIFFERS",
            Reason::Protected => "PROTECTED",
            Reason::Merged => "MERGED",
            Reason::Removed => "REMOVED",
            Reason::NoGround => "NO_GROUND",
            Reason::VersionConflict => "VERSION_CONFLICT",
        }
    }
}

impl From<ValidationError> for Reason {
    fn from(error: ValidationError) -> Self {
        match error {
            ValidationError::TooLong => Reason::TooLong,
            ValidationError::ControlCharacter => Reason::ControlCharacter,
            ValidationError::InvalidEmail => Reason::InvalidEmail,
            ValidationError::InvalidPhone => Reason::InvalidPhone,
            ValidationError::InvalidBirthDate => Reason::InvalidBirthDate,
            ValidationError::InvalidDate => Reason::InvalidDate,
            ValidationError::InvalidLanguage => Reason::InvalidLanguage,
        }
    }
}

/// One problem of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
    /// The last line of what belongs together no longer, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// Name of the column or property, unless the whole row is meant.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: Reason,
    /// Whether the row is or may be an opt-out that could not be recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_not_taken: bool,
    /// Whether it is no problem of the file: the contact differs. The column is then a field of the contact.
    #[serde(rename = "difference", skip_serializing_if = "std::ops::Not::not")]
    pub is_difference: bool,
}

impl Problem {
    /// A problem of the row that begins on `line`.
    pub(super) fn new(line: u64, column: Option<String>, reason: Reason) -> Self {
        Self { line, last_line: None, column, reason, no_not_taken: false, is_difference: false }
    }

    /// Marks the problem of a row that is or may be an opt-out that could not be recorded.
    pub(super) fn not_taken(self) -> Self {
        Self { no_not_taken: true, ..self }
    }

    /// Marks a difference between the file and a contact.
    pub(super) fn difference(self) -> Self {
        Self { is_difference: true, ..self }
    }

    /// The heads of the columns that a problem is written in.
    pub fn table_header() -> String {
        format!("{:>8}  {:<24}reason", "line", "column")
    }
}

/// Line, column and reason, in columns.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column.as_deref().unwrap_or("-");
        write!(f, "{:>8}  {column:<24}{}", self.line, self.reason.as_str())?;
        match self.last_line {
            Some(last) => write!(f, ", up to line {last}"),
            None => Ok(()),
        }
    }
}

/// The outcome. `rows = imported + updated + unchanged + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactReport {
    /// Id of the import, if it wrote any contact.
    pub import_id: Option<Uuid>,
    /// Whether it was a dry run; the counts then say what would have been written.
    pub dry_run: bool,
    /// Rows in the file, without the header.
    pub rows: u64,
    /// Contacts made.
    pub imported: u64,
    /// Contacts updated.
    pub updated: u64,
    /// Rows whose contact an earlier import from the same source has made, and that change nothing of it.
    pub unchanged: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Rows that opt out of advertising, even if they were rejected otherwise.
    pub opted_out: u64,
    /// Rows that opt out, or may, where that could not be recorded.
    pub noes_not_taken: u64,
    /// Number of reported problems.
    #[serde(rename = "problemCount")]
    pub problems: u64,
    /// Values that differ from those of contacts that are there already; only looked for by an update.
    pub differences: u64,
    /// Those of them that are not taken over.
    pub not_applied: u64,
    /// Whether contacts that are there already are updated.
    #[serde(skip)]
    pub updates: bool,
    /// What the file holds and no field does, with how often.
    pub left_out: BTreeMap<String, u64>,
}

impl ContactReport {
    /// An empty report.
    pub(super) fn new(dry_run: bool, updates: bool) -> Self {
        Self { dry_run, updates, ..Self::default() }
    }
}

/// Writes a line for each of `counts`.
pub(super) fn write_counts(f: &mut fmt::Formatter<'_>, counts: &[(&str, u64)]) -> fmt::Result {
    counts.iter().try_for_each(|(name, count)| writeln!(f, "{name:<14}{count:>10}"))
}

/// Writes a line with the names of columns and how often each held something; nothing where there are none.
pub(super) fn write_columns(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    columns: &BTreeMap<String, u64>,
) -> fmt::Result {
    if columns.is_empty() {
        return Ok(());
    }
    let names = columns.iter().map(|(name, count)| format!("{name} {count}"));
    writeln!(f, "{title:<14}{}", names.collect::<Vec<_>>().join(", "))
}

/// Writes what follows the counts of an import of declarations: entries that are owed, reasons, columns that were not
/// read.
pub(super) fn write_reasons(
    f: &mut fmt::Formatter<'_>,
    owed: bool,
    reasons: &BTreeMap<&'static str, u64>,
    unmapped: &BTreeMap<String, u64>,
) -> fmt::Result {
    if owed {
        writeln!(f, "the audit log could not be written; the entries of recorded declarations will follow")?;
    }
    reasons.iter().try_for_each(|(reason, count)| writeln!(f, "  {reason:<24}{count:>10}"))?;
    write_columns(f, "not imported", unmapped)
}

impl fmt::Display for ContactReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would import" } else { "imported" };
        let counts = [("rows", self.rows), (verb, self.imported)];
        write_counts(f, &counts)?;
        if self.updates {
            let verb = if self.dry_run { "would update" } else { "updated" };
            write_counts(f, &[(verb, self.updated)])?;
        }
        let counts =
            [("unchanged", self.unchanged), ("rejected", self.rejected), ("problems", self.problems)];
        write_counts(f, &counts)?;
        if self.updates {
            write_counts(f, &[("differences", self.differences), ("not applied", self.not_applied)])?;
        }
        for count in [("opted out", self.opted_out), ("noes not taken", self.noes_not_taken)] {
            if count.1 > 0 {
                write_counts(f, &[count])?;
            }
        }
        write_columns(f, "left out", &self.left_out)?;
        match self.import_id {
            Some(id) => writeln!(f, "{:<14}{id}", "import"),
            None => Ok(()),
        }
    }
}

pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_default()
}
