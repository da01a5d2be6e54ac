//! Consents: granted, withdrawn, invalidated. Each declaration is an event; the row is their projection (Art. 7).
//! Room: domain/consents.

mod address_keys;
mod backfill;
mod bulk;
mod events;
mod expiry;
mod grant;
mod input;
mod loaded;
pub mod merge;
mod opt_in;
mod opt_outs;
pub mod projection;
mod rebuild;
mod renewals;
mod status;
mod withdrawal;

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_text, contact,
    enums::{Channel, ConsentEventKind},
};
use sea_orm::{
    ActiveEnum, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, sea_query::Condition,
};
use uuid::Uuid;

pub use address_keys::{KeyRefreshReport, reconcile, refresh_address_keys};
pub use backfill::backfill_changes;
pub use bulk::{BulkDeclaration, BulkOutcome, DeclaredState, ExistingConsents, SkipReason};
pub use events::add_period;
pub use expiry::{expire, require_renewals};
pub use grant::Grant;
pub use opt_in::{OptInRequest, confirm_opt_in, request_opt_in};
pub use opt_outs::{apply_to_new_addresses, spread_opt_outs};
pub use rebuild::{RebuildReport, rebuild};
pub(crate) use renewals::is_renewable;
pub use renewals::{Renewal, renew};
pub use status::status_at;
pub use withdrawal::{Withdrawal, withdraw};

use crate::{
    audit::Transaction,
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::contacts::{self, Rectified},
    policy::{self, DOUBLE_OPT_IN, Grounds, PurposeDef},
    registry::CONSENT,
};
use events::{Declaration, address_changed_at, address_of, declare, review_date, written_address};
use loaded::{LoadedConsent, find_or_new};

/// What a person agreed to, with the evidence (Art. 7(1)).
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Version of the accepted text.
    pub text_version: String,
    /// Language of the accepted text.
    pub language: String,
    /// Kind of proof.
    pub proof: String,
    /// When it was declared.
    pub declared_at: DateTime<Utc>,
    /// Where it was declared.
    pub source: String,
    /// When it ends; by default after the purpose's period of validity.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where the proof is kept, e.g. the number of a paper form.
    pub evidence: Option<String>,
}

/// A consent that the person declared.
#[derive(Clone, Debug)]
pub struct NewConsent {
    /// The contact.
    pub contact_id: Uuid,
    /// Code of the purpose.
    pub purpose: String,
    /// For which channel.
    pub channel: Channel,
    /// What the person agreed to.
    pub agreement: Agreement,
}

fn invalid_input(name: &str, message: &str) -> Error {
    Error::bad_input(message).with_input_path(format!("input.{name}"))
}

fn entity_channel(channel: policy::Channel) -> Channel {
    match channel {
        policy::Channel::Email => Channel::Email,
        policy::Channel::Phone => Channel::Phone,
        policy::Channel::Sms => Channel::Sms,
        policy::Channel::Post => Channel::Post,
    }
}

fn uses_channel(purpose: &PurposeDef, channel: Channel) -> bool {
    purpose.channels.iter().any(|used| entity_channel(*used) == channel)
}

/// Checks that the caller may write consents to the purpose or group `code`.
///
/// # Errors
/// `FORBIDDEN` otherwise.
pub(crate) fn check_own_purpose(actor: &Actor, code: &str) -> Result<(), Error> {
    match &actor.purpose {
        Some(purpose) if purpose.sees_all || purpose.code == code => Ok(()),
        _ => {
            let message = "consents to other purposes may not be written for this purpose";
            Err(Error::new(Code::Forbidden, message).with_input_path("input.purpose"))
        }
    }
}

impl NewConsent {
    fn check(&self, actor: &Actor, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        let Some(purpose) = actor.policy.purpose(&self.purpose) else {
            return Err(invalid_input("purpose", "there is no such purpose"));
        };
        if purpose.is_group {
            return Err(invalid_input("purpose", "consent is given per kind, never to a group (Recital 43)"));
        }
        if purpose.grounds != Grounds::Consent {
            return Err(invalid_input("purpose", "this purpose does not rest on consent"));
        }
        check_own_purpose(actor, &purpose.code)?;
        if !uses_channel(purpose, self.channel) {
            return Err(invalid_input("channel", "this purpose does not use the channel"));
        }
        if !purpose.proof.contains(&self.agreement.proof) {
            return Err(invalid_input("proof", "this purpose does not accept this kind of proof"));
        }
        if self.agreement.proof == DOUBLE_OPT_IN {
            let message = "only the person can confirm a double opt-in; request it with requestConsent";
            return Err(invalid_input("proof", message));
        }
        if self.agreement.declared_at > now {
            return Err(invalid_input("declaredAt", "`declaredAt` is in the future"));
        }
        let validity = purpose.validity.as_deref();
        let latest =
            validity.map(|validity| events::add_period(self.agreement.declared_at, validity)).transpose()?;
        if let Some(end) = self.agreement.expires_at {
            if end <= self.agreement.declared_at {
                return Err(invalid_input("expiresAt", "a consent must end after it was declared"));
            }
            if latest.is_some_and(|latest| end > latest) {
                return Err(invalid_input("expiresAt", "the purpose's period of validity ends earlier"));
            }
        }
        Ok(self.agreement.expires_at.or(latest))
    }
}

