//! Loads what a receipt shows: a consent, its events and every text they refer to. Room: domain/receipts.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event, consent_text,
    enums::StopKind,
    enums::{ConsentEventKind, ConsentStatus},
    objection, purpose,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    base::error::Error,
    domain::consents::projection::{ProjectedConsent, project, status_at},
    policy::{Policy, PurposeDef},
};

/// A consent with everything that its receipt shows.
pub(super) struct ConsentRecord {
    pub(super) consent: consent::Model,
    pub(super) purpose: purpose::Model,
    /// The purpose in the policy in force, if it still exists there.
    pub(super) declared: Option<Arc<PurposeDef>>,
    /// In the order in which they were recorded.
    pub(super) events: Vec<consent_event::Model>,
    /// Every text that an event refers to, by time of publication.
    pub(super) texts: Vec<consent_text::Model>,
    /// The projection of the events.
    pub(super) state: ProjectedConsent,
    pub(super) status: ConsentStatus,
    /// When the person objected, if that ended an earlier declaration (Art. 21(2)).
    pub(super) objected_at: Option<DateTime<Utc>>,
}

impl ConsentRecord {
    /// Whether it permits processing.
    pub(super) fn in_force(&self) -> bool {
        self.status == ConsentStatus::Granted && self.objected_at.is_none()
    }

    /// The kind of declaration that the present state rests on.
    pub(super) fn granted_by(&self) -> Option<ConsentEventKind> {
        use ConsentEventKind::{Confirmed, Granted, Renewed};
        let at = self.state.granted_at;
        let grants = self.events.iter().filter(|event| matches!(event.kind, Granted | Confirmed | Renewed));
        grants.filter(|event| event.declared_at == at).map(|event| event.kind).next_back()
    }
}

/// Reads a consent at the instant `now`. Everything that can change is in its events, which one statement reads:
/// the state is projected from them, not taken from the row, so that both always agree.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn load_record<C: ConnectionTrait>(
    connection: &C,
    policy: &Policy,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<ConsentRecord>, Error> {
    let Some(consent) = consent::Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let purpose = purpose::Entity::find_by_id(consent.purpose_code.clone()).one(connection).await?;
    let Some(purpose) = purpose else { return Err(Error::internal("a consent without its purpose")) };
    let events = consent_event::Entity::find().filter(consent_event::Column::ConsentId.eq(id));
    let mut events = events.all(connection).await?;
    events.sort_by_key(|event| (event.recorded_at, event.id));
    let texts: BTreeSet<Uuid> = events.iter().filter_map(|event| event.consent_text_id).collect();
    let texts = consent_text::Entity::find().filter(consent_text::Column::Id.is_in(texts));
    let mut texts = texts.all(connection).await?;
    texts.sort_by(|left, right| {
        let key =
            |text: &consent_text::Model| (text.published_at, text.version.clone(), text.language.clone());
        key(left).cmp(&key(right))
    });
    let state = project(&events);
    let objected_at = latest_objection(connection, &consent, &purpose, &state).await?;
    Ok(Some(ConsentRecord {
        declared: policy.purpose(&consent.purpose_code).cloned(),
        status: status_at(&events, now),
        consent,
        purpose,
        events,
        texts,
        state,
        objected_at,
    }))
}

/// The latest objection to the purpose or its group, or block of the address, not made before the declaration; one
/// that ended when it began never had effect. The row rule applies the same condition.
async fn latest_objection<C: ConnectionTrait>(
    connection: &C,
    consent: &consent::Model,
    purpose: &purpose::Model,
    state: &ProjectedConsent,
) -> Result<Option<DateTime<Utc>>, Error> {
    let codes = [Some(&purpose.code), purpose.group_code.as_ref()].into_iter().flatten();
    let objections = objection::Entity::find()
        .filter(objection::Column::ContactId.eq(consent.contact_id))
        .filter(objection::Column::PurposeCode.is_in(codes))
        .all(connection)
        .await?;
    let can_end_consent = |objection: &objection::Model| {
        // An external list stops only what rests on no consent.
        objection.kind != StopKind::ExternalList
            && objection.channel.is_none_or(|channel| channel == consent.channel)
    };
    let objections = objections.into_iter().filter(can_end_consent);
    let had_effect =
        objections.filter(|objection| objection.ended_at.is_none_or(|end| end > objection.objected_at));
    let effective = had_effect
        .filter(|objection| state.declared_at.is_none_or(|declared| objection.objected_at >= declared));
    Ok(effective.map(|objection| objection.objected_at).max())
}
