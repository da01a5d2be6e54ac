//! Double opt-in: the request, and the person's own answer by a mailed link. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{
    contact,
    enums::{Channel, ConsentEventKind},
};
use uuid::Uuid;

use super::events::{Address, Declaration, add_period, declare, review_date};
use crate::domain::consents::loaded::find_or_new;
use crate::{audit::Transaction, auth::actor::Actor, base::error::Error, policy::DOUBLE_OPT_IN};

/// A consent requested by e-mail, or its answer. It holds for that channel only.
#[derive(Clone, Debug)]
pub struct OptInRequest<'a> {
    /// Code of the purpose.
    pub purpose: &'a str,
    /// The text.
    pub text: Uuid,
    /// Where it was declared.
    pub source: &'a str,
    /// The address as it is written.
    pub address: &'a str,
    /// Key of the mailbox, which the consent is bound to.
    pub address_key: &'a str,
}

impl OptInRequest<'_> {
    fn address(&self) -> Option<Address> {
        Some(Address { text: self.address.to_owned(), key: self.address_key.to_owned() })
    }
}

/// Records that the person requested a consent at `at`, or was asked for it. A consent in force is not affected.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn request_opt_in(
    tx: &mut Transaction,
    action: &'static str,
    contact: &contact::Model,
    request: &OptInRequest<'_>,
    at: Option<DateTime<Utc>>,
) -> Result<Uuid, Error> {
    let consent = find_or_new(tx, contact.id, request.purpose, Channel::Email).await?;
    let declaration = Declaration {
        consent_text_id: Some(request.text),
        address: request.address(),
        ..Declaration::end(action, ConsentEventKind::Requested, at, Some(request.source.to_owned()))
    };
    declare(tx, consent, &declaration).await
}

/// Records the person's own answer by the link of the mail `mail`: a confirmation or a renewal. It is valid for the
/// purpose's period.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn confirm_opt_in(
    tx: &mut Transaction,
    actor: &Actor,
    contact: &contact::Model,
    request: &OptInRequest<'_>,
    kind: ConsentEventKind,
    mail: Option<Uuid>,
) -> Result<Uuid, Error> {
    let action = match kind {
        ConsentEventKind::Renewed => "renewConsent",
        _ => "confirmConsent",
    };
    let validity = actor.policy.purpose(request.purpose).and_then(|purpose| purpose.validity.as_deref());
    let expires_at = validity.map(|validity| add_period(tx.now(), validity)).transpose()?;
    let consent = find_or_new(tx, contact.id, request.purpose, Channel::Email).await?;
    let declaration = Declaration {
        proof: Some(DOUBLE_OPT_IN.to_owned()),
        consent_text_id: Some(request.text),
        expires_at,
        review_due_at: review_date(actor, request.purpose, expires_at)?,
        evidence: mail.map(|id| format!("mail {id}")),
        address: request.address(),
        ..Declaration::end(action, kind, None, Some(request.source.to_owned()))
    };
    declare(tx, consent, &declaration).await
}
