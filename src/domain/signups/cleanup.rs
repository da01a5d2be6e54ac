//! Deletes what is stored only for a while: unconfirmed sign-ups and expired links. Room: domain/signups.

use entity::{enums::LinkKind, link, mail, sign_up, subject_key};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, RowFailures, Transaction},
    base::error::Error,
    registry::DataCategory,
};

/// Rows deleted in one transaction.
const BATCH_SIZE: u64 = 500;
/// Ids in one statement.
const MAX_BIND_VALUES: usize = 500;

/// Deletes unconfirmed sign-ups and expired magic links with their mails, and the addresses of other expired links.
/// Returns the number of sign-ups. One that cannot be deleted delays no other.
///
/// # Errors
/// `INTERNAL` from the database, or if a row was skipped; earlier deletions are kept.
pub async fn delete_expired(app: &App) -> Result<u64, Error> {
    let sign_ups = delete_in_batches(app, Expired::SignUps).await;
    let links =
        [delete_in_batches(app, Expired::FreshLinks).await, delete_in_batches(app, Expired::Addresses).await];
    links.into_iter().collect::<Result<Vec<_>, _>>()?;
    sign_ups
}

/// What has expired.
#[derive(Clone, Copy)]
enum Expired {
    SignUps,
    FreshLinks,
    Addresses,
}

/// Deletes what has expired, one batch per transaction; one by one if a batch fails.
async fn delete_in_batches(app: &App, expired: Expired) -> Result<u64, Error> {
    let (mut deleted, mut failures, mut skipped) = (0, RowFailures::default(), Vec::new());
    loop {
        let ids = expired.ids(app, &skipped).await?;
        if ids.is_empty() {
            return failures.finish(deleted);
        }
        match audit::with_retry(|| expired.delete(app, &ids)).await {
            Ok(number) => deleted += number,
            Err(_) => {
                for id in &ids {
                    let result = audit::with_retry(|| expired.delete(app, std::slice::from_ref(id))).await;
                    if result.is_err() {
                        skipped.push(*id);
                    }
                    deleted += failures.tolerate(app, "a sign-up or link that is over", *id, result).await?;
                }
            }
        }
        if (ids.len() as u64) < BATCH_SIZE {
            return failures.finish(deleted);
        }
    }
}

impl Expired {
    /// The ids of a batch, without the skipped ones.
    async fn ids(self, app: &App, skipped: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let skipped = skipped.iter().copied();
        let ids = match self {
            Expired::SignUps => expired_sign_ups(app)
                .filter(sign_up::Column::Id.is_not_in(skipped))
                .into_tuple()
                .all(&app.db.reader),
            Expired::FreshLinks => expired_links(app)
                .filter(link::Column::Kind.eq(LinkKind::Fresh))
                .filter(link::Column::Id.is_not_in(skipped))
                .into_tuple()
                .all(&app.db.reader),
            Expired::Addresses => expired_links(app)
                .filter(link::Column::AddressKey.ne(""))
                .filter(link::Column::Id.is_not_in(skipped))
                .into_tuple()
                .all(&app.db.reader),
        };
        Ok(ids.await?)
    }

    async fn delete(self, app: &App, ids: &[Uuid]) -> Result<u64, Error> {
        match self {
            Expired::SignUps => delete_sign_ups(app, ids).await,
            Expired::FreshLinks => {
                let tx = begin(app).await?;
                delete_links(&tx, ids).await?;
                commit(tx, "deleteLinks", "Link", ids.len()).await
            }
            Expired::Addresses => clear_addresses(app, ids).await,
        }
    }
}

async fn begin(app: &App) -> Result<Transaction, Error> {
    audit::begin(app, Author::command(app, "server", None)).await
}

/// Commits with an entry that holds a number and no value.
async fn commit(
    mut tx: Transaction,
    action: &'static str,
    entity: &'static str,
    number: usize,
) -> Result<u64, Error> {
    let changes =
        ChangeSet::single("deleted", DataCategory::Technical, serde_json::Value::Null, number.into());
    tx.record(Entry { action, entity_type: entity, entity_id: None, contact_id: None, changes }).await?;
    tx.commit().await?;
    Ok(number as u64)
}

/// Expired sign-ups.
fn expired_sign_ups(app: &App) -> Select<sign_up::Entity> {
    let open = Query::select()
        .expr(Expr::val(1))
        .from(link::Entity)
        .and_where(
            Expr::col((link::Entity, link::Column::SignUpId)).equals((sign_up::Entity, sign_up::Column::Id)),
        )
        .and_where(Expr::col((link::Entity, link::Column::ExpiresAt)).gt(app.now()))
        .take();
    sign_up::Entity::find()
        .select_only()
        .column(sign_up::Column::Id)
        .filter(sign_up::Column::CreatedAt.lte(app.now() - app.pages.unconfirmed_time()))
        // A sign-up whose mail is waiting, or was sent late, stays until its link has expired.
        .filter(Expr::exists(open).not())
        .order_by_asc(sign_up::Column::CreatedAt)
        .limit(BATCH_SIZE)
}

