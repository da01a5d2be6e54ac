//! Blocks: entries of the list on every record with the address, where reads check them. Room: domain/suppressions.
//!
//! A block is no declaration of the person whose record it is on. A consent that the person declares later counts,
//! for that record only (Art. 7); processing without consent is allowed again by lifting the block for that record.

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, StopKind, SuppressionKind},
    objection::{Column, Entity, Model},
};
use sea_orm::{ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{
    OptOutDeclaration,
    lookup::{Suppression, lookup},
    statements::SqlText,
};
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Kind,
    },
    domain::contacts::{self, NewAddresses, Reachable, channels_to},
    registry::BLOCK,
};

/// The source of a person's own declaration that names none.
const PERSON: &str = "person";

/// The kind of block for an entry of the list.
fn stop_kind(kind: SuppressionKind) -> StopKind {
    match kind {
        SuppressionKind::Objection | SuppressionKind::Withdrawal => StopKind::Block,
        SuppressionKind::ExternalList => StopKind::ExternalList,
        SuppressionKind::Undeliverable => StopKind::Undeliverable,
    }
}

/// The blocks that `suppressions` create on a contact.
pub fn block_rows(tx: &Transaction, contact_id: Uuid, suppressions: &[Suppression]) -> Vec<Model> {
    let mut rows: Vec<Model> = Vec::new();
    for suppressions in suppressions {
        for channel in suppressions.channels() {
            let row = Model {
                id: tx.new_id(),
                contact_id,
                purpose_code: suppressions.purpose.clone(),
                objected_at: suppressions.since,
                ended_at: None,
                source: None,
                created_at: tx.now(),
                kind: stop_kind(suppressions.kind),
                channel: Some(*channel),
                every_channel: suppressions.every_channel,
            };
            match rows.iter_mut().find(|existing| has_same_scope(existing, &row)) {
                Some(existing) => {
                    existing.objected_at = existing.objected_at.max(row.objected_at);
                    existing.every_channel |= row.every_channel;
                }
                None => rows.push(row),
            }
        }
    }
    rows
}

/// Whether both blocks close the same purpose and channel, for the same reason.
fn has_same_scope(left: &Model, right: &Model) -> bool {
    (&left.purpose_code, left.kind, left.channel) == (&right.purpose_code, right.kind, right.channel)
}

/// Creates blocks on a contact for its new addresses. Returns the number of new blocks.
///
/// Revocations concern the addresses of that time: a new address is blocked, however old the opt-out.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked.
pub async fn apply_to_new_addresses(tx: &mut Transaction, addresses: &NewAddresses) -> Result<usize, Error> {
    apply_suppressions(tx, addresses, true).await
}

/// Creates missing blocks on a contact for addresses that it already has, unless the person has lifted them since.
/// Returns the number of new blocks.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked.
pub async fn reapply(tx: &mut Transaction, addresses: &NewAddresses) -> Result<usize, Error> {
    apply_suppressions(tx, addresses, false).await
}

async fn apply_suppressions(
    tx: &mut Transaction,
    addresses: &NewAddresses,
    is_new_address: bool,
) -> Result<usize, Error> {
    let suppressions = lookup(tx, addresses).await?.for_addresses(addresses);
    upsert_blocks(tx, addresses.contact_id(), &suppressions, is_new_address, None).await
}

/// Blocks a channel of one contact by the person's own declaration, who opts out of something never consented to.
/// Such a block has the source of the declaration, and is applied to every address that the person gets later
/// (`consents::spread_opt_outs`).
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn block_channel(
    tx: &mut Transaction,
    contact_id: Uuid,
    declared: &OptOutDeclaration,
    channel: Channel,
) -> Result<(), Error> {
    let suppressions = Suppression {
        purpose: declared.purpose.clone(),
        kind: declared.kind,
        channel,
        every_channel: false,
        since: declared.since,
    };
    let source = declared.source.as_deref().unwrap_or(PERSON);
    upsert_blocks(tx, contact_id, &[suppressions], true, Some(source)).await.map(|_| ())
}

