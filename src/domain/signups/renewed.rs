//! A consent renewed by the person's own answer to a mailed link. Room: domain/signups.

use entity::{consent, consent_text, enums::ConsentEventKind, link, mail};
use sea_orm::{ConnectionTrait, EntityTrait};

use super::{
    answers::{Answered, act_as, close, hold, lock, mail_of},
    offers::{self, Offer, Shown},
};
use crate::domain::signups::validation::blocked;
use crate::{
    app::App,
    audit::Transaction,
    base::error::Error,
    domain::consents::{self, OptInRequest},
};

/// Where a renewal was declared.
const BY_MAIL: &str = "renewal mail";

/// What a link renews.
pub(super) struct Renewing {
    pub(super) consent: consent::Model,
    text: consent_text::Model,
    mail: Option<mail::Model>,
}

impl Renewing {
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

/// What the link renews, with the current text in the language of its mail; none where it is no longer to be renewed.
pub(super) async fn renewing<C: ConnectionTrait>(
    connection: &C,
    link: &link::Model,
) -> Result<Option<Renewing>, Error> {
    let Some(id) = link.consent_id else { return Ok(None) };
    let Some(consent) = consent::Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let mail = mail_of(connection, link).await?;
    // The text that is shown is the one that is declared to, also when another is published in between.
    let text = match link.consent_text_id {
        Some(id) => consent_text::Entity::find_by_id(id).one(connection).await?,
        None => None,
    };
    let bound = consent.bound_address.as_ref().is_none_or(|bound| *bound == link.address_key);
    let renewing = text.filter(|_| bound && consents::is_renewable(&consent));
    Ok(renewing.map(|text| Renewing { consent, text, mail }))
}

/// Renews what the link asks, if that is what was shown; what was ended since it was mailed is over.
///
/// # Errors
/// As [`super::confirm`].
pub(super) async fn renewed(
    tx: &mut Transaction,
    app: &App,
    link: &link::Model,
    shown: Shown<'_>,
    request_id: &str,
) -> Result<Answered, Error> {
    let Some(id) = link.contact_id else { return Ok(Answered::Closed) };
    let actor = act_as(tx, app, id, request_id)?;
    let Some(contact) = lock(tx, &actor, id).await? else { return Ok(Answered::Closed) };
    let Some(link) = hold(tx, link).await? else { return Ok(Answered::Closed) };
    let (Some(address), Some(key)) = (&contact.email, &contact.email_key) else {
        return Ok(Answered::Closed);
    };
    if *key != link.address_key || link.contact_id != Some(id) {
        return Ok(Answered::Closed);
    }
    let Some(renewing) = renewing(tx.connection(), &link).await? else { return Ok(Answered::Closed) };
    let (ring, purpose) = (tx.existing_installation_keys().await?, &renewing.consent.purpose_code);
    if blocked(tx.connection(), (ring.as_ref(), tx.reader()), &actor.policy, key, purpose, link.created_at)
        .await?
    {
        return Ok(Answered::Closed);
    }
    if matches!(shown, Shown::Mark(known) if known != offers::mark(&[renewing.offer()])) {
        return Ok(Answered::Changed);
    }
    let asked = OptInRequest { purpose, text: renewing.text.id, source: BY_MAIL, address, address_key: key };
    let mail = renewing.mail.map(|mail| mail.id);
    consents::confirm_opt_in(tx, &actor, &contact, &asked, ConsentEventKind::Renewed, mail).await?;
    close(tx, &link, id).await?;
    Ok(Answered::Done(id))
}
