//! Withdrawals: of a consent, a purpose or an address, for every record that the person declares for (Art. 7(3)).
//! Room: domain/consents.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use chrono::{DateTime, Utc};
use entity::{
    consent,
    enums::{Channel, ConsentEventKind, ConsentStatus, SuppressionKind},
};
use sea_orm::{ActiveEnum, EntityTrait, ExprTrait, QuerySelect, sea_query::Condition};
use uuid::Uuid;

use super::{
    check_own_purpose, entity_channel,
    events::{self, Declaration, declare},
    invalid_input,
};
use crate::domain::consents::loaded::{self, LoadedConsent};
use crate::{
    audit::Transaction,
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::{
        contacts::{self, Address},
        objections::{self, NewObjection},
        suppressions::{self, OptOutDeclaration, Target},
    },
    policy::{Grounds, LegalBasis},
};

/// Name of a withdrawal in the audit log.
const WITHDRAW: &str = "withdrawConsent";

/// A withdrawal.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    /// Of this consent,
    pub id: Option<Uuid>,
    /// or of this contact
    pub contact_id: Option<Uuid>,
    /// or of every contact with this address
    pub address: Option<Address>,
    /// for this purpose or group,
    pub purpose: Option<String>,
    /// on this channel, or on all.
    pub channel: Option<Channel>,
    /// When the person withdrew; now by default.
    pub at: Option<DateTime<Utc>>,
    /// Where it was declared.
    pub source: Option<String>,
}

impl Withdrawal {
    fn declaration(&self) -> Declaration {
        Declaration::end(WITHDRAW, ConsentEventKind::Withdrawn, self.at, self.source.clone())
    }

    /// The entry for the suppression list.
    fn opt_out(&self, purpose: &str, channel: Option<Channel>, now: DateTime<Utc>) -> OptOutDeclaration {
        OptOutDeclaration {
            purpose: purpose.to_owned(),
            kind: SuppressionKind::Withdrawal,
            channel,
            since: self.at.unwrap_or(now),
            source: self.source.clone(),
        }
    }
}

/// Withdraws consents (Art. 7(3)) and returns their ids. Repeating a withdrawal changes nothing. The addresses
/// concerned go on the suppression list and are blocked on every record, so that no late import of an earlier
/// consent undoes it; under a purpose that sees all, also an address that no contact has.
///
/// # Errors
/// `NOT_FOUND`; `FORBIDDEN` for another purpose than the caller's; `BAD_USER_INPUT` for a time in the future, and
/// if it is unclear what is withdrawn; transient if a contact got another address meanwhile.
pub async fn withdraw(
    tx: &mut Transaction,
    actor: &Actor,
    withdrawal: &Withdrawal,
) -> Result<Vec<Uuid>, Error> {
    if withdrawal.at.is_some_and(|at| at > tx.now()) {
        return Err(invalid_input("declaredAt", "`declaredAt` is in the future"));
    }
    let (id, contact, address) = (withdrawal.id, withdrawal.contact_id, &withdrawal.address);
    let (target, targets) = match (id, contact, address, &withdrawal.purpose) {
        (Some(id), None, None, None) if withdrawal.channel.is_none() => {
            return Ok(vec![withdraw_one(tx, actor, id, withdrawal).await?]);
        }
        (None, Some(contact), None, Some(purpose)) => {
            (Target::Contact(contact), consent_targets(actor, purpose, withdrawal.channel)?)
        }
        (None, None, Some(address), Some(purpose)) => {
            if withdrawal
                .channel
                .is_some_and(|channel| address.addresses().on(Some(channel)).next().is_none())
            {
                return Err(invalid_input("channel", "this is not an address for the channel"));
            }
            (Target::Address(address), consent_targets(actor, purpose, withdrawal.channel)?)
        }
        (None, Some(_), None, None) | (None, None, Some(_), None) => {
            return Err(invalid_input("purpose", "`purpose` is missing"));
        }
        _ => {
            return Err(invalid_input(
                "consentId",
                "give `consentId`, or `contactId`, `email` or `phone` with `purpose`",
            ));
        }
    };
    // A withdrawal from a group covers all of it: kinds that rest on no consent end by an objection.
    let group = withdrawal.purpose.as_ref().filter(|code| has_other_kinds(actor, code));
    if let Some(group) = group {
        let objection = NewObjection {
            contact_id: contact,
            address: address.clone(),
            purpose: group.clone(),
            channel: withdrawal.channel,
            at: withdrawal.at,
            source: withdrawal.source.clone(),
        };
        objections::record(tx, actor, &objection).await?;
    }
    let channels: Vec<Channel> = targets.iter().map(|(_, channel)| *channel).collect();
    let affected = suppressions::find_and_lock(tx, actor, target, Some(&channels)).await?;
    let sees_all = actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all);
    if !affected.is_known && !sees_all {
        return Err(contacts::not_found());
    }
    let mut ids = Vec::new();
    for contact in &affected.contacts {
        ids.extend(withdraw_all_of(tx, actor, *contact, &targets, withdrawal).await?);
    }
    // Each kind separately: a later consent reopens only its own kind.
    let purposes: BTreeSet<&String> = targets.iter().map(|(purpose, _)| purpose).collect();
    let declared: Vec<OptOutDeclaration> = purposes
        .into_iter()
        .filter(|purpose| suppressions::is_advertising(&actor.policy, purpose) || !affected.is_known)
        .map(|purpose| withdrawal.opt_out(purpose, withdrawal.channel, tx.now()))
        .collect();
    suppressions::declare(tx, &affected.contacts, &affected.addresses, &declared).await?;
    Ok(ids)
}