/// Expired links.
fn expired_links(app: &App) -> Select<link::Entity> {
    let all = link::Entity::find().select_only().column(link::Column::Id);
    all.filter(link::Column::ExpiresAt.lte(app.now())).limit(BATCH_SIZE)
}

async fn delete_sign_ups(app: &App, ids: &[Uuid]) -> Result<u64, Error> {
    let tx = begin(app).await?;
    let old = expired_sign_ups(app).filter(sign_up::Column::Id.is_in(ids.iter().copied()));
    let ids: Vec<Uuid> = old.lock_exclusive().into_tuple().all(tx.connection()).await?;
    let links: Vec<Uuid> = link::Entity::find()
        .select_only()
        .column(link::Column::Id)
        .filter(link::Column::SignUpId.is_in(ids.iter().copied()))
        .into_tuple()
        .all(tx.connection())
        .await?;
    delete_links(&tx, &links).await?;
    sign_up::Entity::delete_many()
        .filter(sign_up::Column::Id.is_in(ids.iter().copied()))
        .exec(tx.connection())
        .await?;
    destroy_keys(&tx, &ids).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    commit(tx, "deleteSignUps", "SignUp", ids.len()).await
}

/// Deletes sign-ups that were answered by `used`, and their links that were never sent. Sent links stay as evidence
/// and open nothing.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn delete_answered(tx: &Transaction, used: &link::Model, ids: &[Uuid]) -> Result<(), Error> {
    for ids in ids.chunks(MAX_BIND_VALUES) {
        let ids = || ids.iter().copied();
        let sent = Query::select()
            .expr(Expr::val(1))
            .from(mail::Entity)
            .and_where(
                Expr::col((mail::Entity, mail::Column::LinkId)).equals((link::Entity, link::Column::Id)),
            )
            .and_where(Expr::col((mail::Entity, mail::Column::SentAt)).is_not_null())
            .take();
        let unsent: Vec<Uuid> = link::Entity::find()
            .select_only()
            .column(link::Column::Id)
            .filter(link::Column::SignUpId.is_in(ids()))
            .filter(link::Column::Id.ne(used.id))
            .filter(Expr::exists(sent).not())
            .into_tuple()
            .all(tx.connection())
            .await?;
        for unsent in unsent.chunks(MAX_BIND_VALUES) {
            delete_links(tx, unsent).await?;
        }
        link::Entity::update_many()
            .col_expr(link::Column::SignUpId, Expr::value(None::<Uuid>))
            .filter(link::Column::SignUpId.is_in(ids()))
            .exec(tx.connection())
            .await?;
        sign_up::Entity::delete_many().filter(sign_up::Column::Id.is_in(ids())).exec(tx.connection()).await?;
    }
    Ok(())
}

/// Deletes links with their mails, and the keys of entries about them.
async fn delete_links(tx: &Transaction, links: &[Uuid]) -> Result<(), Error> {
    let ids = || links.iter().copied();
    let mails: Vec<Uuid> = mail::Entity::find()
        .select_only()
        .column(mail::Column::Id)
        .filter(mail::Column::LinkId.is_in(ids()))
        .into_tuple()
        .all(tx.connection())
        .await?;
    mail::Entity::delete_many().filter(mail::Column::LinkId.is_in(ids())).exec(tx.connection()).await?;
    link::Entity::delete_many().filter(link::Column::Id.is_in(ids())).exec(tx.connection()).await?;
    destroy_keys(tx, &mails).await?;
    destroy_keys(tx, links).await
}

async fn destroy_keys(tx: &Transaction, subjects: &[Uuid]) -> Result<(), Error> {
    subject_key::Entity::delete_many()
        .filter(subject_key::Column::SubjectId.is_in(subjects.iter().copied()))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Confirmation and renewal links stay, as evidence of their mails; the address is cleared.
async fn clear_addresses(app: &App, ids: &[Uuid]) -> Result<u64, Error> {
    let tx = begin(app).await?;
    link::Entity::update_many()
        .col_expr(link::Column::AddressKey, Expr::value(""))
        .filter(link::Column::Id.is_in(ids.iter().copied()))
        .exec(tx.connection())
        .await?;
    commit(tx, "emptyLinks", "Link", ids.len()).await
}
