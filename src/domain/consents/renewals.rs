//! Renewal: the person declares a consent again, before or after it ends. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{
    consent,
    enums::{ConsentEventKind, ConsentStatus},
};
use uuid::Uuid;

use super::{NewConsent, record_declaration};
use crate::domain::consents::loaded;
use crate::{
    audit::Transaction,
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::contacts,
};

/// A renewed consent.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Which consent.
    pub id: Uuid,
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
    /// Where the proof is kept.
    pub evidence: Option<String>,
}

/// Records that the person renewed a consent, with the evidence (Art. 7(1)): one in force, or one that has only
/// expired.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` for one that was withdrawn, refused or never given, which needs `recordConsent`;
/// otherwise as [`super::record`].
pub async fn renew(tx: &mut Transaction, actor: &Actor, renewal: &Renewal) -> Result<Uuid, Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such consent");
    let owner = contacts::select_owner::<consent::Entity>(consent::Column::ContactId, renewal.id);
    let contact = owner.one(tx.connection()).await?.ok_or_else(not_found)?;
    let consent = loaded::find(tx, actor, renewal.id, contact.id).await?.ok_or_else(not_found)?;
    let row = &consent.row;
    let new = NewConsent {
        contact_id: row.contact_id,
        purpose: row.purpose_code.clone(),
        channel: row.channel,
        text_version: renewal.text_version.clone(),
        language: renewal.language.clone(),
        proof: renewal.proof.clone(),
        declared_at: renewal.declared_at,
        source: renewal.source.clone(),
        expires_at: renewal.expires_at,
        evidence: renewal.evidence.clone(),
    };
    new.check(actor, tx.now())?;
    if !is_renewable(row) {
        let message = "only a consent that is in force or has expired can be renewed; an ended one must be recorded again";
        return Err(Error::new(Code::Conflict, message).with_input_path("input.consentId"));
    }
    record_declaration(
        tx,
        actor,
        (&contact, Some(consent)),
        &new,
        ("renewConsent", ConsentEventKind::Renewed),
    )
    .await
}

/// Whether the consent is in force, or has only expired.
pub(crate) fn is_renewable(row: &consent::Model) -> bool {
    matches!(row.status, ConsentStatus::Granted | ConsentStatus::Expired)
}
