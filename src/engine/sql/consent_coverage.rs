//! Consents in force, joined to the contacts instead of one subquery for each. Room: engine/sql.

use uuid::Uuid;

use super::{
    builder::SqlBuilder,
    row_rules::{self, push_visible_by},
};
use crate::{engine::scope::Scope, registry::RequiredChannel};

/// How a statement finds the consents that make the contact `t` visible and cover its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CoverageLookup {
    /// By EXISTS subqueries.
    Exists,
    /// Consents that cover a channel are joined, one join for each channel; visibility is an EXISTS subquery.
    Join,
    /// The consents of each contact are aggregated into one row, ordered by contact and starting after the contact
    /// `after`, so that both tables are read side by side (merge join). `OFFSET 0` keeps PostgreSQL from
    /// aggregating all consents first.
    MergeScan { after: Option<Uuid> },
}

/// A channel, the contact's column that its consents are bound to, its alias in joins and its column in the merge
/// scan.
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

fn channels(required_channel: RequiredChannel) -> &'static [Channel] {
    match required_channel {
        RequiredChannel::Email => &[EMAIL],
        RequiredChannel::Phone => &[PHONE, SMS],
        RequiredChannel::Post => &[POST],
    }
}

impl CoverageLookup {
    /// Pushes the joins that `required_channels` need.
    pub(in crate::engine) fn push_join(
        self,
        sql: &mut SqlBuilder,
        scope: &Scope,
        required_channels: impl Iterator<Item = RequiredChannel>,
    ) {
        match self {
            Self::Exists => {}
            Self::Join => {
                for channel in required_channels.flat_map(channels) {
                    push_join(sql, scope, channel);
                }
            }
            Self::MergeScan { after } => push_merge_scan(sql, scope, after, required_channels),
        }
    }

    /// Pushes the condition that a joined consent covers the channels of `required_channel`.
    pub(in crate::engine) fn push_covered(self, sql: &mut SqlBuilder, required_channel: RequiredChannel) {
        for (index, channel) in channels(required_channel).iter().enumerate() {
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

/// Joins the consent in force of the contact `t` on a channel; there is at most one.
fn push_join(sql: &mut SqlBuilder, scope: &Scope, channel: &Channel) {
    let alias = channel.alias;
    sql.push(" LEFT JOIN consent ").push(alias).push(" ON ").push(alias).push(".contact_id = t.id AND ");
    sql.push(alias).push(".channel = '").push(channel.name).push("' AND ");
    row_rules::push_consent_in_force(sql, scope, alias);
    sql.push(" AND (").push(alias).push(".bound_address IS NULL OR ").push(alias);
    sql.push(".bound_address = t.").push(channel.address_column).push(")");
}

/// Joins the consents in force of each contact as one row `v`: whether any is bound to no address, and the address
/// that each channel's consent is bound to.
fn push_merge_scan(
    sql: &mut SqlBuilder,
    scope: &Scope,
    after: Option<Uuid>,
    required_channels: impl Iterator<Item = RequiredChannel>,
) {
    sql.push(" JOIN (SELECT g.contact_id, bool_or(g.bound_address IS NULL) AS unbound");
    for channel in &ALL {
        sql.push(", MAX(g.bound_address) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.column);
    }
    for channel in required_channels.flat_map(channels) {
        sql.push(", bool_or(g.bound_address IS NULL) FILTER (WHERE g.channel = '").push(channel.name);
        sql.push("') AS ").push(channel.column).push("_unbound");
    }
    sql.push(" FROM consent g WHERE ");
    // On both tables, so that both scans start there.
    let push_after = |sql: &mut SqlBuilder, alias: &str| {
        if let Some(contact) = after {
            sql.push(" AND ").push(alias).push(".contact_id > ").bind(contact);
        }
    };
    row_rules::push_consent_in_force_where(sql, scope, "g", |sql| push_after(sql, "o"));
    push_after(sql, "g");
    sql.push(" GROUP BY g.contact_id ORDER BY g.contact_id OFFSET 0) v ON v.contact_id = t.id");
}

/// Pushes the condition that one of the aggregated consents holds for the contact `t`: one bound to an address
/// holds while the contact has that address.
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

/// Pushes the visibility condition of the contact `t` over its aggregated consents.
pub(in crate::engine) fn push_visible_by_merge_scan(sql: &mut SqlBuilder, scope: &Scope) {
    push_visible_by(sql, scope, "t", push_any_address_match);
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum, Iterable};

    #[test]
    fn no_channel_is_forgotten() {
        let declared: Vec<String> =
            entity::enums::Channel::iter().map(|channel| channel.to_value()).collect();
        assert_eq!(super::ALL.each_ref().map(|channel| channel.name).as_slice(), declared);
    }
}
