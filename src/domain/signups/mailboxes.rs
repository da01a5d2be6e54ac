//! What a magic link opens: it proves a mailbox, not a person. A record opens if the mailbox belongs to it alone,
//! or once the person has given something that only the person knows. Room: domain/signups.

use entity::{
    contact,
    enums::{ContactState, LinkKind},
    link, provenance,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::Expr,
};
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

use super::link_access;
use crate::domain::signups::validation::{contacts_of_mailbox, visible_contacts};
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    base::{error::Error, fold::fold},
    crypto::link_tokens,
    registry::DataCategory,
};

/// Maximum number of wrong answers per link.
const MAX_TRIES: i32 = 5;
/// Minimum number of letters and digits of an answer: shorter ones can be guessed.
const MIN_VALUE_CHARS: usize = 4;
/// Maximum number of records that a declaration by address covers.
const MAX_RECORDS: u64 = 100;

/// What a magic link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MagicLinkTarget {
    /// The record of this contact.
    Record(Uuid),
    /// A mailbox of several records.
    Mailbox(SharedMailbox),
}

/// A mailbox of several records, as its reader may know it.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedMailbox {
    /// The link.
    pub link: Uuid,
    /// Key of the mailbox.
    pub key: String,
    /// Whether the link may still open a record.
    pub can_open_record: bool,
}

impl std::fmt::Debug for SharedMailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("link", &self.link).finish_non_exhaustive()
    }
}

/// The outcome of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordAttempt {
    /// It matches one record, which the link opens from now on.
    Opened,
    /// It matches no record, or more than one.
    Wrong,
    /// The link opens no record any more.
    Closed,
}

/// What the magic link `token` opens, until it expires or the address changes; `None` equally for an unknown and an
/// expired one.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn open_magic_link(app: &App, token: &str) -> Result<Option<MagicLinkTarget>, Error> {
    let db = &app.db.reader;
    let Some(link) = find_usable(app, db, token).await? else { return Ok(None) };
    if let Some(opened) = link.opened_id
        && is_primary_mailbox(db, &link.address_key, Some(opened)).await?
    {
        return Ok(Some(MagicLinkTarget::Record(opened)));
    }
    if !is_primary_mailbox(db, &link.address_key, link.contact_id).await? {
        return Ok(None);
    }
    // A link mailed to several persons asks, even if the others are gone since: its holder may be one of these.
    Ok(Some(match link.contact_id {
        Some(only) if !is_shared(db, &link.address_key, Some(only)).await? => MagicLinkTarget::Record(only),
        _ => MagicLinkTarget::Mailbox(SharedMailbox {
            link: link.id,
            can_open_record: link.tries < MAX_TRIES,
            key: link.address_key,
        }),
    }))
}

async fn find_usable<C: ConnectionTrait>(
    app: &App,
    connection: &C,
    token: &str,
) -> Result<Option<link::Model>, Error> {
    if !link_tokens::is_one_time_token(token) {
        return Ok(None);
    }
    let row = link::Entity::find()
        .filter(link::Column::TokenHash.eq(link_tokens::hash(token)))
        .filter(link::Column::Kind.eq(LinkKind::Fresh))
        .filter(link::Column::ExpiresAt.gt(app.now()));
    // A link that was sent to nobody belongs to no mailbox.
    Ok(row.one(connection).await?.filter(|link| !link.address_key.is_empty()))
}

/// Whether the mailbox is the primary address of a visible contact: of `contact`, or of any.
async fn is_primary_mailbox<C: ConnectionTrait>(
    connection: &C,
    key: &str,
    contact: Option<Uuid>,
) -> Result<bool, Error> {
    let rows = visible_contacts()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::EmailKey.eq(key));
    let rows = rows.apply_if(contact, |rows, id| rows.filter(contact::Column::Id.eq(id)));
    Ok(rows.limit(1).into_tuple::<Uuid>().one(connection).await?.is_some())
}

/// Whether another contact than `contact` has the mailbox, as primary or further address. The same statement runs
/// in all cases.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn is_shared<C: ConnectionTrait>(
    connection: &C,
    key: &str,
    contact: Option<Uuid>,
) -> Result<bool, Error> {
    let others = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::Id.in_subquery(contacts_of_mailbox(key)))
        .filter(contact::Column::Id.ne(contact.unwrap_or_default()))
        .filter(contact::Column::State.ne(ContactState::Erased));
    Ok(others.limit(1).into_tuple::<Uuid>().one(connection).await?.is_some())
}

/// The contacts that a declaration by the mailbox may concern: those that have it as primary address. Empty if
/// there are more than one person can have.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn records_of_mailbox(app: &App, mailbox: &SharedMailbox) -> Result<Vec<Uuid>, Error> {
    let rows = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::EmailKey.eq(&mailbox.key))
        .filter(contact::Column::State.ne(ContactState::Erased))
        .order_by_asc(contact::Column::Id)
        .limit(MAX_RECORDS + 1);
    let ids: Vec<Uuid> = rows.into_tuple().all(&app.db.reader).await?;
    Ok(if ids.len() as u64 > MAX_RECORDS { Vec::new() } else { ids })
}

