//! The one way in for a no to advertising that a file tells (floor 4).

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, StopKind, SuppressionKind},
    objection,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::known::Who;
use crate::{
    audit::Transaction,
    contacts::{Reachable, Reached, kind_on},
    context::{Actor, App, Credential},
    error::Error,
    objections::{self, NewObjection},
    policy::{Grounds, LegalBasis, Policy, PurposeDef},
    register::CONTACT,
    suppressions,
};

/// A no to a purpose or group that somebody declared.
pub(super) struct Declared<'a> {
    /// The records of the person.
    pub contacts: &'a [Uuid],
    /// How the person is reached; what is no address is passed over.
    pub addresses: &'a [Who],
    /// Code of the purpose or group.
    pub purpose: &'a str,
    /// On this channel; on all otherwise.
    pub channel: Option<Channel>,
    /// When; not known otherwise.
    pub at: Option<DateTime<Utc>>,
    /// Where.
    pub source: Option<&'a str>,
}

/// What a declaration met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// How many records of the person.
    pub contacts: usize,
    /// Whether anything is as it was not before.
    pub changed: bool,
}

/// The door: who it is that declares in the name of the persons.
pub(super) struct Door {
    actor: Actor,
}

impl Door {
    /// Of an import by `actor`, which sees whomever anybody may see.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where no purpose of the policy sees all.
    pub fn of(app: &App, actor: &str) -> Result<Self, Error> {
        let policy = app.policy.current();
        let seeing = policy.purposes().iter().filter(|purpose| purpose.sees_all);
        let widest = seeing.max_by_key(|purpose| (purpose.allowed_restricted, purpose.allowed_retained));
        let code = widest.map(|purpose| purpose.code.clone()).ok_or_else(|| {
            Error::input("no purpose of the policy sees all, under which objections could be recorded")
        })?;
        let credential = Credential {
            actor_id: actor.to_owned(),
            roles: Vec::new(),
            purposes: vec![code.clone()],
            fields: None,
            expires_at: app.now(),
            recipient: None,
        };
        Ok(Self { actor: Actor::new(policy, &credential, Some(&code), actor.to_owned())? })
    }

    /// Records that the person objected: on its records, and on the suppression list for its addresses. What is known already is no
    /// change.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a purpose that cannot be objected to, and from the database.
    pub async fn declare(&self, tx: &mut Transaction, declared: &Declared<'_>) -> Result<Met, Error> {
        let mut met = Met::default();
        for contact_id in declared.contacts {
            if !tx.sees(&self.actor, &CONTACT, *contact_id).await? {
                continue;
            }
            met.contacts += 1;
            let known: Vec<Uuid> = objection::Entity::find()
                .select_only()
                .column(objection::Column::Id)
                .filter(objection::Column::ContactId.eq(*contact_id))
                .filter(objection::Column::Kind.eq(StopKind::Objection))
                .into_tuple()
                .all(tx.connection())
                .await?;
            let new = NewObjection {
                contact_id: Some(*contact_id),
                address: None,
                purpose: declared.purpose.to_owned(),
                channel: declared.channel,
                at: declared.at,
                source: declared.source.map(str::to_owned),
            };
            let recorded = objections::record(tx, &self.actor, &new).await?;
            met.changed |= recorded.iter().any(|id| !known.contains(id));
        }
        let addresses: Vec<&Reachable> = declared.addresses.iter().filter_map(Who::address).collect();
        // Of one channel, the addresses of it; who is named by none of them said it all the same.
        let meant = |address: &&&Reachable| {
            declared.channel.is_none_or(|channel| kind_on(channel) == address.identity().kind())
        };
        let named = addresses.iter().filter(meant).count();
        let channel = declared.channel.filter(|_| named > 0);
        let typed: Vec<Reachable> = addresses
            .iter()
            .filter(|address| named == 0 || meant(address))
            .map(|one| (*one).clone())
            .collect();
        if typed.is_empty() {
            return Ok(met);
        }
        let typed = Reached::typed(typed);
        let ring = tx.known_ring().await?;
        let found =
            suppressions::find(tx.connection(), ring.as_ref(), tx.reader(), std::slice::from_ref(&typed))
                .await?;
        let listed = |known: &suppressions::Listed| {
            known.purpose == declared.purpose && declared.at.is_none_or(|at| known.since >= at)
        };
        met.changed |= !found.of(&typed).iter().any(listed);
        let no = suppressions::Declared {
            purpose: declared.purpose.to_owned(),
            kind: SuppressionKind::Objection,
            channel,
            since: declared.at.unwrap_or(tx.now()),
            source: declared.source.map(str::to_owned),
        };
        // On every record of the addresses, also of those that are not the person's.
        suppressions::declare(tx, &[], &typed, &[no]).await?;
        Ok(met)
    }
}

/// Whether the purpose or group can be objected to (Art. 21).
pub(super) fn can_be_objected_to(purpose: &PurposeDef) -> bool {
    purpose.is_group
        || purpose.grounds == Grounds::Consent
        || purpose.basis.is_some_and(LegalBasis::can_be_objected_to)
}

/// What somebody means who objects to advertising without more words: each group of the policy, and each kind that is in none.
pub(super) fn advertising(policy: &Policy) -> Vec<String> {
    let alone = |purpose: &PurposeDef| {
        purpose.group.is_none()
            && suppressions::is_advertising(policy, &purpose.code)
            && can_be_objected_to(purpose)
    };
    let all = policy.purposes().iter().filter(|purpose| purpose.is_group || alone(purpose));
    all.map(|purpose| purpose.code.clone()).collect()
}