/// Records a consent with its evidence (Art. 7(1)). Repeating a declaration changes nothing; a later withdrawal
/// stays in force.
///
/// # Errors
/// `NOT_FOUND`; `FORBIDDEN` for another purpose than the caller's; `BAD_USER_INPUT` for an impossible text, proof,
/// channel or time.
pub async fn record(tx: &mut Transaction, actor: &Actor, new: &NewConsent) -> Result<Uuid, Error> {
    new.check(actor, tx.now())?;
    let contact = contacts::lock(tx, actor, new.contact_id).await?;
    record_declaration(tx, actor, (&contact, None), new, ("recordConsent", ConsentEventKind::Granted)).await
}

/// Records a declaration under the name of a mutation, after all other checks; `loaded_consent` is the
/// consent if it was read already.
async fn record_declaration(
    tx: &mut Transaction,
    actor: &Actor,
    (contact, loaded_consent): (&contact::Model, Option<LoadedConsent>),
    new: &NewConsent,
    (action, kind): (&'static str, ConsentEventKind),
) -> Result<Uuid, Error> {
    let expires_at = new.check(actor, tx.now())?;
    let agreement = &new.agreement;
    let text: Uuid = consent_text::Entity::find()
        .select_only()
        .column(consent_text::Column::Id)
        .filter(consent_text::Column::PurposeCode.eq(&new.purpose))
        .filter(consent_text::Column::Language.eq(&agreement.language))
        .filter(consent_text::Column::Version.eq(&agreement.text_version))
        .into_tuple()
        .one(tx.connection())
        .await?
        .ok_or_else(|| invalid_input("textVersion", "no such text was published in this language"))?;
    let loaded_consent = match loaded_consent {
        Some(loaded_consent) => loaded_consent,
        None => find_or_new(tx, contact.id, &new.purpose, new.channel).await?,
    };
    let declaration = Declaration {
        action,
        kind,
        declared_at: Some(agreement.declared_at),
        source: Some(agreement.source.clone()),
        proof: Some(agreement.proof.clone()),
        consent_text_id: Some(text),
        expires_at,
        review_due_at: review_date(actor, &new.purpose, expires_at)?,
        evidence: agreement.evidence.clone(),
        address: written_address(contact, new.channel),
        address_changed_at: address_changed_at(contact, new.channel),
    };
    declare(tx, loaded_consent, &declaration).await
}

/// Rebinds the consents of a contact, including those to earlier addresses, to the keys that a newer reader makes
/// of the same addresses.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn rebind_consents(
    tx: &Transaction,
    before: &contact::Model,
    after: &contact::Model,
) -> Result<(), Error> {
    let bound = consent::Entity::find()
        .filter(consent::Column::ContactId.eq(after.id))
        .filter(consent::Column::BoundAddress.is_not_null());
    for row in bound.all(tx.connection()).await? {
        let Some(old) = &row.bound_address else { continue };
        let previous_key = match row.channel {
            // The first reader bound consents to the folded number.
            Channel::Phone | Channel::Sms => before.phone_key.as_ref().or(before.phone_folded.as_ref()),
            Channel::Email => before.email_key.as_ref(),
            Channel::Post => before.postal_key.as_ref(),
        };
        let key = match (previous_key == Some(old), row.channel) {
            (true, channel) => address_of(after, channel),
            (false, Channel::Email) => Some(tx.reader().email_key(old)),
            (false, Channel::Phone | Channel::Sms) => Some(tx.reader().phone_key(old)),
            (false, Channel::Post) => {
                let mut parts = old.split('|').map(|part| Some(part).filter(|part| !part.is_empty()));
                let mut next = || parts.next().flatten();
                tx.reader().postal_key([next(), next(), next(), next()]).or_else(|| Some(old.clone()))
            }
        };
        if key.as_ref() != Some(old) {
            // It is the same address: the consent itself does not change.
            let rebound = consent::Model { bound_address: key, ..row.clone() };
            _ = tx.update::<consent::Entity>(&CONSENT, &row, &rebound).await?;
        }
    }
    Ok(())
}

/// Applies a rectification to blocks and consents: entries of the suppression list about a new address become
/// blocks; consents bound to an address that changed are invalid until they are declared again (BGH I ZR 164/09: a
/// consent holds for the address it was given for).
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn invalidate_after_rectification(tx: &mut Transaction, rectified: Rectified) -> Result<(), Error> {
    apply_to_new_addresses(tx, &rectified.addresses(tx.reader())).await?;
    let Rectified { before, after, .. } = rectified;
    let changed_channels: Vec<Channel> = [Channel::Email, Channel::Phone, Channel::Sms, Channel::Post]
        .into_iter()
        .filter(|channel| address_of(&before, *channel) != address_of(&after, *channel))
        .collect();
    if changed_channels.is_empty() {
        return Ok(());
    }
    // Also those that are not in force: a consent recorded late was given for the old address.
    let bound = Condition::all().add(loaded::column(consent::Column::ContactId).eq(after.id)).add(
        loaded::column(consent::Column::Channel).is_in(changed_channels.iter().map(ActiveEnum::to_value)),
    );
    for consent in loaded::load(tx, bound).await? {
        let declaration = Declaration::end("invalidateConsent", ConsentEventKind::Invalidated, None, None);
        declare(tx, consent, &declaration).await?;
    }
    Ok(())
}
