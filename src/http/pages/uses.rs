//! Everything that the data of a person is used for: on which basis, since when, and who else may see it (Art. 15(1)). Room: http/pages.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    choices::{Choice, Details},
    visit::PageRequest,
};
use crate::http::pages::{
    language::Texts,
    queries::{self, Access, Known, Recipient, holds},
};
use crate::{
    auth::actor::Actor,
    base::error::Error,
    policy::{Grounds, PurposeDef},
};

/// Completes `choices`, what the person can end, by every other purpose in use, and tells of each in use what there is to be told; in
/// the order of the policy.
///
/// # Errors
/// Those of the engine.
pub(super) async fn complete(
    visit: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    known: &Known,
    choices: Vec<Choice>,
) -> Result<Vec<Choice>, Error> {
    let accesses = queries::accesses(visit, actor).await?;
    let mut endable = choices.into_iter().peekable();
    let mut all = Vec::new();
    for purpose in actor.policy.purposes().iter().filter(|purpose| !purpose.is_group) {
        let offered = endable.next_if(|choice| choice.code == purpose.code);
        let in_use = match &offered {
            Some(choice) => matches!(choice.state, "consented" | "used"),
            None => holds(visit, contact, purpose).await?,
        };
        let mut choice = match offered {
            Some(choice) => choice,
            None if in_use => fixed(visit.texts, purpose),
            None => continue,
        };
        if in_use {
            choice.details = Some(details(visit, purpose, known, accesses.as_deref(), choice.ends.is_none()));
        }
        all.push(choice);
    }
    Ok(all)
}

/// A purpose in use that has no button.
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
    visit: &PageRequest,
    purpose: &PurposeDef,
    known: &Known,
    accesses: Option<&[Access]>,
    is_fixed: bool,
) -> Details {
    let texts = visit.texts;
    let basis = purpose.basis.map(|basis| basis.as_str().to_ascii_lowercase());
    let word = |area: &str| texts.known(&format!("page-{area}-{}", basis.as_deref()?));
    let since = since(purpose, known, visit.app.now());
    Details {
        basis: word("basis"),
        since: since.map_or_else(|| texts.say("page-history-unknown"), |at| texts.day(at)),
        recipients: accesses.map(|accesses| recipients(texts, &purpose.code, accesses)),
        fixed: is_fixed.then(|| word("fixed")).flatten(),
    }
}

/// Since when the data is used for the purpose: by the oldest of the consents or grounds in force, or since it is kept at all.
fn since(purpose: &PurposeDef, known: &Known, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is = |of: &Option<queries::Purpose>| of.as_ref().is_some_and(|of| of.code == purpose.code);
    match purpose.grounds {
        Grounds::Consent => {
            let consents = known.consents.iter().flat_map(|consents| &consents.nodes);
            let given = consents
                .filter(|consent| is(&consent.purpose) && consent.status.as_deref() == Some("GRANTED"));
            given.filter_map(|consent| consent.granted_at.or(consent.declared_at)).min()
        }
        Grounds::Recorded => {
            let grounds = known.grounds.iter().flatten().filter(|ground| is(&ground.purpose));
            let open = grounds.filter(|ground| ground.until.is_none_or(|until| until > now));
            open.filter_map(|ground| ground.since).filter(|since| *since <= now).min()
        }
        Grounds::EveryContact => known.created_at,
        Grounds::None => None,
    }
}

/// Each recipient once, with what it is.
fn recipients(texts: Texts, code: &str, accesses: &[Access]) -> Vec<String> {
    let meant = accesses.iter().filter(|access| access.purposes.iter().flatten().any(|known| known == code));
    let mut all: Vec<String> = meant
        .filter_map(|access| access.recipient.as_ref())
        .filter_map(|one| recipient(texts, one))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn recipient(texts: Texts, recipient: &Recipient) -> Option<String> {
    let name = recipient.name.as_deref()?;
    let place = recipient.country.as_deref().map_or_else(String::new, |country| format!(", {country}"));
    let kind = recipient.kind.as_deref().map(str::to_ascii_lowercase);
    let kind = kind.and_then(|kind| texts.known(&format!("page-recipient-{kind}")));
    Some(format!("{name}{place}{}", kind.map_or_else(String::new, |kind| format!(" ({kind})"))))
}
