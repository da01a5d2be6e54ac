//! Live consents of contacts beside the contacts, instead of a question for each. Room: engine/sql.

use uuid::Uuid;

use super::{
    builder::SqlBuilder,
    row_rules::{self, push_visible_by},
};
use crate::{engine::scope::Scope, registry::Cover};

/// How the consents of the contact `t` are found that make it visible and cover its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CoverageLookup {
    /// Each is asked for.
    Exists,
    /// Those that cover a channel are joined, each as a table of its own; that there is any is asked.
    Join,
    /// All of a contact are gathered in one row, of those behind a contact, in the order of the contacts: so many of these are gone
    /// through in their order that both are read side by side. PostgreSQL would rather gather those of everybody first; `OFFSET 0`
    /// keeps it from that.
    MergeScan { after: Option<Uuid> },
}

/// A channel, the column of the contact that its consents are bound to, and what its consent is called where it is joined and where
/// it is gathered.
struct Channel {
    name: &'static str,
    address_column: &'static str,
    alias: &'static str,
    column: &'static str,
}

const EMAIL: Channel =
    Channel { name: "EMAIL", address_column: "email_key", alias: "g_email", column: "email" };
const PHONE: Channel =
    Channel { name: "PHONE", address_column: "phone_key", alias: "g_phone", column: "phone" };
const SMS: Channel = Channel { name: "SMS", address_column: "phone_key", alias: "g_sms", column: "sms" };
const POST: Channel = Channel { name: "POST", address_column: "postal_key", alias: "g_post", column: "post" };
const ALL: [Channel; 4] = [EMAIL, PHONE, SMS, POST];

fn channels(cover: Cover) -> &'static [Channel] {
    match cover {
        Cover::Email => &[EMAIL],
        Cover::Phone => &[PHONE, SMS],
        Cover::Post => &[POST],
    }
}

impl CoverageLookup {
    /// Joins what is to be joined for `covers`.
    pub(in crate::engine) fn push_join(
        self,
        sql: &mut SqlBuilder,
        scope: &Scope,
        covers: impl Iterator<Item = Cover>,
    ) {
        match self {
            Self::Exists => {}
            Self::Join => {
                for channel in covers.flat_map(channels) {
                    push_join(sql, scope, channel);
                }
            }
            Self::MergeScan { after } => push_merge_scan(sql, scope, after, covers),
        }
    }

    /// Whether a consent on the channels of `cover` has been joined.
    pub(in crate::engine) fn push_covered(self, sql: &mut SqlBuilder, cover: Cover) {
        for (index, channel) in channels(cover).iter().enumerate() {
            sql.push(if index == 0 { "" } else { " OR " });
            match self {
                Self::MergeScan { .. } => {
                    sql.push("v.").push(channel.column).push("_unbound OR ");
                    push_address_match(sql, channel);
                }
                _ => _ = sql.push(channel.alias).push(".channel IS NOT NULL"),
            }
        }
    }
}

/// The live consent of the contact `t` on a channel: it has one at most.
fn push_join(sql: &mut SqlBuilder, scope: &Scope, channel: &Channel) {
    let alias = channel.alias;
    sql.push(" LEFT JOIN consent ").push(alias).push(" ON ").push(alias).push(".contact_id = t.id AND ");
    sql.push(alias).push(".channel = '").push(channel.name).push("' AND ");
    row_rules::push_consent_in_force(sql, scope, alias);
    sql.push(" AND (").push(alias).push(".bound_address IS NULL OR ").push(alias);
    sql.push(".bound_address = t.").push(channel.address_column).push(")");
}

/// The live consents of each contact as one row `v`: whether any is bound to no address, and what those on each channel are bound
/// to.
fn push_merge_scan(
    sql: &mut SqlBuilder,
    scope: &Scope,
    after: Option<Uuid>,
    covers: impl Iterator<Item = Cover>,
) {
    sql.push(" JOIN (SELECT g.contact_id, bool_or(g.bound_address IS NULL) AS unbound");
    for channel in &ALL {
        sql.push(", MAX(g.bound_address) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.column);
    }
    for channel in covers.flat_map(channels) {
        sql.push(", bool_or(g.bound_address IS NULL) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.column).push("_unbound");
    }
    sql.push(" FROM consent g WHERE ");
    // Each by itself, so that both are gone through from there on.
    let push_after = |sql: &mut SqlBuilder, alias: &str| {
        if let Some(contact) = after {
            sql.push(" AND ").push(alias).push(".contact_id > ").bind(contact);
        }
    };
    row_rules::push_consent_in_force_where(sql, scope, "g", |sql| push_after(sql, "o"));
    push_after(sql, "g");
    sql.push(" GROUP BY g.contact_id ORDER BY g.contact_id OFFSET 0) v ON v.contact_id = t.id");
}

/// Whether one of the consents that were gathered holds for the contact `t`: one that is bound to an address does as long as the
/// contact has that address.
pub(in crate::engine) fn push_any_address_match(sql: &mut SqlBuilder) {
    sql.push("(v.unbound");
    for channel in &ALL {
        sql.push(" OR ");
        push_address_match(sql, channel);
    }
    sql.push(")");
}

fn push_address_match(sql: &mut SqlBuilder, channel: &Channel) {
    sql.push("v.").push(channel.column).push(" = t.").push(channel.address_column);
}

/// The same of the contact `t`, whose live consents have been gathered.
pub(in crate::engine) fn push_visible_by_merge_scan(sql: &mut SqlBuilder, scope: &Scope) {
    push_visible_by(sql, scope, "t", push_any_address_match);
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum, Iterable};

    #[test]
    fn no_channel_is_forgotten() {
        let known: Vec<String> = entity::enums::Channel::iter().map(|channel| channel.to_value()).collect();
        assert_eq!(super::ALL.each_ref().map(|channel| channel.name).as_slice(), known);
    }
}
