//! Mails to persons: queued in the transaction of their cause, handed over afterwards. Room: domain/mail_outbox.
//!
//! A mail is a row, written with its cause or not at all. It holds the address only until it is handed over or
//! given up, and never the link, which is made again from the row id when it is sent.

pub mod demo_outbox;
mod leases;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{enums::LinkKind, mail};
use sea_orm::{
    ActiveEnum, ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use uuid::Uuid;

pub use leases::{DeliveryOutcome, complete, lease_next};

use crate::{
    audit::Transaction,
    base::{error::Error, i18n::LANGUAGES},
    config::public_pages::PublicPages,
    crypto::{installation_keys::InstallationKeys, link_tokens},
};

/// A mail that carries one link.
#[derive(Clone, Debug)]
pub struct NewMail<'a> {
    /// The link.
    pub link_id: Uuid,
    /// What it is about.
    pub kind: LinkKind,
    /// The contact, if one is known.
    pub contact_id: Option<Uuid>,
    /// The address.
    pub recipient: &'a str,
    /// Key of the mailbox.
    pub address_key: &'a str,
    /// Language; the default language of the pages if there are no mails in it.
    pub language: &'a str,
    /// Codes of the purposes it is about.
    pub purposes: &'a [String],
}

/// Why a requested mail is not sent. The requester does not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentReason {
    /// The mailbox got one of this kind recently, whose link opens the same.
    TooSoon,
    /// The person has withdrawn, refused or objected since.
    EndedSince,
    /// Nobody has this address.
    Nobody,
}

impl NotSentReason {
    /// The code in the row.
    pub fn as_str(self) -> &'static str {
        match self {
            NotSentReason::TooSoon => "TOO_SOON",
            NotSentReason::EndedSince => "ENDED_SINCE",
            NotSentReason::Nobody => "NOBODY",
        }
    }

    /// The reason with this code.
    fn parse(code: &str) -> Option<Self> {
        [Self::TooSoon, Self::EndedSince, Self::Nobody]
            .into_iter()
            .find(|supported| supported.as_str() == code)
    }
}

/// Why a leased mail must not be sent, if so.
pub fn not_sent_reason(mail: &mail::Model) -> Option<NotSentReason> {
    mail.fault.as_deref().filter(|_| mail.due_at.is_none()).and_then(NotSentReason::parse)
}

/// When a mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTime {
    /// From this instant on.
    At(DateTime<Utc>),
    /// Not at all.
    Never(NotSentReason),
}

/// The interval in which a mailbox gets one mail of a kind.
fn period(pages: &PublicPages, kind: LinkKind) -> TimeDelta {
    match kind {
        LinkKind::Confirm | LinkKind::Renew => pages.mail_time(),
        LinkKind::Fresh => pages.magic_link_time(),
    }
}

/// Query of the mails of this kind that the mailbox got in the past interval, or will get.
///
/// # Errors
/// Keys that cannot be derived.
pub fn recent_mails(
    tx: &Transaction,
    pages: &PublicPages,
    installation_keys: &InstallationKeys,
    address_key: &str,
    kind: LinkKind,
) -> Result<Select<mail::Entity>, Error> {
    Ok(mail::Entity::find()
        .filter(mail::Column::AddressDigest.eq(link_tokens::mail_digest(installation_keys, address_key)?))
        .filter(mail::Column::Kind.eq(kind))
        .filter(mail::Column::Period.is_not_null())
        .filter(mail::Column::DueAt.gt(tx.now() - period(pages, kind))))
}

/// When the mailbox may get the next mail of this kind: now, or when the interval since the last is over.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn next_send_time(
    tx: &Transaction,
    pages: &PublicPages,
    installation_keys: &InstallationKeys,
    address_key: &str,
    kind: LinkKind,
) -> Result<DateTime<Utc>, Error> {
    let last = recent_mails(tx, pages, installation_keys, address_key, kind)?
        .select_only()
        .column(mail::Column::DueAt);
    let last = last.order_by_desc(mail::Column::DueAt).limit(1).into_tuple::<DateTime<Utc>>();
    let last = last.one(tx.connection()).await?;
    Ok(last.map_or(tx.now(), |last| last + period(pages, kind)))
}

/// When a mail of this kind may be sent to the mailbox: now, or never if it got one in the past interval.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn send_time(
    tx: &Transaction,
    pages: &PublicPages,
    installation_keys: &InstallationKeys,
    address_key: &str,
    kind: LinkKind,
) -> Result<SendTime, Error> {
    let next = next_send_time(tx, pages, installation_keys, address_key, kind).await?;
    Ok(if next <= tx.now() { SendTime::At(tx.now()) } else { SendTime::Never(NotSentReason::TooSoon) })
}

/// Queues a mail, which is sent when it is due and the senders' clock next ticks: nothing wakes them. A mail that
/// is not sent leaves the same row without an address, and a sender picks it up and closes it at that tick too:
/// neither the work nor the load afterwards reveals the difference.
///
/// # Errors
/// `INTERNAL` from the database; transient when another transaction queues one to the same mailbox.
pub async fn queue(
    tx: &mut Transaction,
    pages: &PublicPages,
    installation_keys: &InstallationKeys,
    new: &NewMail<'_>,
    send_time: SendTime,
) -> Result<(), Error> {
    let now = tx.now();
    let (due_at, withheld) = match send_time {
        SendTime::At(at) => (Some(at), None),
        SendTime::Never(withheld) => (None, Some(withheld)),
    };
    // Of two at once, the second violates the index on intervals.
    let length = period(pages, new.kind).num_seconds().max(1);
    let period = due_at.map(|at| format!("{}:{}", new.kind.to_value(), at.timestamp() / length));
    let supported = LANGUAGES.into_iter().find(|supported| *supported == new.language);
    let row = mail::Model {
        id: tx.new_id(),
        link_id: new.link_id,
        kind: new.kind,
        contact_id: new.contact_id,
        recipient: due_at.map(|_| new.recipient.to_owned()),
        address_digest: link_tokens::mail_digest(installation_keys, new.address_key)?,
        period,
        language: supported.unwrap_or(&pages.language).to_owned(),
        purposes: serde_json::json!(new.purposes).to_string(),
        created_at: now,
        due_at,
        next_attempt_at: due_at.or(Some(now)),
        attempts: 0,
        leased_until: None,
        sent_at: None,
        failed_at: None,
        fault: withheld.map(|withheld| withheld.as_str().to_owned()),
    };
    mail::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.connection()).await?;
    Ok(())
}
