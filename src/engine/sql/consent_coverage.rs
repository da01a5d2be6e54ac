//! Live consents of contacts beside the contacts, instead of a question for each. Room: engine/sql.

use uuid::Uuid;

use super::{
    builder::SqlBuilder,
    row_rules::{self, visible_by},
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
    MergeScan { behind: Option<Uuid> },
}

/// A channel, the column of the contact that its consents are bound to, and what its consent is called where it is joined and where
/// it is gathered.
struct Channel {
    name: &'static str,
    address: &'static str,
    joined: &'static str,
    gathered: &'static str,
}

const EMAIL: Channel = Channel { name: "EMAIL", address: "email_key", joined: "g_email", gathered: "email" };
const PHONE: Channel = Channel { name: "PHONE", address: "phone_key", joined: "g_phone", gathered: "phone" };
const SMS: Channel = Channel { name: "SMS", address: "phone_key", joined: "g_sms", gathered: "sms" };
const POST: Channel = Channel { name: "POST", address: "postal_key", joined: "g_post", gathered: "post" };
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
    pub(in crate::engine) fn join(
        self,
        sql: &mut SqlBuilder,
        scope: &Scope,
        covers: impl Iterator<Item = Cover>,
    ) {
        match self {
            Self::Exists => {}
            Self::Join => {
                for channel in covers.flat_map(channels) {
                    join(sql, scope, channel);
                }
            }
            Self::MergeScan { behind } => gather(sql, scope, behind, covers),
        }
    }

    /// Whether a consent on the channels of `cover` has been joined.
    pub(in crate::engine) fn covered(self, sql: &mut SqlBuilder, cover: Cover) {
        for (index, channel) in channels(cover).iter().enumerate() {
            sql.push(if index == 0 { "" } else { " OR " });
            match self {
                Self::MergeScan { .. } => {
                    sql.push("v.").push(channel.gathered).push("_unbound OR ");
                    bound(sql, channel);
                }
                _ => _ = sql.push(channel.joined).push(".channel IS NOT NULL"),
            }
        }
    }
}

/// The live consent of the contact `t` on a channel: it has one at most.
fn join(sql: &mut SqlBuilder, scope: &Scope, channel: &Channel) {
    let alias = channel.joined;
    sql.push(" LEFT JOIN consent ").push(alias).push(" ON ").push(alias).push(".contact_id = t.id AND ");
    sql.push(alias).push(".channel = '").push(channel.name).push("' AND ");
    row_rules::live(sql, scope, alias);
    sql.push(" AND (").push(alias).push(".bound_address IS NULL OR ").push(alias);
    sql.push(".bound_address = t.").push(channel.address).push(")");
}

/// The live consents of each contact as one row `v`: whether any is bound to no address, and what those on each channel are bound
/// to.
fn gather(sql: &mut SqlBuilder, scope: &Scope, behind: Option<Uuid>, covers: impl Iterator<Item = Cover>) {
    sql.push(" JOIN (SELECT g.contact_id, bool_or(g.bound_address IS NULL) AS unbound");
    for channel in &ALL {
        sql.push(", MAX(g.bound_address) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.gathered);
    }
    for channel in covers.flat_map(channels) {
        sql.push(", bool_or(g.bound_address IS NULL) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.gathered).push("_unbound");
    }
    sql.push(" FROM consent g WHERE ");
    // Each by itself, so that both are gone through from there on.
    let is_behind = |sql: &mut SqlBuilder, alias: &str| {
        if let Some(contact) = behind {
            sql.push(" AND ").push(alias).push(".contact_id > ").bind(contact);
        }
    };
    row_rules::live_where(sql, scope, "g", |sql| is_behind(sql, "o"));
    is_behind(sql, "g");
    sql.push(" GROUP BY g.contact_id ORDER BY g.contact_id OFFSET 0) v ON v.contact_id = t.id");
}

/// Whether one of the consents that were gathered holds for the contact `t`: one that is bound to an address does as long as the
/// contact has that address.
pub(in crate::engine) fn any_gathered(sql: &mut SqlBuilder) {
    sql.push("(v.unbound");
    for channel in &ALL {
        sql.push(" OR ");
        bound(sql, channel);
    }
    sql.push(")");
}

fn bound(sql: &mut SqlBuilder, channel: &Channel) {
    sql.push("v.").push(channel.gathered).push(" = t.").push(channel.address);
}

/// The same of the contact `t`, whose live consents have been gathered.
pub(in crate::engine) fn visible_by_gathered(sql: &mut SqlBuilder, scope: &Scope) {
    visible_by(sql, scope, "t", any_gathered);
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
