//! To what advertising the contacts of an export object, so that whoever takes the file over takes that over too. Room: exchange/exports.
//!
//! A block is no word of the person whose record it stands on, so it is none in the file either: such contacts are counted.

use serde_json::{Map, Value as Json, json};

use crate::{domain::suppressions, policy::Policy};

/// What is read of an objection.
pub(super) const FIELDS: [&str; 4] = ["endedAt", "channel", "purpose", "objectedAt"];
/// What is read of a block.
pub(super) const OF_BLOCKS: [&str; 4] = ["endedAt", "channel", "purpose", "since"];
/// The same as a client selects it.
pub(super) const SELECTION: &str = " objections { endedAt channel objectedAt purpose { code } } blocks { endedAt channel since purpose { code } }";

/// Puts what is objected to now in the place of the objections: `optOuts`, each with the code of the purpose or group, the channel or null for
/// all, and since when. Gives whether a block stands on the contact that none of these says.
pub(super) fn tell(policy: &Policy, contact: &mut Map<String, Json>) -> bool {
    let list = |contact: &mut Map<String, Json>, name: &str| match contact.remove(name) {
        Some(Json::Array(all)) => {
            all.into_iter().filter(|one| one.get("endedAt").is_none_or(Json::is_null)).collect()
        }
        _ => Vec::new(),
    };
    let code = |of: &Json| of.pointer("/purpose/code").and_then(Json::as_str).map(str::to_owned);
    let told: Vec<Json> = list(contact, "objections")
        .into_iter()
        .filter_map(|objection| {
            let code = code(&objection);
            // What the policy does not know any more may have been advertising, and is read as that.
            let known = code.as_deref().filter(|code| policy.purpose(code).is_some());
            let meant = known.is_none_or(|code| suppressions::is_advertising(policy, code));
            meant.then(|| json!({ "purpose": code, "channel": objection.get("channel"), "objectedAt": objection.get("objectedAt") }))
        })
        .collect();
    // The person's own objection blocks its own record as well.
    let covers = |objection: &Json, block: &Json| {
        let of = |one: &Json, name: &str| one.get(name).and_then(Json::as_str).map(str::to_owned);
        let channel = of(objection, "channel");
        of(objection, "purpose") == code(block)
            && (channel.is_none() || channel == of(block, "channel"))
            && of(objection, "objectedAt") == of(block, "since")
    };
    let blocks = list(contact, "blocks");
    let untold = blocks.iter().any(|block| !told.iter().any(|objection| covers(objection, block)));
    contact.insert("optOuts".to_owned(), told.into());
    untold
}

/// What a contact objects to, which was told so: the code and since when, with `@` between them, and the channel or `None` for all.
pub(super) fn told(contact: &Map<String, Json>) -> impl Iterator<Item = (String, Option<&str>)> {
    let all = contact.get("optOuts").and_then(Json::as_array).into_iter().flatten();
    all.map(|told| {
        let text = |name: &str| told.get(name).and_then(Json::as_str);
        let since = text("objectedAt").map(|at| format!("@{at}")).unwrap_or_default();
        (format!("{}{since}", text("purpose").unwrap_or_default()), text("channel"))
    })
}
