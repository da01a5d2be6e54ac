//! Actions of persons on their pages: withdraw, object, open a request; all run as mutations. Room: http/pages.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    choices::{LinkHolder, has_consents, is_objectable},
    forms::Form,
    page_request::PageRequest,
};
use crate::http::pages::queries::execute;
use crate::{
    auth::actor::Actor,
    base::error::{Code, Error, Outcome},
    policy::{Action, Channel, Grounds, PurposeDef},
};

/// The source of declarations made on a page.
pub(super) const PAGE: &str = "preference page";
const ONE_CLICK: &str = "one-click unsubscribe";

const WITHDRAW: &str = "mutation($contact: ID!, $purpose: String!, $channel: Channel, $source: String!) { \
    withdrawConsent(input: { contactId: $contact, purpose: $purpose, channel: $channel, source: $source }) \
    { consents { id } } }";
const OBJECT: &str = "mutation($contact: ID!, $purpose: String!, $channel: Channel, $source: String!) { \
    recordObjection(input: { contactId: $contact, purpose: $purpose, channel: $channel, source: $source }) \
    { objections { id } } }";
const STOP_CONSENTS: &str = "mutation($email: String!, $purpose: String!, $source: String!) { \
    withdrawConsent(input: { email: $email, purpose: $purpose, channel: EMAIL, source: $source }) { consents { id } } }";
const STOP_USE: &str = "mutation($email: String!, $purpose: String!, $source: String!) { \
    recordObjection(input: { email: $email, purpose: $purpose, channel: EMAIL, source: $source }) \
    { objections { id } } }";
const REQUEST: &str = "mutation($contact: ID!, $kind: RequestKind!, $note: String) { \
    openRequest(input: { contactId: $contact, kind: $kind, note: $note }) { request { id } } }";

/// Runs a mutation that the policy must permit.
async fn run(
    request: &PageRequest,
    actor: &Actor,
    name: &str,
    document: &str,
    variables: Json,
) -> Result<(), Error> {
    if !actor.can(&format!("Mutation.{name}"), Action::Execute) {
        let message = "the policy denies this to the data subjects";
        return Err(Error::new(Code::Forbidden, message).with_coordinate(format!("Mutation.{name}")));
    }
    // A denied field is absent from a response; a denied mutation was not done.
    let data: Json = match execute(request, actor, document, variables).await {
        // The result cannot be read back, but no page shows it.
        Err(error) if error.outcome == Some(Outcome::Done) => return Ok(()),
        data => data?,
    };
    if data.get(name).is_none_or(Json::is_null) {
        let message = "the policy denies this to the data subjects";
        return Err(Error::new(Code::Forbidden, message).with_coordinate(format!("Mutation.{name}")));
    }
    Ok(())
}

/// Withdraws the consents of the person to a purpose, or to every purpose of a group. If no consent was given, only the
/// mailbox is blocked.
async fn withdraw(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    (purpose, channel): (&str, Option<Channel>),
    source: &str,
) -> Result<(), Error> {
    let channel = channel.map(Channel::as_str);
    let variables = json!({ "contact": contact, "purpose": purpose, "channel": channel, "source": source });
    run(request, actor, "withdrawConsent", WITHDRAW, variables).await
}

async fn object(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    (purpose, channel): (&str, Option<Channel>),
    source: &str,
) -> Result<(), Error> {
    let channel = channel.map(Channel::as_str);
    let variables = json!({ "contact": contact, "purpose": purpose, "channel": channel, "source": source });
    run(request, actor, "recordObjection", OBJECT, variables).await
}

/// Whether a form withdraws or objects, by a button or by a mail program.
pub(super) fn is_opt_out(form: &Form) -> bool {
    form.is_one_click() || matches!(form.single("action"), Some("withdraw" | "object" | "none" | "stop"))
}

/// Performs the action of a button and returns a word for what was done; `None` if there is no such button.
///
/// # Errors
/// Those of the engine.
pub(super) async fn apply(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    form: &Form,
) -> Result<Option<&'static str>, Error> {
    let policy = &actor.policy;
    let Some(purpose) = form.get("purpose").and_then(|code| policy.purpose(code)) else { return Ok(None) };
    let code = purpose.code.as_str();
    match form.get("action") {
        Some("withdraw") if purpose.grounds == Grounds::Consent && !purpose.is_group => {
            withdraw(request, actor, contact, (code, None), PAGE).await?;
            Ok(Some("withdrawn"))
        }
        Some("object") if is_objectable(purpose) => {
            object(request, actor, contact, (code, None), PAGE).await?;
            Ok(Some("objected"))
        }
        Some("none") if purpose.is_group => {
            // The objection first: by itself it ends every purpose of the group.
            object(request, actor, contact, (code, None), PAGE).await?;
            if has_consents(policy, code) {
                withdraw(request, actor, contact, (code, None), PAGE).await?;
            }
            Ok(Some("none"))
        }
        _ => Ok(None),
    }
}

