//! Consents that have expired, and those that must be renewed for a new text (Art. 5(2), 7(1)).
//! Room: domain/consents.
//!
//! Consents end without this: reads compare with the clock. It serves subscribers and the worklist.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent::{Column, Entity, Model},
    consent_event, consent_text, contact,
    enums::{ConsentEventKind, ConsentStatus},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::events::{self, Declaration, declare, now_or_later};
use crate::domain::consents::loaded;
use crate::{
    app::App,
    audit::{self, Author, RowFailures, Transaction},
    base::error::Error,
    policy::Grounds,
};

const BATCH_SIZE: usize = 200;
/// The actor in the audit log.
const ACTOR: &str = "server";

/// Records the expiry of consents and returns how many. Reads do not change; subscribers are informed. It can run
/// at any time, on several servers, and again.
///
/// # Errors
/// `INTERNAL` from the database; earlier batches are kept.
pub async fn expire(app: &App) -> Result<u64, Error> {
    let due =
        Condition::all().add(Column::Status.eq(ConsentStatus::Granted)).add(Column::ExpiresAt.lte(app.now()));
    each_batch(app, || Entity::find().filter(due.clone()), &Task::Expire).await
}

/// Requires a new declaration from persons who accepted an earlier version of a text with `renew_within`, and
/// returns the number of consents. They stay in force until that long after the new text was published, but not
/// beyond their own end; if that time is over, they end at once. A declaration to the new text satisfies the
/// requirement. Each consent is asked for once per version and declaration, however often this runs.
///
/// # Errors
/// `INTERNAL` from the database; earlier batches are kept.
pub async fn require_renewals(app: &App) -> Result<u64, Error> {
    let policy = app.policy.current();
    let texts = consent_text::Entity::find().all(&app.db.reader).await?;
    let versions: BTreeSet<(&str, &str)> = texts
        .iter()
        .filter(|text| text.renew_within.is_some())
        .map(|text| (text.purpose_code.as_str(), text.version.as_str()))
        .collect();
    let mut required = 0;
    for (purpose, version) in versions {
        if policy.purpose(purpose).is_none_or(|purpose| purpose.grounds != Grounds::Consent) {
            continue;
        }
        let of_purpose = texts.iter().filter(|text| text.purpose_code == purpose);
        let (new, other_versions): (Vec<_>, Vec<_>) =
            of_purpose.cloned().partition(|text| text.version == version);
        let requirement = RenewalRequirement { new, other_versions, language: app.pages.language.clone() };
        let candidates = requirement.candidates(purpose, app.now());
        let task = Task::RequireRenewals(requirement);
        required += each_batch(app, || candidates.clone(), &task).await?;
    }
    Ok(required)
}

/// What is done to each consent.
enum Task {
    Expire,
    RequireRenewals(RenewalRequirement),
}

impl Task {
    /// The declaration for the locked consent `row`; `None` if it is no longer due.
    fn declaration(
        &self,
        tx: &Transaction,
        row: &Model,
        events: &[consent_event::Model],
    ) -> Result<Option<Declaration>, Error> {
        // A row that differs from its events is repaired by `zweck consents rebuild`, not in passing.
        if row.status != ConsentStatus::Granted || events::with_projection(row, events) != *row {
            return Ok(None);
        }
        let expired_at = row.expires_at.filter(|end| *end <= tx.now());
        match (self, expired_at) {
            (Task::Expire, Some(end)) => {
                Ok(Some(Declaration::end("expireConsent", ConsentEventKind::Expired, Some(end), None)))
            }
            (Task::RequireRenewals(requirement), None) => {
                requirement.declaration(row, events, now_or_later(tx, events))
            }
            _ => Ok(None),
        }
    }
}

/// A text version that earlier consents must be renewed for.
struct RenewalRequirement {
    /// Its texts, one per language.
    new: Vec<consent_text::Model>,
    /// The texts of other versions.
    other_versions: Vec<consent_text::Model>,
    /// The language for persons whose language is unknown.
    language: String,
}

