//! Consents that a person was asked for: the request, and the person's own answer by a mailed link. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{
    contact,
    enums::{Channel, ConsentEventKind},
};
use uuid::Uuid;

use super::events::{Address, Declaration, after, declare, review};
use crate::domain::consents::loaded::find_or_open;
use crate::{audit::Transaction, auth::actor::Actor, base::error::Error, policy::DOUBLE_OPT_IN};

/// What a person was asked for by e-mail, or answered. It holds for that channel alone.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Code of the purpose.
    pub purpose: &'a str,
    /// The text.
    pub text: Uuid,
    /// Where it was declared.
    pub source: &'a str,
    /// The address as it is written.
    pub address: &'a str,
    /// Key of that mailbox, to which the consent is bound.
    pub address_key: &'a str,
}

impl Asked<'_> {
    fn address(&self) -> Option<Address> {
        Some(Address { text: self.address.to_owned(), key: self.address_key.to_owned() })
    }
}

/// Records that the person asked for a consent at `at`, or was asked for it. While one is in force it takes nothing away.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn ask(
    tx: &mut Transaction,
    action: &'static str,
    contact: &contact::Model,
    asked: &Asked<'_>,
    at: Option<DateTime<Utc>>,
) -> Result<Uuid, Error> {
    let opened = find_or_open(tx, contact.id, asked.purpose, Channel::Email).await?;
    let declaration = Declaration {
        consent_text_id: Some(asked.text),
        address: asked.address(),
        ..Declaration::end(action, ConsentEventKind::Requested, at, Some(asked.source.to_owned()))
    };
    declare(tx, opened, &declaration).await
}

/// Records the person's own answer, now, by the link of the mail `mail`: a confirmation, or a renewal. It holds for as long as the
/// purpose says.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn answer(
    tx: &mut Transaction,
    actor: &Actor,
    contact: &contact::Model,
    asked: &Asked<'_>,
    kind: ConsentEventKind,
    mail: Option<Uuid>,
) -> Result<Uuid, Error> {
    let action = match kind {
        ConsentEventKind::Renewed => "renewConsent",
        _ => "confirmConsent",
    };
    let validity = actor.policy.purpose(asked.purpose).and_then(|purpose| purpose.validity.as_deref());
    let expires_at = validity.map(|validity| after(tx.now(), validity)).transpose()?;
    let opened = find_or_open(tx, contact.id, asked.purpose, Channel::Email).await?;
    let declaration = Declaration {
        proof: Some(DOUBLE_OPT_IN.to_owned()),
        consent_text_id: Some(asked.text),
        expires_at,
        review_due_at: review(actor, asked.purpose, expires_at)?,
        evidence: mail.map(|id| format!("mail {id}")),
        address: asked.address(),
        ..Declaration::end(action, kind, None, Some(asked.source.to_owned()))
    };
    declare(tx, opened, &declaration).await
}
