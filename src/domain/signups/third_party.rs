//! Sign-ups made by others: by a website's own form, or by staff for a contact who asked for it.
//! Room: domain/signups.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Choice, SignUp, write};
use crate::{
    app::App,
    audit::Transaction,
    auth::actor::Actor,
    base::error::Error,
    domain::{
        consents::{self, OptInRequest},
        contacts,
    },
    engine::Input,
};

/// A consent requested by double opt-in, with the evidence that the person signed up for it.
#[derive(Clone, Debug)]
pub struct ConsentRequest {
    /// For this contact,
    pub contact_id: Option<Uuid>,
    /// or for the owner of this address.
    pub email: Option<String>,
    /// Given name, if given.
    pub given_name: Option<String>,
    /// Family name, if given.
    pub family_name: Option<String>,
    /// Code of the purpose.
    pub purpose: String,
    /// Language of the text.
    pub language: String,
    /// Version of the text; the current one by default.
    pub text_version: Option<String>,
    /// The form the person signed up with.
    pub form: String,
    /// When the person did.
    pub signed_up_at: DateTime<Utc>,
    /// Version of the privacy notice shown.
    pub notice_version: Option<String>,
}

impl ConsentRequest {
    /// The sign-up that a `RequestConsentInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            contact_id: input.id("contactId"),
            email: input.optional_string("email"),
            given_name: input.optional_string("givenName"),
            family_name: input.optional_string("familyName"),
            purpose: input.require_string("purpose")?,
            language: input.require_string("language")?,
            text_version: input.optional_string("textVersion"),
            form: input.require_string("form")?,
            signed_up_at: input.require_time("declaredAt")?,
            notice_version: input.optional_string("noticeVersion"),
        })
    }

    fn sign_up(&self, address: String) -> SignUp {
        SignUp {
            contact_id: self.contact_id,
            address,
            given_name: self.given_name.clone(),
            family_name: self.family_name.clone(),
            language: self.language.clone(),
            source: self.form.clone(),
            choices: vec![Choice { purpose: self.purpose.clone(), text_version: self.text_version.clone() }],
            notice_version: self.notice_version.clone(),
            signed_up_at: self.signed_up_at,
        }
    }
}

/// Starts a double opt-in. For a known contact it returns the pending consent; for an address nothing, whoever owns
/// it.
///
/// # Errors
/// As [`super::sign_up`]; `NOT_FOUND`; `FORBIDDEN` for another purpose than the caller's; `BAD_USER_INPUT` unless
/// exactly one of contact and address is given.
pub async fn request_consent(
    tx: &mut Transaction,
    app: &App,
    actor: &Actor,
    new: &ConsentRequest,
) -> Result<Option<Uuid>, Error> {
    consents::check_own_purpose(actor, &new.purpose)?;
    let contact_id = match (new.contact_id, &new.email) {
        (None, Some(email)) => {
            write(tx, app, &new.sign_up(email.clone()), "requestConsent").await?;
            return Ok(None);
        }
        (Some(contact_id), None) => contact_id,
        _ => return Err(Error::bad_input("give `contactId` or `email`").with_input_path("input.contactId")),
    };
    if new.given_name.is_some() || new.family_name.is_some() {
        let message = "names can only be given together with an address";
        return Err(Error::bad_input(message).with_input_path("input.givenName"));
    }
    let contact = contacts::lock(tx, actor, contact_id).await?;
    let (Some(address), Some(address_key)) = (contact.email.clone(), &contact.email_key) else {
        return Err(Error::bad_input("the contact has no e-mail address").with_input_path("input.contactId"));
    };
    let choices = write(tx, app, &new.sign_up(address.clone()), "signUp").await?;
    let [choice] = choices.as_slice() else {
        return Err(Error::internal("a sign-up must have exactly one choice"));
    };
    let request = OptInRequest {
        purpose: &choice.purpose,
        text: choice.text,
        source: &new.form,
        address: &address,
        address_key,
    };
    let request =
        consents::request_opt_in(tx, "requestConsent", &contact, &request, Some(new.signed_up_at)).await?;
    Ok(Some(request))
}
