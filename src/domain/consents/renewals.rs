//! Renewal: the person declares a consent again, before or after it ends. Room: domain/consents.

use entity::{
    consent,
    enums::{ConsentEventKind, ConsentStatus},
};
use uuid::Uuid;

use super::{Agreement, NewConsent, record_declaration};
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
    /// What the person agreed to this time.
    pub agreement: Agreement,
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
        agreement: renewal.agreement.clone(),
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
