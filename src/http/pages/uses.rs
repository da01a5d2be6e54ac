//! All uses of a person's data, with legal basis, start and recipients (Art. 15(1)). Room: http/pages.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    choices::{Choice, Details},
    page_request::PageRequest,
};
use crate::http::pages::{
    language::Texts,
    queries::{self, Access, Person, Recipient, is_in_force},
};
use crate::{
    auth::actor::Actor,
    base::error::Error,
    policy::{Grounds, PurposeDef},
};

/// Adds every other purpose in use to `choices`, and details to each purpose in use, in the order of the policy.
///
/// # Errors
/// Those of the engine.
pub(super) async fn complete(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    person: &Person,
    choices: Vec<Choice>,
) -> Result<Vec<Choice>, Error> {
    let accesses = queries::load_accesses(request, actor).await?;
    let mut endable = choices.into_iter().peekable();
    let mut shown = Vec::new();
    for purpose in actor.policy.purposes().iter().filter(|purpose| !purpose.is_group) {
        let offered = endable.next_if(|choice| choice.code == purpose.code);
        let in_use = match &offered {
            Some(choice) => matches!(choice.state, "consented" | "used"),
            None => is_in_force(request, contact, purpose).await?,
        };
        let mut choice = match offered {
            Some(choice) => choice,
            None if in_use => fixed(request.texts, purpose),
            None => continue,
        };
        if in_use {
            choice.details =
                Some(details(request, purpose, person, accesses.as_deref(), choice.ends.is_none()));
        }
        shown.push(choice);
    }
    Ok(shown)
}

/// A choice without a button, for a purpose in use that cannot be ended.
fn fixed(texts: Texts, purpose: &PurposeDef) -> Choice {
    Choice {
        code: purpose.code.clone(),
        title: texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
        description: texts.pick(&purpose.description_de, &purpose.description_en).to_owned(),
        state: "used",
        action: None,
        ends: None,
        grouped: purpose.group.is_some(),
        details: None,
    }
}

fn details(
    request: &PageRequest,
    purpose: &PurposeDef,
    person: &Person,
    accesses: Option<&[Access]>,
    is_fixed: bool,
) -> Details {
    let texts = request.texts;
    let basis = purpose.basis.map(|basis| basis.as_str().to_ascii_lowercase());
    let word = |area: &str| texts.find(&format!("page-{area}-{}", basis.as_deref()?));
    let since = since(purpose, person, request.app.now());
    Details {
        basis: word("basis"),
        since: since.map_or_else(|| texts.say("page-history-unknown"), |at| texts.day(at)),
        recipients: accesses.map(|accesses| recipients(texts, &purpose.code, accesses)),
        fixed: is_fixed.then(|| word("fixed")).flatten(),
    }
}

/// Since when the data is used for the purpose: since the oldest consent or ground in force, or since the record was
/// created.
fn since(purpose: &PurposeDef, person: &Person, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_meant =
        |used: &Option<queries::Purpose>| used.as_ref().is_some_and(|used| used.code == purpose.code);
    match purpose.grounds {
        Grounds::Consent => {
            let consents = person.consents.iter().flat_map(|consents| &consents.nodes);
            let granted = consents
                .filter(|consent| is_meant(&consent.purpose) && consent.status.as_deref() == Some("GRANTED"));
            granted.filter_map(|consent| consent.granted_at.or(consent.declared_at)).min()
        }
        Grounds::Recorded => {
            let grounds = person.grounds.iter().flatten().filter(|ground| is_meant(&ground.purpose));
            let open = grounds.filter(|ground| ground.until.is_none_or(|until| until > now));
            open.filter_map(|ground| ground.since).filter(|since| *since <= now).min()
        }
        Grounds::EveryContact => person.created_at,
        Grounds::None => None,
    }
}

/// Each recipient once, with its kind and country.
fn recipients(texts: Texts, code: &str, accesses: &[Access]) -> Vec<String> {
    let granted = accesses
        .iter()
        .filter(|access| access.purposes.iter().flatten().any(|granted_purpose| granted_purpose == code));
    let mut lines: Vec<String> = granted
        .filter_map(|access| access.recipient.as_ref())
        .filter_map(|found| recipient(texts, found))
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

fn recipient(texts: Texts, recipient: &Recipient) -> Option<String> {
    let name = recipient.name.as_deref()?;
    let country = recipient.country.as_deref().map_or_else(String::new, |country| format!(", {country}"));
    let kind = recipient.kind.as_deref().map(str::to_ascii_lowercase);
    let kind = kind.and_then(|kind| texts.find(&format!("page-recipient-{kind}")));
    Some(format!("{name}{country}{}", kind.map_or_else(String::new, |kind| format!(" ({kind})"))))
}