/// Performs the action of a button on the mailbox page and returns a word for what was done. It stops the mails to the
/// mailbox on every record, and is declared if all records belong to one person. `None` if there is no such button.
///
/// # Errors
/// Those of the engine.
pub(super) async fn stop_mailbox(
    request: &PageRequest,
    actor: &Actor,
    mailbox: &str,
    form: &Form,
) -> Result<Option<&'static str>, Error> {
    let policy = &actor.policy;
    let Some(purpose) = form.get("purpose").and_then(|code| policy.purpose(code)) else { return Ok(None) };
    let code = purpose.code.as_str();
    let variables = json!({ "email": mailbox, "purpose": code, "source": PAGE });
    match form.get("action") {
        Some("stop") if purpose.grounds == Grounds::Consent && !purpose.is_group => {
            run(request, actor, "withdrawConsent", STOP_CONSENTS, variables).await?;
            Ok(Some("stopped"))
        }
        Some("stop") if is_objectable(purpose) => {
            run(request, actor, "recordObjection", STOP_USE, variables).await?;
            Ok(Some("stopped"))
        }
        Some("none") if purpose.is_group => {
            run(request, actor, "recordObjection", STOP_USE, variables.clone()).await?;
            if has_consents(policy, code) {
                run(request, actor, "withdrawConsent", STOP_CONSENTS, variables).await?;
            }
            Ok(Some("stopped"))
        }
        _ => Ok(None),
    }
}

/// Ends the mails that carried the link (RFC 8058): withdraws the consent to its purpose, or objects to that use;
/// otherwise withdraws every consent for e-mail. It does so whatever the person declared before: somebody else at the
/// mailbox may have consented since, and this click ends that too.
///
/// # Errors
/// Those of the engine.
pub(super) async fn unsubscribe(request: &PageRequest, holder: &LinkHolder) -> Result<(), Error> {
    let (actor, contact) = (&holder.actor, holder.contact);
    match actor.policy.purpose(&holder.purpose) {
        Some(purpose) if purpose.grounds == Grounds::Consent && !purpose.is_group => {
            withdraw(request, actor, contact, (&purpose.code, mail_channel(purpose)), ONE_CLICK).await
        }
        Some(purpose) if is_objectable(purpose) => {
            object(request, actor, contact, (&purpose.code, mail_channel(purpose)), ONE_CLICK).await
        }
        _ => {
            for purpose in actor.policy.purposes() {
                if purpose.grounds == Grounds::Consent && purpose.channels.contains(&Channel::Email) {
                    let target = (purpose.code.as_str(), Some(Channel::Email));
                    withdraw(request, actor, contact, target, ONE_CLICK).await?;
                }
            }
            Ok(())
        }
    }
}

/// Ends the mails of `purpose` to a mailbox that is named by a link but no longer belongs to the person: its current
/// owner has declared nothing and gets no mails. Purposes other than advertising are not stopped for others.
///
/// # Errors
/// Those of the engine.
pub(super) async fn stop_mails(
    request: &PageRequest,
    actor: &Actor,
    mailbox: &str,
    purpose: &str,
) -> Result<(), Error> {
    let on_consent = |purpose: &PurposeDef| purpose.grounds == Grounds::Consent && !purpose.is_group;
    let named = actor.policy.purpose(purpose);
    let purposes: Vec<_> = match named {
        Some(named) if on_consent(named) || is_objectable(named) => vec![named],
        _ => actor.policy.purposes().iter().filter(|purpose| on_consent(purpose)).collect(),
    };
    for purpose in purposes.into_iter().filter(|purpose| mail_channel(purpose).is_some()) {
        let variables = json!({ "email": mailbox, "purpose": purpose.code, "source": ONE_CLICK });
        if on_consent(purpose) {
            run(request, actor, "withdrawConsent", STOP_CONSENTS, variables).await?;
        } else if purpose.group.is_some() {
            run(request, actor, "recordObjection", STOP_USE, variables).await?;
        }
    }
    Ok(())
}

/// The channel that a click in a mail concerns: e-mail for purposes that use it. A purpose that does not use e-mail
/// ends on every channel, and so does a use other than advertising.
fn mail_channel(purpose: &PurposeDef) -> Option<Channel> {
    let by_mail = if purpose.channels.is_empty() {
        purpose.group.is_some()
    } else {
        purpose.channels.contains(&Channel::Email)
    };
    by_mail.then_some(Channel::Email)
}

/// Opens a request of the person.
///
/// # Errors
/// Those of the engine.
pub(super) async fn request(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    kind: &str,
    note: Option<&str>,
) -> Result<(), Error> {
    let variables = json!({ "contact": contact, "kind": kind, "note": note });
    run(request, actor, "openRequest", REQUEST, variables).await
}
