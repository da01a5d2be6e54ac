//! The one way in for a no to advertising that a file tells. Room: exchange/imports.

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, StopKind, SuppressionKind},
    objection,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::known::Who;
use crate::{
    app::App,
    audit::Transaction,
    auth::{actor::Actor, credential::Credential},
    base::error::Error,
    domain::{
        contacts::{NewAddresses, Reachable, channels_to, kind_on},
        objections::{self, NewObjection},
        suppressions::{self, Question},
    },
    policy::{Grounds, LegalBasis, Policy, PurposeDef},
    registry::CONTACT,
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
    /// How many records of the person, or of the addresses.
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
            Error::bad_input("no purpose of the policy sees all, under which objections could be recorded")
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
            if !tx.can_see(&self.actor, &CONTACT, *contact_id).await? {
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
        // Of one channel, the addresses of it. Who is named by none of them said it all the same: on the records of the person, from where it
        // follows to the address that comes; of a person who has no record, all that leads there is closed.
        let meant = |address: &&&Reachable| {
            declared.channel.is_none_or(|channel| kind_on(channel) == address.identity().kind())
        };
        let named = addresses.iter().filter(meant).count();
        let all = named == 0 && met.contacts == 0;
        let channel = declared.channel.filter(|_| !all);
        let typed: Vec<Reachable> =
            addresses.iter().filter(|address| all || meant(address)).map(|one| (*one).clone()).collect();
        // On every record of the addresses, also of those that are not the person's.
        met.changed |= list(tx, typed, declared, (SuppressionKind::Objection, channel)).await?;
        Ok(met)
    }
}

/// Puts addresses on the suppression list for what is no declaration of a person: a list of others, or mail that did not get there. Each
/// is closed on the channels that lead there, or on the one that is named, and only where a record has it: what meets nobody is not kept.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn stop(
    tx: &mut Transaction,
    kind: SuppressionKind,
    declared: &Declared<'_>,
) -> Result<Met, Error> {
    let mut met = Met::default();
    let mut on: Vec<(Channel, Vec<Reachable>)> = Vec::new();
    for address in declared.addresses.iter().filter_map(Who::address) {
        let typed = NewAddresses::typed(vec![address.clone()]);
        let number = suppressions::with_identities(tx.connection(), &typed).await?.len();
        met.contacts += number;
        let own = channels_to(address.identity().kind());
        let named = declared.channel.filter(|channel| own.contains(channel));
        let channels = named.as_slice();
        let channels = if channels.is_empty() { own } else { channels };
        for channel in channels.iter().filter(|_| number > 0) {
            match on.iter_mut().find(|(known, _)| known == channel) {
                Some((_, all)) => all.push(address.clone()),
                None => on.push((*channel, vec![address.clone()])),
            }
        }
    }
    for (channel, all) in on {
        met.changed |= list(tx, all, declared, (kind, Some(channel))).await?;
    }
    Ok(met)
}

/// Puts addresses on the list; tells whether it did not say as much of each of them already.
async fn list(
    tx: &mut Transaction,
    all: Vec<Reachable>,
    declared: &Declared<'_>,
    (kind, channel): (SuppressionKind, Option<Channel>),
) -> Result<bool, Error> {
    if all.is_empty() {
        return Ok(false);
    }
    let typed = NewAddresses::typed(all);
    let listed = suppressions::look(tx, &typed).await?;
    let new = suppressions::Declared {
        purpose: declared.purpose.to_owned(),
        kind,
        channel,
        since: declared.at.unwrap_or(tx.now()),
        source: declared.source.map(str::to_owned),
    };
    let policy = tx.policy().clone();
    let dated = declared.at.is_some();
    let asked = Question { policy: &policy, found: &listed, reached: &typed, declared: &new, dated };
    let known = suppressions::knows(tx.connection(), asked).await?;
    if !known || kind == SuppressionKind::Objection {
        suppressions::declare(tx, &[], &typed, &[new]).await?;
    }
    Ok(!known)
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
