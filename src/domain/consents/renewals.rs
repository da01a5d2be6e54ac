//! Renewal: a consent that the person declares anew before or after it ends. Room: domain/consents.

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

/// A consent that the person declared anew.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// Which consent.
    pub id: Uuid,
    /// Version of the text declared to.
    pub text_version: String,
    /// Language of the text declared to.
    pub language: String,
    /// Kind of proof.
    pub proof: String,
    /// When it was declared.
    pub declared_at: DateTime<Utc>,
    /// Where it was declared.
    pub source: String,
    /// When it ends; by the purpose's period of validity otherwise.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where the proof is.
    pub evidence: Option<String>,
}

/// Records that the person renewed a consent, with the evidence of that (Art. 7(1)): of one that holds, or has ended by time alone.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` for one that was withdrawn, refused or never given: that is declared anew by `recordConsent`; else as
/// [`super::record`].
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
        let message = "only a consent that holds or has expired is renewed; what was ended is declared anew";
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

/// Whether the consent holds, or has ended by time alone.
pub(crate) fn is_renewable(row: &consent::Model) -> bool {
    matches!(row.status, ConsentStatus::Granted | ConsentStatus::Expired)
}
