//! The opt-outs of exported contacts, so that they move with the file. Room: exchange/exports.
//!
//! A block is not a declaration of the person on whose record it is, so it is not exported: such contacts are only
//! counted.

use serde_json::{Map, Value as Json, json};

use crate::{domain::suppressions, policy::Policy};

/// The fields that are read of an objection.
pub(super) const FIELDS: [&str; 4] = ["endedAt", "channel", "purpose", "objectedAt"];
/// The fields that are read of a block.
pub(super) const OF_BLOCKS: [&str; 4] = ["endedAt", "channel", "purpose", "since"];
/// The GraphQL selection of both.
pub(super) const SELECTION: &str = " objections { endedAt channel objectedAt purpose { code } } blocks { endedAt channel since purpose { code } }";

/// Replaces the objections by `optOuts`, each with the code of the purpose or group, the channel (null for all) and the
/// start. Returns whether the contact has a block that none of these explains.
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
            // A purpose that is no longer in the policy may have been advertising, and counts as such.
            let known_code = code.as_deref().filter(|code| policy.purpose(code).is_some());
            let is_advertising = known_code.is_none_or(|code| suppressions::is_advertising(policy, code));
            is_advertising.then(|| json!({ "purpose": code, "channel": objection.get("channel"), "objectedAt": objection.get("objectedAt") }))
        })
        .collect();
    // An objection of the person also creates a block on its own record.
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

/// The opt-outs of an exported contact: the code and the start, separated by `@`, and the channel (`None` for all).
pub(super) fn opt_outs_of(contact: &Map<String, Json>) -> impl Iterator<Item = (String, Option<&str>)> {
    let entries = contact.get("optOuts").and_then(Json::as_array).into_iter().flatten();
    entries.map(|opt_out| {
        let text = |name: &str| opt_out.get(name).and_then(Json::as_str);
        let since = text("objectedAt").map(|at| format!("@{at}")).unwrap_or_default();
        (format!("{}{since}", text("purpose").unwrap_or_default()), text("channel"))
    })
}