/// Creates or renews blocks of a contact, with the source of the person's own declaration; returns the number of
/// changed ones.
async fn upsert_blocks(
    tx: &mut Transaction,
    contact_id: Uuid,
    suppressions: &[Suppression],
    is_new_address: bool,
    source: Option<&str>,
) -> Result<usize, Error> {
    if suppressions.is_empty() {
        return Ok(0);
    }
    let mut changed = 0;
    let existing = Entity::find().filter(Column::ContactId.eq(contact_id)).all(tx.connection()).await?;
    for row in block_rows(tx, contact_id, suppressions) {
        let row = Model { source: source.map(str::to_owned), ..row };
        let matching = existing.iter().find(|existing| has_same_scope(existing, &row));
        let (id, changes) = match matching {
            // It is in force, or the person has lifted it since.
            Some(existing)
                if existing.objected_at >= row.objected_at
                    && !(is_new_address && existing.ended_at.is_some())
                    && (existing.source.is_some() || row.source.is_none()) =>
            {
                continue;
            }
            Some(existing) => {
                let later = Model {
                    objected_at: existing.objected_at.max(row.objected_at),
                    ended_at: None,
                    every_channel: existing.every_channel || row.every_channel,
                    source: existing.source.clone().or(row.source),
                    ..existing.clone()
                };
                (existing.id, tx.update::<Entity>(&BLOCK, existing, &later).await?)
            }
            None => (row.id, tx.insert::<Entity>(&BLOCK, &row).await?),
        };
        tx.record(entry("carryBlock", id, contact_id, changes)).await?;
        changed += 1;
    }
    Ok(changed)
}

/// Blocks every record of the target identities; returns the number of contacts that got a new block. One
/// statement, however many there are.
pub(super) async fn block_all_records(
    tx: &mut Transaction,
    targets: &[&Reachable],
    declared: &OptOutDeclaration,
) -> Result<usize, Error> {
    let backend = tx.connection().get_database_backend();
    let id = if backend == DbBackend::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let mut sql = SqlText::new(backend);
    sql.push(
        "INSERT INTO objection (id, contact_id, purpose_code, objected_at, ended_at, source, created_at, kind, channel, \
         every_channel) SELECT ",
    );
    sql.push(id).push(", s.contact_id, ").bind(declared.purpose.as_str()).push(", ").bind(declared.since);
    sql.push(", NULL, NULL, ").bind(tx.now()).push(", ").bind(stop_kind(declared.kind).to_value());
    sql.push(", s.channel, ").bind(declared.channel.is_none()).push(" FROM (");
    for (index, reachable) in targets.iter().enumerate() {
        for (number, channel) in closed_channels(reachable, declared.channel).iter().enumerate() {
            sql.push(if index + number == 0 { "" } else { " UNION " });
            push_contacts_with(&mut sql, reachable, Some(*channel));
        }
    }
    sql.push(
        ") s JOIN contact c ON c.id = s.contact_id WHERE c.state <> 'ERASED' \
         ON CONFLICT (contact_id, purpose_code, channel, kind) WHERE kind <> 'OBJECTION' DO UPDATE SET \
         objected_at = CASE WHEN objection.objected_at < excluded.objected_at THEN excluded.objected_at \
         ELSE objection.objected_at END, \
         ended_at = CASE WHEN objection.objected_at < excluded.objected_at THEN NULL ELSE objection.ended_at END, \
         every_channel = objection.every_channel OR excluded.every_channel \
         WHERE objection.objected_at < excluded.objected_at OR (excluded.every_channel AND NOT objection.every_channel) \
         RETURNING contact_id",
    );
    let affected = sql.ids(tx.connection()).await?;
    tx.mark_affected(&affected);
    tx.record_without_values("carryBlock", BLOCK.name, &affected, "Block.since");
    Ok(affected.len())
}

