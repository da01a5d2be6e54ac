//! Merges two contacts that turn out to be one person. Room: domain.
//!
//! Both contacts are locked in id order and merged in one transaction. The caller must be able to read and write
//! every field of a contact and of everything that refers to it (derived from the registry), under a purpose that
//! sees all. Values: `domain/contacts/merge.rs`. Consents: `domain/consents/merge.rs`; an opt-out of either contact
//! (withdrawn, refused, ended, objected to and not consented since) invalidates the consent of the other by an
//! event of its own, whatever the times, so that the projection still follows from the events. Rows move, the
//! duplicate is deleted; its entry (`entityId` the old id, `contact` the surviving one, values sealed for that one)
//! and a provenance row link both ids, so that an erasure finds what was sealed under the old one.

use entity::{
    enums::StopKind, ground, link, mail, objection, privacy_request, provenance, restriction, sign_up, stop,
};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::Expr,
};
use uuid::Uuid;

use crate::{
    audit::Transaction,
    auth::actor::Actor,
    base::error::Error,
    domain::{
        consents,
        contacts::merge::{self, Merge, Merged},
        suppressions,
    },
    registry::{BLOCK, GROUND, OBJECTION, ObjectType, PRIVACY_REQUEST, PROVENANCE, RESTRICTION, STOP},
};

/// Merges the duplicate into the surviving contact: values by [`merge::merge`], consents by
/// [`consents::merge::merge`]. What either has refused, withdrawn, objected to or restricted holds for both. No
/// declaration is lost, and each moved row leaves an entry.
///
/// # Errors
/// As [`merge::lock`] and [`merge::merge`].
pub async fn merge(tx: &mut Transaction, actor: &Actor, merge: &Merge) -> Result<(), Error> {
    let pair = merge::lock(tx, actor, merge).await?;
    let merged = merge::merge(tx, pair, &merge.take).await?;
    move_links(tx, &merged).await?;
    // Before the objections move: it matters whose they are.
    consents::merge::merge(tx, actor, &merged).await?;
    {
        use provenance::{Column, Entity};
        reassign::<Entity>(tx, &merged, &PROVENANCE, Column::Id, Column::ContactId).await?;
    }
    {
        use ground::{Column, Entity};
        reassign::<Entity>(tx, &merged, &GROUND, Column::Id, Column::ContactId).await?;
    }
    {
        use objection::{Column, Entity};
        merge_blocks(tx, &merged).await?;
        reassign::<Entity>(tx, &merged, &OBJECTION, Column::Id, Column::ContactId).await?;
    }
    {
        use restriction::{Column, Entity};
        reassign::<Entity>(tx, &merged, &RESTRICTION, Column::Id, Column::ContactId).await?;
    }
    {
        use privacy_request::{Column, Entity};
        reassign::<Entity>(tx, &merged, &PRIVACY_REQUEST, Column::Id, Column::ContactId).await?;
    }
    {
        use stop::{Column, Entity};
        merge_stops(tx, &merged).await?;
        reassign::<Entity>(tx, &merged, &STOP, Column::Id, Column::ContactId).await?;
    }
    // After the objections moved: the survivor's own opt-outs concern every address it has now.
    suppressions::reapply(tx, &merged.addresses).await?;
    merge::delete_duplicate(tx, &merged).await?;
    // After the duplicate is deleted: nothing may be attached to it any more.
    consents::spread_opt_outs(tx, &merged.addresses).await
}