impl RenewalRequirement {
    /// Consents to earlier versions, or with an unknown text, that were not asked for yet.
    fn candidates(&self, purpose: &str, now: DateTime<Utc>) -> Select<Entity> {
        let last = self.new.iter().map(|text| text.published_at).max();
        let earlier =
            self.other_versions.iter().filter(|text| last.is_some_and(|last| text.published_at < last));
        let already_required = Query::select()
            .expr(Expr::val(1))
            .from(consent_event::Entity)
            .and_where(
                Expr::col((consent_event::Entity, consent_event::Column::ConsentId))
                    .eq(Expr::col((Entity, Column::Id))),
            )
            .and_where(consent_event::Column::Kind.eq(ConsentEventKind::Requested))
            .and_where(consent_event::Column::ConsentTextId.is_in(self.ids()))
            .and_where(consent_event::Column::ExpiresAt.is_not_null())
            .cond_where(
                Condition::any().add(Column::GrantedAt.is_null()).add(
                    Expr::col((consent_event::Entity, consent_event::Column::DeclaredAt))
                        .gte(Expr::col((Entity, Column::GrantedAt))),
                ),
            )
            .to_owned();
        let texts = Condition::any()
            .add(Column::ConsentTextId.is_null())
            .add(Column::ConsentTextId.is_in(earlier.map(|text| text.id)));
        Entity::find()
            .filter(Column::PurposeCode.eq(purpose))
            .filter(Column::Status.eq(ConsentStatus::Granted))
            .filter(Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now)))
            .filter(texts)
            .filter(Expr::exists(already_required).not())
    }

    fn ids(&self) -> Vec<Uuid> {
        self.new.iter().map(|text| text.id).collect()
    }

    /// The request made at `at`, if the consent is concerned and was not asked for.
    fn declaration(
        &self,
        row: &Model,
        events: &[consent_event::Model],
        at: DateTime<Utc>,
    ) -> Result<Option<Declaration>, Error> {
        let accepted_text =
            row.consent_text_id.and_then(|id| self.other_versions.iter().find(|text| text.id == id));
        let of = |language: &str| self.new.iter().find(|text| text.language == language);
        let same_language = accepted_text.and_then(|text| of(&text.language));
        let Some(new) = same_language.or_else(|| of(&self.language)).or(self.new.first()) else {
            return Ok(None);
        };
        let Some(within) = &new.renew_within else { return Ok(None) };
        let earlier = match (row.consent_text_id, accepted_text) {
            (None, _) => true,
            (Some(_), accepted_text) => {
                accepted_text.is_some_and(|accepted_text| accepted_text.published_at < new.published_at)
            }
        };
        let already_required = |event: &consent_event::Model| {
            event.kind == ConsentEventKind::Requested
                && event.expires_at.is_some()
                && event.consent_text_id.is_some_and(|id| self.ids().contains(&id))
                && row.granted_at.is_none_or(|granted| event.declared_at >= Some(granted))
        };
        if !earlier || events.iter().any(already_required) {
            return Ok(None);
        }
        // After the declaration to be renewed, even within one instant.
        let at = row.granted_at.map_or(at, |granted| Ord::max(at, granted + TimeDelta::microseconds(1)));
        let end = Ord::max(events::add_period(new.published_at, within)?, at);
        Ok(Some(Declaration {
            consent_text_id: Some(new.id),
            expires_at: Some(end),
            review_due_at: Some(at),
            ..Declaration::end("demandRenewal", ConsentEventKind::Requested, Some(at), None)
        }))
    }
}

/// Runs `task` on the consents that `candidates` selects, one batch per transaction.
async fn each_batch(app: &App, candidates: impl Fn() -> Select<Entity>, task: &Task) -> Result<u64, Error> {
    let (mut done, mut last, mut failures) = (0, Uuid::nil(), RowFailures::default());
    loop {
        let batch: Vec<(Uuid, Uuid)> = candidates()
            .select_only()
            .column(Column::Id)
            .column(Column::ContactId)
            .filter(Column::Id.gt(last))
            .order_by_asc(Column::Id)
            .limit(u64::try_from(BATCH_SIZE).unwrap_or(u64::MAX))
            .into_tuple()
            .all(&app.db.reader)
            .await?;
        let Some((end, _)) = batch.last() else { return failures.finish(done) };
        last = *end;
        match audit::with_retry(|| declare_all(app, &batch, task)).await {
            Ok(number) => done += number,
            // One by one: a consent that cannot be written delays no other.
            Err(_) => {
                for consent in &batch {
                    let result =
                        audit::with_retry(|| declare_all(app, std::slice::from_ref(consent), task)).await;
                    done += failures.tolerate(app, "a consent that ends", consent.0, result).await?;
                }
            }
        }
    }
}

/// One transaction: contacts are locked in id order, as merges lock them, and each consent is checked again.
async fn declare_all(app: &App, batch: &[(Uuid, Uuid)], task: &Task) -> Result<u64, Error> {
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    let contacts: BTreeSet<Uuid> = batch.iter().map(|(_, contact)| *contact).collect();
    contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::Id.is_in(contacts.iter().copied()))
        .order_by_asc(contact::Column::Id)
        .lock_exclusive()
        .into_tuple::<Uuid>()
        .all(tx.connection())
        .await?;
    let due = Condition::all()
        .add(loaded::column(Column::Id).is_in(batch.iter().map(|(id, _)| *id)))
        // A consent that a merge has moved belongs to a contact that is not locked; it is done next time.
        .add(loaded::column(Column::ContactId).is_in(contacts));
    let mut done = 0;
    for consent in loaded::load(&tx, due).await? {
        if let Some(declaration) = task.declaration(&tx, &consent.row, &consent.events)? {
            declare(&mut tx, consent, &declaration).await?;
            done += 1;
        }
    }
    // Otherwise other servers have done it meanwhile.
    if done > 0 {
        tx.commit().await?;
    }
    Ok(done)
}
