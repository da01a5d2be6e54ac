//! Records opt-outs of advertising from files; the only place that does. Room: exchange/imports.

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, StopKind, SuppressionKind},
    objection,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::contact_lookup::PersonRef;
use crate::{
    app::App,
    audit::Transaction,
    auth::{actor::Actor, credential::Credential},
    base::error::Error,
    domain::{
        contacts::{NewAddresses, Reachable, channels_to, kind_on},
        objections::{self, NewObjection},
        suppressions::{self, KnownEntryQuery},
    },
    policy::{Grounds, LegalBasis, Policy, PurposeDef},
    registry::CONTACT,
};

/// A declared opt-out of a purpose or group.
pub(super) struct Declaration<'a> {
    /// The records of the person.
    pub contacts: &'a [Uuid],
    /// The addresses of the person; other references are ignored.
    pub addresses: &'a [PersonRef],
    /// Code of the purpose or group.
    pub purpose: &'a str,
    /// The channel; all if `None`.
    pub channel: Option<Channel>,
    /// The time, if known.
    pub at: Option<DateTime<Utc>>,
    /// Where.
    pub source: Option<&'a str>,
}

/// The result of a declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeclarationOutcome {
    /// Number of records of the person or of the addresses.
    pub contacts: usize,
    /// Whether anything changed.
    pub changed: bool,
}

/// Records objections on behalf of persons.
pub(super) struct ObjectionRecorder {
    actor: Actor,
}

impl ObjectionRecorder {
    /// A recorder for an import by `actor`, which can see every contact that any purpose can see.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where no purpose of the policy sees all.
    pub fn new(app: &App, actor: &str) -> Result<Self, Error> {
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

    /// Records an objection on the records of the person, and on the suppression list for its addresses. A known
    /// objection is no change.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a purpose that cannot be objected to, and from the database.
    pub async fn declare(
        &self,
        tx: &mut Transaction,
        declaration: &Declaration<'_>,
    ) -> Result<DeclarationOutcome, Error> {
        let mut outcome = DeclarationOutcome::default();
        for contact_id in declaration.contacts {
            if !tx.can_see(&self.actor, &CONTACT, *contact_id).await? {
                continue;
            }
            outcome.contacts += 1;
            let existing: Vec<Uuid> = objection::Entity::find()
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
                purpose: declaration.purpose.to_owned(),
                channel: declaration.channel,
                at: declaration.at,
                source: declaration.source.map(str::to_owned),
            };
            let recorded = objections::record(tx, &self.actor, &new).await?;
            outcome.changed |= recorded.iter().any(|id| !existing.contains(id));
        }
        let addresses: Vec<&Reachable> =
            declaration.addresses.iter().filter_map(PersonRef::address).collect();
        // For one channel, only its addresses. Without such an address the objection is recorded on the records of the
        // person, and follows to later addresses; for a person without a record, all addresses are blocked.
        let is_on_channel = |address: &&&Reachable| {
            declaration.channel.is_none_or(|channel| kind_on(channel) == address.identity().kind())
        };
        let on_channel = addresses.iter().filter(is_on_channel).count();
        let use_all = on_channel == 0 && outcome.contacts == 0;
        let channel = declaration.channel.filter(|_| !use_all);
        let typed: Vec<Reachable> = addresses
            .iter()
            .filter(|address| use_all || is_on_channel(address))
            .map(|address| (*address).clone())
            .collect();
        // On every record with these addresses, including those of other persons.
        outcome.changed |= add_to_list(tx, typed, declaration, (SuppressionKind::Objection, channel)).await?;
        Ok(outcome)
    }
}

/// Adds addresses to the suppression list without a declaration of the person: from an external list or a bounce. Each
/// is blocked on its channels, or on the named one, and only if a record has it: an address without a record is not
/// kept.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn block_addresses(
    tx: &mut Transaction,
    kind: SuppressionKind,
    declaration: &Declaration<'_>,
) -> Result<DeclarationOutcome, Error> {
    let mut outcome = DeclarationOutcome::default();
    let mut by_channel: Vec<(Channel, Vec<Reachable>)> = Vec::new();
    for address in declaration.addresses.iter().filter_map(PersonRef::address) {
        let typed = NewAddresses::from_text(vec![address.clone()]);
        let number = suppressions::contacts_with_addresses(tx.connection(), &typed).await?.len();
        outcome.contacts += number;
        let kind_channels = channels_to(address.identity().kind());
        let named = declaration.channel.filter(|channel| kind_channels.contains(channel));
        let channels = named.as_slice();
        let channels = if channels.is_empty() { kind_channels } else { channels };
        for channel in channels.iter().filter(|_| number > 0) {
            match by_channel.iter_mut().find(|(known_channel, _)| known_channel == channel) {
                Some((_, all)) => all.push(address.clone()),
                None => by_channel.push((*channel, vec![address.clone()])),
            }
        }
    }
    for (channel, all) in by_channel {
        outcome.changed |= add_to_list(tx, all, declaration, (kind, Some(channel))).await?;
    }
    Ok(outcome)
}

/// Adds addresses to the list; returns whether anything is new.
async fn add_to_list(
    tx: &mut Transaction,
    addresses: Vec<Reachable>,
    declaration: &Declaration<'_>,
    (kind, channel): (SuppressionKind, Option<Channel>),
) -> Result<bool, Error> {
    if addresses.is_empty() {
        return Ok(false);
    }
    let typed = NewAddresses::from_text(addresses);
    let listed = suppressions::lookup(tx, &typed).await?;
    let new = suppressions::OptOutDeclaration {
        purpose: declaration.purpose.to_owned(),
        kind,
        channel,
        since: declaration.at.unwrap_or(tx.now()),
        source: declaration.source.map(str::to_owned),
    };
    let policy = tx.policy().clone();
    let dated = declaration.at.is_some();
    let question =
        KnownEntryQuery { policy: &policy, matches: &listed, addresses: &typed, declared: &new, dated };
    let is_known = suppressions::is_already_listed(tx.connection(), question).await?;
    if !is_known || kind == SuppressionKind::Objection {
        suppressions::declare(tx, &[], &typed, &[new]).await?;
    }
    Ok(!is_known)
}

/// Whether the purpose or group can be objected to (Art. 21).
pub(super) fn can_be_objected_to(purpose: &PurposeDef) -> bool {
    purpose.is_group
        || purpose.grounds == Grounds::Consent
        || purpose.basis.is_some_and(LegalBasis::can_be_objected_to)
}

/// The purposes of an objection to all advertising: each group of the policy, and each advertising purpose without a
/// group.
pub(super) fn advertising_purposes(policy: &Policy) -> Vec<String> {
    let is_ungrouped = |purpose: &PurposeDef| {
        purpose.group.is_none()
            && suppressions::is_advertising(policy, &purpose.code)
            && can_be_objected_to(purpose)
    };
    let purposes = policy.purposes().iter().filter(|purpose| purpose.is_group || is_ungrouped(purpose));
    purposes.map(|purpose| purpose.code.clone()).collect()
}
