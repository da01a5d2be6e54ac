//! Access by mailed links: finding, locking and closing a link, and the actor on whose behalf it acts.
//! Room: domain/signups.

use chrono::{DateTime, Utc};
use entity::{contact, enums::LinkKind, link, mail};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{Author, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    crypto::link_tokens,
    domain::contacts,
};

/// The outcome of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// It was declared, by this contact.
    Done(Uuid),
    /// The pending declarations differ from those that were shown: nothing was done.
    Changed,
    /// The link is unknown, used or expired.
    Closed,
}

/// Marks the link as used by a contact.
pub(super) async fn mark_used(tx: &Transaction, link: &link::Model, contact: Uuid) -> Result<(), Error> {
    link::Entity::update_many()
        .col_expr(link::Column::UsedAt, Expr::value(tx.now()))
        .col_expr(link::Column::ContactId, Expr::value(contact))
        .filter(link::Column::Id.eq(link.id))
        .exec(tx.connection())
        .await?;
    Ok(())
}

pub(super) fn is_open(link: &link::Model, now: DateTime<Utc>) -> bool {
    link.used_at.is_none() && link.expires_at > now && link.kind != LinkKind::Fresh
}

pub(super) async fn find_usable<C: ConnectionTrait>(
    connection: &C,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<link::Model>, Error> {
    if !link_tokens::is_one_time_token(token) {
        return Ok(None);
    }
    let row = link::Entity::find().filter(link::Column::TokenHash.eq(link_tokens::hash(token)));
    Ok(row.one(connection).await?.filter(|link| is_open(link, now)))
}

/// Locks the link, if it is still open: of several concurrent requests only one finds it so.
pub(super) async fn lock_if_open(tx: &Transaction, link: &link::Model) -> Result<Option<link::Model>, Error> {
    let row = link::Entity::find_by_id(link.id).lock_exclusive().one(tx.connection()).await?;
    Ok(row.filter(|link| is_open(link, tx.now())))
}

/// The actor, once it is known whose link it is.
pub(super) fn act_as(
    tx: &mut Transaction,
    app: &App,
    contact: Uuid,
    request_id: &str,
) -> Result<Actor, Error> {
    let policy = app.policy.current();
    let actor = Actor::for_subject(policy, contact, &app.pages.purpose, tx.now(), request_id.to_owned())?;
    tx.act_as(Author::from(&actor))?;
    Ok(actor)
}

/// Locks the contact, if it is visible to itself.
pub(super) async fn lock_contact(
    tx: &Transaction,
    actor: &Actor,
    id: Uuid,
) -> Result<Option<contact::Model>, Error> {
    match contacts::lock(tx, actor, id).await {
        Ok(contact) => Ok(Some(contact)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn mail_of<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<mail::Model>, Error> {
    Ok(mail::Entity::find().filter(mail::Column::LinkId.eq(link.id)).one(connection).await?)
}
