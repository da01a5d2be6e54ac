//! Renewal of a consent by the person's own answer to a mailed link. Room: domain/signups.

use entity::{consent, consent_text, enums::ConsentEventKind, link, mail};
use sea_orm::{ConnectionTrait, EntityTrait};

use super::{
    link_access::{LinkOutcome, act_as, lock_contact, lock_if_open, mail_of, mark_used},
    offers::{self, Offer, ShownOffers},
};
use crate::domain::signups::validation::is_blocked;
use crate::{
    app::App,
    audit::Transaction,
    base::error::Error,
    domain::consents::{self, OptInRequest},
};

/// The source of a renewal.
const BY_MAIL: &str = "renewal mail";

/// A renewal link.
pub(super) struct RenewalLink {
    pub(super) consent: consent::Model,
    text: consent_text::Model,
    mail: Option<mail::Model>,
}

impl RenewalLink {
    pub(super) fn offer(&self) -> Offer {
        Offer {
            set: self.consent.id,
            purpose: self.text.purpose_code.clone(),
            text: self.text.text.clone(),
            language: self.text.language.clone(),
            version: self.text.version.clone(),
            signed_up_at: None,
        }
    }
}

/// The consent and text that the link renews; `None` if it can no longer be renewed.
pub(super) async fn find_renewal<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<RenewalLink>, Error> {
    let Some(id) = link.consent_id else { return Ok(None) };
    let Some(consent) = consent::Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let mail = mail_of(connection, link).await?;
    // The text that is shown is the accepted one, even if another is published in between.
    let text = match link.consent_text_id {
        Some(id) => consent_text::Entity::find_by_id(id).one(connection).await?,
        None => None,
    };
    let bound = consent.bound_address.as_ref().is_none_or(|bound| *bound == link.address_key);
    let renewable_text = text.filter(|_| bound && consents::is_renewable(&consent));
    Ok(renewable_text.map(|text| RenewalLink { consent, text, mail }))
}

/// Renews the consent of the link, if that is what was shown and it was not ended since the mail.
///
/// # Errors
/// As [`super::confirm`].
pub(super) async fn confirm_renewal(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    shown: ShownOffers<'_>,
    request_id: &str,
) -> Result<LinkOutcome, Error> {
    let Some(id) = link.contact_id else { return Ok(LinkOutcome::Closed) };
    let actor = act_as(tx, app, id, request_id)?;
    let Some(contact) = lock_contact(tx, &actor, id).await? else { return Ok(LinkOutcome::Closed) };
    let Some(link) = lock_if_open(tx, link).await? else { return Ok(LinkOutcome::Closed) };
    let (Some(address), Some(key)) = (&contact.email, &contact.email_key) else {
        return Ok(LinkOutcome::Closed);
    };
    if *key != link.address_key || link.contact_id != Some(id) {
        return Ok(LinkOutcome::Closed);
    }
    let Some(renewal) = find_renewal(tx.connection(), &link).await? else {
        return Ok(LinkOutcome::Closed);
    };
    let (installation_keys, purpose) =
        (tx.existing_installation_keys().await?, &renewal.consent.purpose_code);
    if is_blocked(
        tx.connection(),
        (installation_keys.as_ref(), tx.reader()),
        &actor.policy,
        key,
        purpose,
        link.created_at,
    )
    .await?
    {
        return Ok(LinkOutcome::Closed);
    }
    if matches!(shown, ShownOffers::Mark(mark) if mark != offers::mark(&[renewal.offer()])) {
        return Ok(LinkOutcome::Changed);
    }
    let request = OptInRequest { purpose, text: renewal.text.id, source: BY_MAIL, address, address_key: key };
    let mail = renewal.mail.map(|mail| mail.id);
    consents::confirm_opt_in(tx, &actor, &contact, &request, ConsentEventKind::Renewed, mail).await?;
    mark_used(tx, &link, id).await?;
    Ok(LinkOutcome::Done(id))
}