/// Moves links, sign-ups and mails of the duplicate. What they open is decided when they are used: a link to an
/// address that the contact does not have opens nothing. Renewal links of the duplicate no longer renew anything.
async fn move_links(tx: &Transaction, merged: &Merged) -> Result<(), Error> {
    let (from, to) = (merged.duplicate.id, merged.after.id);
    link::Entity::update_many()
        .col_expr(link::Column::ConsentId, Expr::value(None::<Uuid>))
        .col_expr(link::Column::ContactId, Expr::value(to))
        .filter(link::Column::ContactId.eq(from))
        .exec(tx.connection())
        .await?;
    // A link that had opened one record must ask again for the merged one.
    link::Entity::update_many()
        .col_expr(link::Column::OpenedId, Expr::value(None::<Uuid>))
        .filter(link::Column::OpenedId.eq(from))
        .exec(tx.connection())
        .await?;
    sign_up::Entity::update_many()
        .col_expr(sign_up::Column::ContactId, Expr::value(to))
        .filter(sign_up::Column::ContactId.eq(from))
        .exec(tx.connection())
        .await?;
    mail::Entity::update_many()
        .col_expr(mail::Column::ContactId, Expr::value(to))
        .filter(mail::Column::ContactId.eq(from))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Merges equal blocks of both contacts: the later date, in force if one of them is. Other blocks move unchanged.
async fn merge_blocks(tx: &mut Transaction, merged: &Merged) -> Result<(), Error> {
    use objection::{Column, Entity, Model};
    let of = |id: Uuid| {
        Entity::find().filter(Column::ContactId.eq(id)).filter(Column::Kind.ne(StopKind::Objection))
    };
    let remaining = of(merged.after.id).all(tx.connection()).await?;
    for block in of(merged.duplicate.id).all(tx.connection()).await? {
        let same = |existing: &&Model| {
            (&existing.purpose_code, existing.kind, existing.channel)
                == (&block.purpose_code, block.kind, block.channel)
        };
        let Some(existing) = remaining.iter().find(same) else { continue };
        let stricter = Model {
            objected_at: existing.objected_at.max(block.objected_at),
            ended_at: existing.ended_at.zip(block.ended_at).map(|(left, right)| left.max(right)),
            every_channel: existing.every_channel || block.every_channel,
            source: existing.source.clone().or(block.source.clone()),
            ..existing.clone()
        };
        let deleted = tx.delete::<Entity>(&BLOCK, &block).await?;
        tx.record(merged.entry(&BLOCK, block.id, deleted)).await?;
        let changes = tx.update::<Entity>(&BLOCK, existing, &stricter).await?;
        tx.record(merged.entry(&BLOCK, existing.id, changes)).await?;
    }
    Ok(())
}

/// Merges equal stop duties of both contacts: the later date, open if one of them is.
async fn merge_stops(tx: &mut Transaction, merged: &Merged) -> Result<(), Error> {
    use stop::{Column, Entity, Model};
    let of = |id: Uuid| Entity::find().filter(Column::ContactId.eq(id)).lock_exclusive();
    let remaining = of(merged.after.id).all(tx.connection()).await?;
    for stop in of(merged.duplicate.id).all(tx.connection()).await? {
        let key = |stop: &Model| {
            let address = stop.address_sha256.clone();
            (stop.recipient_id, stop.purpose_code.clone(), stop.channel, address)
        };
        let Some(existing) = remaining.iter().find(|existing| key(existing) == key(&stop)) else { continue };
        let open = existing.acknowledged_at.is_none() || stop.acknowledged_at.is_none();
        // The next export includes it again, under both ids.
        let later = Model {
            since: existing.since.max(stop.since),
            exported_at: if open { None } else { existing.exported_at },
            acknowledged_at: existing.acknowledged_at.filter(|_| !open),
            acknowledged_by: existing.acknowledged_by.clone().filter(|_| !open),
            ..existing.clone()
        };
        let deleted = tx.delete::<Entity>(&STOP, &stop).await?;
        tx.record(merged.entry(&STOP, stop.id, deleted)).await?;
        let changes = tx.update::<Entity>(&STOP, existing, &later).await?;
        tx.record(merged.entry(&STOP, existing.id, changes)).await?;
    }
    Ok(())
}

/// Moves the rows of one type from the duplicate to the surviving contact.
async fn reassign<E>(
    tx: &mut Transaction,
    merged: &Merged,
    object: &'static ObjectType,
    id: E::Column,
    contact_id: E::Column,
) -> Result<(), Error>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + IntoActiveModel<E::ActiveModel> + Clone + Sync,
    E::ActiveModel: Send,
{
    // Locked: some types, such as requests, are written under their own lock only.
    let rows = E::find().filter(contact_id.eq(merged.duplicate.id)).order_by_asc(id).lock_exclusive();
    for row in rows.all(tx.connection()).await? {
        let Value::Uuid(Some(row_id)) = row.get(id) else {
            return Err(Error::internal("a row without an id"));
        };
        let mut moved = row.clone();
        moved.try_set(contact_id, merged.after.id.into())?;
        let changes = tx.update::<E>(object, &row, &moved).await?;
        let changes = if changes.is_empty() { merged.reassignment(object) } else { changes };
        tx.record(merged.entry(object, row_id, changes)).await?;
    }
    Ok(())
}