/// The channels that an opt-out closes at an identity: the named one, or all that lead there.
pub(super) fn closed_channels(reachable: &Reachable, named: Option<Channel>) -> Vec<Channel> {
    named.map_or_else(|| channels_to(reachable.identity().kind()).to_vec(), |channel| vec![channel])
}

/// Pushes a SELECT of the contacts with an identity, as primary address or contact point: `contact_id`, and
/// optionally the channel.
pub(super) fn push_contacts_with(sql: &mut SqlText, reachable: &Reachable, channel: Option<Channel>) {
    let identity = reachable.identity();
    let column = match identity.kind() {
        Kind::Mailbox => "email_key",
        Kind::Number => "phone_key",
        Kind::Postal => "postal_key",
    };
    let push_select = |sql: &mut SqlText, id: &str| {
        sql.push("SELECT ").push(id).push(" AS contact_id");
        if let Some(channel) = channel {
            sql.push(", '").push(&channel.to_value()).push("' AS channel");
        }
    };
    push_select(sql, "h.id");
    sql.push(" FROM contact h WHERE h.").push(column);
    sql.push_in(identity.keys());
    push_household(sql, identity.name());
    sql.push(" UNION ");
    push_select(sql, "p.contact_id");
    sql.push(" FROM contact_point p");
    if identity.name().is_some() {
        sql.push(" JOIN contact h ON h.id = p.contact_id");
    }
    sql.push(" WHERE p.").push(column);
    sql.push_in(identity.keys());
    push_household(sql, identity.name());
}

/// Restricts a postal address with a name to contacts with that name.
fn push_household(sql: &mut SqlText, name: Option<&str>) {
    if let Some(name) = name {
        sql.push(" AND h.family_name_key = ").bind(name);
    }
}

/// Lifts the blocks of a contact for a purpose or group that the person wants again: on this record only, and on
/// `channel` if one was named. Blocks of external lists and undeliverable mail are not the person's to lift.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn lift_blocks(
    tx: &mut Transaction,
    contact_id: Uuid,
    purpose: &str,
    channel: Option<Channel>,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let blocks = Entity::find()
        .filter(Column::ContactId.eq(contact_id))
        .filter(Column::PurposeCode.eq(purpose))
        .filter(Column::Kind.eq(StopKind::Block))
        .filter(Condition::all().add_option(channel.map(|channel| Column::Channel.eq(channel))))
        .filter(Column::EndedAt.is_null())
        .filter(Column::ObjectedAt.lte(at));
    for row in blocks.all(tx.connection()).await? {
        end_block(tx, &row, at).await?;
    }
    Ok(())
}

/// Lifts one block of a contact that the person wants lifted; other records of the address keep theirs. One that is
/// already lifted is not changed.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` for a time in the future or before the block.
pub async fn lift_block(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such block");
    let row =
        contacts::lock_with_contact::<Entity>(tx, actor, &BLOCK, id, Column::ContactId, not_found).await?;
    let at = at.unwrap_or(tx.now());
    // A block that ended when it began would never have had effect, and an older consent would count again.
    if at > tx.now() || at <= row.objected_at {
        let message = "a block must end after it began and not in the future";
        return Err(Error::new(Code::BadUserInput, message).with_input_path("input.endedAt"));
    }
    if row.ended_at.is_some() {
        return tx.record(entry("liftBlock", row.id, row.contact_id, ChangeSet::none())).await;
    }
    end_block(tx, &row, at).await
}

async fn end_block(tx: &mut Transaction, row: &Model, at: DateTime<Utc>) -> Result<(), Error> {
    let after = Model { ended_at: Some(at), ..row.clone() };
    let changes = tx.update::<Entity>(&BLOCK, row, &after).await?;
    tx.record(entry("liftBlock", row.id, row.contact_id, changes)).await
}

fn entry(action: &'static str, id: Uuid, contact_id: Uuid, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: BLOCK.name, entity_id: Some(id), contact_id: Some(contact_id), changes }
}
