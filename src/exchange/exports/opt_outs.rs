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
pub(super) fn insert_into(policy: &Policy, contact: &mut Map<String, Json>) -> bool {
    let list = |contact: &mut Map<String, Json>, name: &str| match contact.remove(name) {
        Some(Json::Array(entries)) => {
            entries.into_iter().filter(|entry| entry.get("endedAt").is_none_or(Json::is_null)).collect()
        }
        _ => Vec::new(),
    };
    let code = |entry: &Json| entry.pointer("/purpose/code").and_then(Json::as_str).map(str::to_owned);
    let opt_outs: Vec<Json> = list(contact, "objections")
        .into_iter()
        .filter_map(|objection| {
            let code = code(&objection);
            // What the policy does not know any more may have been advertising, and is read as that.
            let known_code = code.as_deref().filter(|code| policy.purpose(code).is_some());
            let is_advertising = known_code.is_none_or(|code| suppressions::is_advertising(policy, code));
            is_advertising.then(|| json!({ "purpose": code, "channel": objection.get("channel"), "objectedAt": objection.get("objectedAt") }))
        })
        .collect();
    // The person's own objection blocks its own record as well.
    let covers = |objection: &Json, block: &Json| {
        let entry = |entry: &Json, name: &str| entry.get(name).and_then(Json::as_str).map(str::to_owned);
        let channel = entry(objection, "channel");
        entry(objection, "purpose") == code(block)
            && (channel.is_none() || channel == entry(block, "channel"))
            && entry(objection, "objectedAt") == entry(block, "since")
    };
    let blocks = list(contact, "blocks");
    let has_other_block =
        blocks.iter().any(|block| !opt_outs.iter().any(|objection| covers(objection, block)));
    contact.insert("optOuts".to_owned(), opt_outs.into());
    has_other_block
}

/// What a contact objects to, which was told so: the code and since when, with `@` between them, and the channel or `None` for all.
pub(super) fn opt_outs_of(contact: &Map<String, Json>) -> impl Iterator<Item = (String, Option<&str>)> {
    let entries = contact.get("optOuts").and_then(Json::as_array).into_iter().flatten();
    entries.map(|opt_out| {
        let text = |name: &str| opt_out.get(name).and_then(Json::as_str);
        let since = text("objectedAt").map(|at| format!("@{at}")).unwrap_or_default();
        (format!("{}{since}", text("purpose").unwrap_or_default()), text("channel"))
    })
}