/// Opens, for this link only, the one record of its mailbox whose customer number or postal code is `text`. Wrong
/// answers are counted in the database, so that all servers know them; an ambiguous answer looks the same. An empty
/// answer is not counted: `None`.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`.
pub async fn open_record(
    app: &App,
    token: &str,
    text: &str,
    request_id: &str,
) -> Result<Option<RecordAttempt>, Error> {
    let answer = normalised(text);
    if answer.is_empty() {
        return Ok(None);
    }
    audit::with_retry(|| try_open(app, token, &answer, request_id)).await.map(Some)
}

async fn try_open(app: &App, token: &str, answer: &str, request_id: &str) -> Result<RecordAttempt, Error> {
    let author = Author {
        request_id: Some(request_id.to_owned()),
        ..Author::command(app, "page", Some(&app.pages.purpose))
    };
    let mut tx = audit::begin(app, author).await?;
    let Some(link) = find_usable(app, tx.connection(), token).await? else {
        return Ok(RecordAttempt::Closed);
    };
    // Contacts are locked before links: the record is looked up first, and again under the locks.
    let found = matching_contact(tx.connection(), &link, answer).await?;
    if let Some(id) = found {
        let actor = link_access::act_as(&mut tx, app, id, request_id)?;
        if link_access::lock_contact(&tx, &actor, id).await?.is_none() {
            return Err(Error::retry());
        }
    }
    let locked = link::Entity::find_by_id(link.id).lock_exclusive().one(tx.connection()).await?;
    let Some(link) = locked.filter(|link| link.expires_at > tx.now()) else {
        return Ok(RecordAttempt::Closed);
    };
    if link.opened_id.is_some() {
        return Ok(RecordAttempt::Opened);
    }
    if link.tries >= MAX_TRIES {
        return Ok(RecordAttempt::Closed);
    }
    if found.is_some() && matching_contact(tx.connection(), &link, answer).await? != found {
        return Err(Error::retry());
    }
    let update = link::Entity::update_many().filter(link::Column::Id.eq(link.id));
    let update = match found {
        Some(id) => update
            .col_expr(link::Column::OpenedId, Expr::value(id))
            .col_expr(link::Column::UsedAt, Expr::value(tx.now())),
        None => update.col_expr(link::Column::Tries, Expr::value(link.tries + 1)),
    };
    update.exec(tx.connection()).await?;
    record(&mut tx, &link, found).await?;
    tx.commit().await?;
    Ok(if found.is_some() { RecordAttempt::Opened } else { RecordAttempt::Wrong })
}

/// Records that a record was opened or that a wrong answer was given; never the answer.
async fn record(tx: &mut Transaction, link: &link::Model, found: Option<Uuid>) -> Result<(), Error> {
    let (action, changes) = match found {
        Some(_) => (
            "openRecord",
            ChangeSet::single("Link.opened", DataCategory::Technical, false.into(), true.into()),
        ),
        None => {
            let (before, after) = (link.tries.into(), (link.tries + 1).into());
            ("tellWrong", ChangeSet::single("Link.tries", DataCategory::Technical, before, after))
        }
    };
    tx.record(Entry { action, entity_type: "Link", entity_id: Some(link.id), contact_id: found, changes })
        .await
}

/// The one contact of the mailbox whose customer number or postal code is `answer`; `None` if there is none, or
/// several. Every value is compared, whatever the others say.
async fn matching_contact<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
    answer: &str,
) -> Result<Option<Uuid>, Error> {
    let of_mailbox = || visible_contacts().filter(contact::Column::EmailKey.eq(&link.address_key));
    let ids = of_mailbox().select_only().column(contact::Column::Id);
    let codes = of_mailbox().select_only().column(contact::Column::Id).column(contact::Column::PostalCode);
    let codes: Vec<(Uuid, Option<String>)> = codes.into_tuple().all(connection).await?;
    let numbers = provenance::Entity::find()
        .select_only()
        .column(provenance::Column::ContactId)
        .column(provenance::Column::ExternalId)
        .filter(provenance::Column::ContactId.in_subquery(ids.into_query()))
        .filter(provenance::Column::ExternalId.is_not_null());
    let numbers: Vec<(Uuid, Option<String>)> = numbers.into_tuple().all(connection).await?;
    let expected = link_tokens::hash(answer);
    let (mut found, mut ambiguous) = (Uuid::nil(), Choice::from(0));
    for (id, value) in codes.iter().chain(&numbers) {
        // Sources without own numbers identify persons by the address, which the link's holder knows.
        let value = value.as_deref().filter(|value| !value.contains('@')).map(normalised).unwrap_or_default();
        let counts = Choice::from(u8::from(value.chars().count() >= MIN_VALUE_CHARS));
        let same = counts & link_tokens::hash(&value).as_bytes().ct_eq(expected.as_bytes());
        let is_another =
            !found.as_bytes().ct_eq(Uuid::nil().as_bytes()) & !found.as_bytes().ct_eq(id.as_bytes());
        ambiguous |= same & is_another;
        found = if bool::from(same) { *id } else { found };
    }
    Ok(Some(found).filter(|id| !id.is_nil() && !bool::from(ambiguous)))
}

/// The compared form: letters and digits, regardless of case and separators.
fn normalised(text: &str) -> String {
    fold(text).chars().filter(|letter| letter.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn neither_case_nor_what_stands_between_counts() {
        assert_eq!(normalised(" K-1001 / b "), normalised("k1001B"));
        assert_eq!(normalised("SW1A 1AA"), "sw1a1aa");
        assert_ne!(normalised("01067"), normalised("1067"));
        assert_eq!(normalised(" -/. "), "");
    }
}