/// Withdraws only the consent `id`, for its own channel.
async fn withdraw_one(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    withdrawal: &Withdrawal,
) -> Result<Uuid, Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such consent");
    let found: Option<(Uuid, Channel)> = consent::Entity::find_by_id(id)
        .select_only()
        .column(consent::Column::ContactId)
        .column(consent::Column::Channel)
        .into_tuple()
        .one(tx.connection())
        .await?;
    let (owner, channel) = found.ok_or_else(not_found)?;
    let affected =
        suppressions::find_and_lock(tx, actor, Target::ContactOfRow(owner), Some(&[channel])).await;
    let affected =
        affected.map_err(|error| if error.code == Code::NotFound { not_found() } else { error })?;
    // A merge may have moved it before the lock was granted.
    let consent = loaded::find(tx, actor, id, owner).await?.ok_or_else(not_found)?;
    check_own_purpose(actor, &consent.row.purpose_code)?;
    let purpose = consent.row.purpose_code.clone();
    let id = declare(tx, consent, &withdrawal.declaration()).await?;
    if suppressions::is_advertising(&actor.policy, &purpose) {
        let declared = withdrawal.opt_out(&purpose, Some(channel), tx.now());
        suppressions::declare(tx, &affected.contacts, &affected.addresses, &[declared]).await?;
    }
    Ok(id)
}

/// Withdraws the consents of one locked contact.
async fn withdraw_all_of(
    tx: &mut Transaction,
    actor: &Actor,
    contact_id: Uuid,
    targets: &[(String, Channel)],
    withdrawal: &Withdrawal,
) -> Result<Vec<Uuid>, Error> {
    let purposes: BTreeSet<&String> = targets.iter().map(|(purpose, _)| purpose).collect();
    let condition = Condition::all()
        .add(loaded::column(consent::Column::ContactId).eq(contact_id))
        .add(loaded::column(consent::Column::PurposeCode).is_in(purposes));
    // Without a channel, also those on channels that the purpose used formerly.
    let condition = condition.add_option(
        withdrawal.channel.map(|channel| loaded::column(consent::Column::Channel).eq(channel.to_value())),
    );
    let mut all: BTreeMap<(String, String), LoadedConsent> = BTreeMap::new();
    for consent in loaded::load(tx, condition).await? {
        all.insert((consent.row.purpose_code.clone(), consent.row.channel.to_value()), consent);
    }
    for (purpose, channel) in targets {
        let slot = all.entry((purpose.clone(), channel.to_value()));
        if actor.subject.is_none() {
            // Staff who receive it record the declaration.
            slot.or_insert_with(|| LoadedConsent::empty(tx, contact_id, purpose, *channel));
        } else if matches!(slot, Entry::Vacant(_)) {
            // The person never consented to this, so there is no event. A block prevents late consents, and applies
            // to addresses that the person gets later.
            let declared = withdrawal.opt_out(purpose, Some(*channel), tx.now());
            suppressions::block_channel(tx, contact_id, &declared, *channel).await?;
        }
    }
    let mut ids = Vec::with_capacity(all.len());
    for consent in all.into_values() {
        let is_repeat = actor.subject.is_some() && consent.row.status == ConsentStatus::Withdrawn;
        // Repeating it declares nothing new. The block is renewed all the same.
        let id = if is_repeat {
            events::record_repeat(tx, &consent.row, WITHDRAW).await?
        } else {
            declare(tx, consent, &withdrawal.declaration()).await?
        };
        ids.push(id);
    }
    Ok(ids)
}

/// Whether `code` is a group with a kind that rests on no consent and can be objected to.
fn has_other_kinds(actor: &Actor, code: &str) -> bool {
    actor.policy.purposes().iter().any(|purpose| {
        purpose.group.as_deref() == Some(code)
            && purpose.grounds != Grounds::Consent
            && purpose.basis.is_some_and(LegalBasis::can_be_objected_to)
    })
}

/// The purposes resting on consent that `code` names, with their channels.
fn consent_targets(
    actor: &Actor,
    code: &str,
    channel: Option<Channel>,
) -> Result<Vec<(String, Channel)>, Error> {
    let Some(named) = actor.policy.purpose(code) else {
        return Err(invalid_input("purpose", "there is no such purpose"));
    };
    check_own_purpose(actor, code)?;
    let mut targets = Vec::new();
    for purpose in actor.policy.purposes() {
        let covers = purpose.code == named.code || purpose.group.as_deref() == Some(&named.code);
        if covers && purpose.grounds == Grounds::Consent {
            let channels = purpose.channels.iter().map(|channel| entity_channel(*channel));
            targets.extend(
                channels
                    .filter(|candidate| channel.is_none_or(|channel| channel == *candidate))
                    .map(|channel| (purpose.code.clone(), channel)),
            );
        }
    }
    match (targets.is_empty(), channel) {
        (true, Some(_)) if named.is_group || named.grounds == Grounds::Consent => {
            Err(invalid_input("channel", "this purpose does not use the channel"))
        }
        (true, _) => Err(invalid_input("purpose", "this purpose does not rest on consent")),
        _ => Ok(targets),
    }
}
