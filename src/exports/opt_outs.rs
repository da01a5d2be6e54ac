//! To what advertising the contacts of an export object, so that whoever takes the file over takes that over too (floor 6).
//!
//! A block is no word of the person whose record it stands on, so it is none in the file either: such contacts are counted.

use serde_json::{Map, Value as Json, json};

use crate::{policy::Policy, suppressions};

/// What is read of an objection.
pub(super) const FIELDS: [&str; 4] = ["endedAt", "channel", "purpose", "objectedAt"];
/// What is read of a block.
pub(super) const OF_BLOCKS: [&str; 1] = ["endedAt"];
/// The same as a client selects it.
pub(super) const SELECTION: &str =
    " objections { endedAt channel objectedAt purpose { code } } blocks { endedAt }";

/// Puts what is objected to now in the place of the objections: `optOuts`, each with the code of the purpose or group, the channel or null for
/// all, and since when. Gives whether a block stands on the contact.
pub(super) fn tell(policy: &Policy, contact: &mut Map<String, Json>) -> bool {
    let list = |contact: &mut Map<String, Json>, name: &str| match contact.remove(name) {
        Some(Json::Array(all)) => {
            all.into_iter().filter(|one| one.get("endedAt").is_none_or(Json::is_null)).collect()
        }
        _ => Vec::new(),
    };
    let told: Vec<Json> = list(contact, "objections")
        .into_iter()
        .filter_map(|objection| {
            let code = objection.pointer("/purpose/code")?.as_str()?;
            let told = json!({ "purpose": code, "channel": objection.get("channel"), "objectedAt": objection.get("objectedAt") });
            suppressions::is_advertising(policy, code).then_some(told)
        })
        .collect();
    contact.insert("optOuts".to_owned(), told.into());
    !list(contact, "blocks").is_empty()
}

/// What a contact objects to, which was told so: the code and since when, with `@` between them, and the channel or `None` for all.
pub(super) fn told(contact: &Map<String, Json>) -> impl Iterator<Item = (String, Option<&str>)> {
    let all = contact.get("optOuts").and_then(Json::as_array).into_iter().flatten();
    all.filter_map(|told| {
        let text = |name: &str| told.get(name).and_then(Json::as_str);
        let since = text("objectedAt").map(|at| format!("@{at}")).unwrap_or_default();
        Some((format!("{}{since}", text("purpose")?), text("channel")))
    })
}
