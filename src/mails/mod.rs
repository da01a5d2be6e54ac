//! Mails to persons: queued in the transaction of what they are about, handed over afterwards (floor 4).
//!
//! A mail is a row that is written with its event or not at all. It holds the address only until it is handed over or given up,
//! and never the link: that is made again from the id of its row when it is sent.

mod leases;

use chrono::TimeDelta;
use entity::{enums::LinkKind, mail};
use sea_orm::{
    ActiveEnum, ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
};
use uuid::Uuid;

pub use leases::{Outcome, settle, take};

use crate::{
    audit::Transaction, config::pages::Pages, context::Ring, error::Error, links, policy::LANGUAGES,
};

/// A mail that one link is to be sent by.
#[derive(Clone, Debug)]
pub struct NewMail<'a> {
    /// The link.
    pub link_id: Uuid,
    /// What it is about.
    pub kind: LinkKind,
    /// The contact, where one is known.
    pub contact_id: Option<Uuid>,
    /// The address.
    pub recipient: &'a str,
    /// Key of the mailbox.
    pub address_key: &'a str,
    /// Language; that of the pages where mails are not written in it.
    pub language: &'a str,
    /// Codes of the purposes it is about.
    pub purposes: &'a [String],
}

/// Why a mail is not sent, though it was asked for. Nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The mailbox got one of this kind a short while ago.
    TooSoon,
    /// The person has withdrawn, refused or objected since.
    EndedSince,
    /// Nobody has this address.
    Nobody,
}

impl Withheld {
    /// The code that the row keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Withheld::TooSoon => "TOO_SOON",
            Withheld::EndedSince => "ENDED_SINCE",
            Withheld::Nobody => "NOBODY",
        }
    }
}

/// The time in which a mailbox gets one mail of a kind.
fn period(pages: &Pages, kind: LinkKind) -> TimeDelta {
    match kind {
        LinkKind::Confirm | LinkKind::Renew => pages.mail_time(),
        LinkKind::Fresh => pages.fresh_time(),
    }
}

/// Whether the mailbox with this digest may get a mail of this kind now.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn may(tx: &Transaction, pages: &Pages, digest: &str, kind: LinkKind) -> Result<bool, Error> {
    let recent = mail::Entity::find()
        .filter(mail::Column::AddressDigest.eq(digest))
        .filter(mail::Column::Kind.eq(kind))
        .filter(mail::Column::Period.is_not_null())
        .filter(mail::Column::CreatedAt.gt(tx.now() - period(pages, kind)));
    Ok(recent.count(tx.connection()).await? == 0)
}

/// Queues a mail, to be sent once the transaction is committed; tells whether it will be. One that is withheld, or comes too soon
/// after another to that mailbox, leaves the same row, which is given up from the start: what is done does not tell the two apart.
///
/// # Errors
/// `INTERNAL` from the database; transient when another transaction queues one to the same mailbox.
pub async fn queue(
    tx: &mut Transaction,
    pages: &Pages,
    ring: &Ring,
    new: &NewMail<'_>,
    withheld: Option<Withheld>,
) -> Result<bool, Error> {
    let digest = links::mail_digest(ring, new.address_key)?;
    let free = may(tx, pages, &digest, new.kind).await?;
    let withheld = withheld.or((!free).then_some(Withheld::TooSoon));
    let now = tx.now();
    // Of two at once the second meets the index of periods.
    let number = now.timestamp() / period(pages, new.kind).num_seconds().max(1);
    let sent = withheld.is_none();
    let known = LANGUAGES.into_iter().find(|known| *known == new.language);
    let row = mail::Model {
        id: tx.new_id(),
        link_id: new.link_id,
        kind: new.kind,
        contact_id: new.contact_id,
        recipient: sent.then(|| new.recipient.to_owned()),
        address_digest: digest,
        period: sent.then(|| format!("{}:{number}", new.kind.to_value())),
        language: known.unwrap_or(&pages.language).to_owned(),
        purposes: serde_json::json!(new.purposes).to_string(),
        created_at: now,
        next_attempt_at: sent.then_some(now),
        attempts: 0,
        leased_until: None,
        sent_at: None,
        failed_at: (!sent).then_some(now),
        fault: withheld.map(|withheld| withheld.as_str().to_owned()),
    };
    mail::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.connection()).await?;
    if sent {
        tx.wake_senders();
    }
    Ok(sent)
}
