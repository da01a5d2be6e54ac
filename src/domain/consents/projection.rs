//! The projection of a consent's events: a pure function that implements the law. Room: domain/consents.
//!
//! The latest declaration by declared time wins; ties and unknown times go to the withdrawal (Art. 7(1): whoever
//! cannot prove a consent has none). A renewal is a new declaration by the person.

use chrono::{DateTime, Utc};
use entity::{
    consent_event,
    enums::{ConsentEventKind, ConsentStatus},
};
use uuid::Uuid;

/// The state of a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectedConsent {
    /// Present status, before expiry is considered.
    pub status: ConsentStatus,
    /// When the person last declared.
    pub declared_at: Option<DateTime<Utc>>,
    /// When the consent in force was granted.
    pub granted_at: Option<DateTime<Utc>>,
    /// When it was confirmed by double opt-in.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<DateTime<Utc>>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it is to be reviewed, while it is in force.
    pub review_due_at: Option<DateTime<Utc>>,
    /// Where the last declaration was made.
    pub source: Option<String>,
    /// The accepted text.
    pub consent_text_id: Option<Uuid>,
}

impl Default for ProjectedConsent {
    fn default() -> Self {
        Self {
            status: ConsentStatus::Pending,
            declared_at: None,
            granted_at: None,
            confirmed_at: None,
            withdrawn_at: None,
            expires_at: None,
            review_due_at: None,
            source: None,
            consent_text_id: None,
        }
    }
}

fn is_grant(kind: ConsentEventKind) -> bool {
    use ConsentEventKind::{Confirmed, Granted, Renewed};
    matches!(kind, Granted | Confirmed | Renewed)
}

/// When an event takes effect. An unknown time counts against the controller: a grant's as the earliest, an end's
/// as the latest possible.
fn effective_at(event: &consent_event::Model) -> DateTime<Utc> {
    match event.declared_at {
        Some(at) => at,
        None if is_grant(event.kind) || event.kind == ConsentEventKind::Requested => DateTime::<Utc>::MIN_UTC,
        None => event.recorded_at,
    }
}

/// At the same instant, the higher rank wins.
fn rank(kind: ConsentEventKind) -> u8 {
    match kind {
        ConsentEventKind::Requested => 0,
        ConsentEventKind::Granted | ConsentEventKind::Renewed => 1,
        ConsentEventKind::Confirmed => 2,
        ConsentEventKind::Expired => 3,
        ConsentEventKind::Invalidated => 4,
        ConsentEventKind::Refused => 5,
        ConsentEventKind::Withdrawn => 6,
    }
}

/// The earlier of two optional ends.
fn earliest(left: Option<DateTime<Utc>>, right: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    left.into_iter().chain(right).min()
}

/// The state that `events` project to, in whatever order they were recorded, repeats included.
pub fn project(events: &[consent_event::Model]) -> ProjectedConsent {
    let mut ordered: Vec<&consent_event::Model> = events.iter().collect();
    ordered.sort_by_key(|event| (effective_at(event), rank(event.kind), event.recorded_at, event.id));
    ordered.into_iter().fold(ProjectedConsent::default(), apply)
}

/// The status at an instant: of what was declared by then, with expiry.
pub fn status_at(events: &[consent_event::Model], at: DateTime<Utc>) -> ConsentStatus {
    let by_then: Vec<_> = events.iter().filter(|event| effective_at(event) <= at).cloned().collect();
    let state = project(&by_then);
    match state.status {
        ConsentStatus::Granted if state.expires_at.is_some_and(|end| end <= at) => ConsentStatus::Expired,
        status => status,
    }
}

/// The state at `at`: what expired before is over, recorded or not.
fn expire_before(state: ProjectedConsent, at: DateTime<Utc>) -> ProjectedConsent {
    let is_expired = state.status == ConsentStatus::Granted && state.expires_at.is_some_and(|end| end < at);
    if is_expired {
        ProjectedConsent { status: ConsentStatus::Expired, review_due_at: None, ..state }
    } else {
        state
    }
}

fn apply(state: ProjectedConsent, event: &consent_event::Model) -> ProjectedConsent {
    use ConsentEventKind::{
        Confirmed, Expired, Granted, Invalidated, Refused, Renewed, Requested, Withdrawn,
    };
    let at = effective_at(event);
    let state = expire_before(state, at);
    let in_force = matches!(state.status, ConsentStatus::Granted | ConsentStatus::Pending);
    match event.kind {
        // Another request does not affect a consent in force, except its review and end: a new text may require a
        // new declaration by then. It ends nothing before it was made.
        Requested if state.status == ConsentStatus::Granted => ProjectedConsent {
            expires_at: earliest(state.expires_at, event.expires_at.map(|end| end.max(at))),
            review_due_at: earliest(state.review_due_at, event.review_due_at),
            ..state
        },
        Requested => ProjectedConsent {
            declared_at: event.declared_at,
            source: event.source.clone(),
            consent_text_id: event.consent_text_id,
            ..ProjectedConsent::default()
        },
        Granted | Renewed | Confirmed => ProjectedConsent {
            status: ConsentStatus::Granted,
            declared_at: event.declared_at,
            granted_at: event.declared_at,
            confirmed_at: if event.kind == Confirmed { event.declared_at } else { None },
            withdrawn_at: None,
            expires_at: event.expires_at,
            review_due_at: event.review_due_at,
            source: event.source.clone().or(state.source.filter(|_| event.kind == Confirmed)),
            consent_text_id: event
                .consent_text_id
                .or(state.consent_text_id.filter(|_| event.kind == Confirmed)),
        },
        Refused => ProjectedConsent {
            status: ConsentStatus::Refused,
            declared_at: event.declared_at,
            source: event.source.clone(),
            ..ProjectedConsent::default()
        },
        Withdrawn => ProjectedConsent {
            status: ConsentStatus::Withdrawn,
            declared_at: event.declared_at,
            withdrawn_at: Some(at),
            review_due_at: None,
            source: event.source.clone(),
            ..state
        },
        // What the person has ended stays ended. A consent that was declared again by then has not expired, even if
        // that was recorded late.
        Expired if state.status == ConsentStatus::Granted && state.expires_at.is_none_or(|end| end > at) => {
            state
        }
        Expired if in_force => {
            ProjectedConsent { status: ConsentStatus::Expired, review_due_at: None, ..state }
        }
        Invalidated if in_force => {
            ProjectedConsent { status: ConsentStatus::Invalidated, review_due_at: None, ..state }
        }
        Expired | Invalidated => state,
    }
}
