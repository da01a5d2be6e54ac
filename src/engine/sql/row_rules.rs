//! Row rules: the legal basis decides. The only place that says which rows a caller may see. Room: engine/sql.
//!
//! Each legal basis has one plain semi-join shape. Every statement carries it itself; nothing of it is cached.

use sea_orm::sea_query::Expr;

use super::builder::SqlBuilder;
use crate::{
    engine::scope::Scope,
    policy::{Grounds, LegalBasis},
    registry::{ObjectType, RequiredChannel, RowRule},
};

/// The condition that the consent `g` is bound to no address, or to the present address of the contact `c`.
const BOUND: &str = "(g.bound_address IS NULL OR g.bound_address = CASE g.channel \
                     WHEN 'EMAIL' THEN {c}.email_key WHEN 'POST' THEN {c}.postal_key ELSE {c}.phone_key END)";

/// Pushes the condition on the contact `alias` that makes it visible to the caller (Art. 6(1), 7(3), 18(2), 21).
///
/// Erased contacts are never visible, restricted and retained ones only where the purpose allows it. A consent in
/// force or a recorded ground is needed as the purpose demands, and no objection may end the processing.
pub fn push_visible(sql: &mut SqlBuilder, scope: &Scope, alias: &str) {
    push_visible_by(sql, scope, alias, |sql| push_consented(sql, scope, alias, None));
}

pub(in crate::engine) fn push_visible_by(
    sql: &mut SqlBuilder,
    scope: &Scope,
    alias: &str,
    consented: impl FnOnce(&mut SqlBuilder),
) {
    let Some(purpose) = &scope.purpose else {
        sql.push("1 = 0");
        return;
    };
    sql.push(alias).push(match (purpose.allowed_restricted, purpose.allowed_retained) {
        (false, false) => ".state = 'ACTIVE'",
        (true, false) => ".state IN ('ACTIVE', 'RESTRICTED')",
        (false, true) => ".state IN ('ACTIVE', 'RETAINED')",
        (true, true) => ".state IN ('ACTIVE', 'RESTRICTED', 'RETAINED')",
    });
    push_own_subject(sql, scope, &format!("{alias}.id"));
    match purpose.grounds {
        Grounds::None => {
            sql.push(" AND 1 = 0");
        }
        Grounds::EveryContact => {}
        Grounds::Consent => {
            sql.push(" AND ");
            consented(sql);
        }
        Grounds::Recorded => {
            sql.push(" AND EXISTS (SELECT 1 FROM ground g WHERE g.contact_id = ").push(alias);
            sql.push(".id AND g.purpose_code = ").bind(purpose.code.as_str());
            sql.push(" AND g.since <= ").bind(scope.now);
            sql.push(" AND (g.until IS NULL OR g.until > ").bind(scope.now).push("))");
        }
    }
    // Art. 21(1) for public tasks and legitimate interests; blocks of addresses for all advertising that does not
    // rest on consent.
    let advertises = purpose.group.is_some() && purpose.grounds != Grounds::Consent;
    if advertises || purpose.basis.is_some_and(LegalBasis::can_be_objected_to) {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM objection o WHERE o.contact_id = ")
            .push(alias)
            .push(".id AND ");
        push_purpose_or_group(sql, scope, "o");
        sql.push(" AND (o.ended_at IS NULL OR o.ended_at > ").bind(scope.now).push(")");
        if !purpose.channels.is_empty() {
            // An entry with a channel ends that channel only. A block always names one: a person who shares the
            // address loses only what leads to that address.
            sql.push(" AND (o.channel IS NULL");
            for channel in &purpose.channels {
                sql.push(" OR o.channel = '").push(channel.as_str()).push("'");
            }
            sql.push(")");
        }
        sql.push(")");
    }
}

/// For a caller who is the data subject: only their own rows, whatever the purpose sees.
fn push_own_subject(sql: &mut SqlBuilder, scope: &Scope, column: &str) {
    match scope.subject.as_deref() {
        None => {}
        Some([subject]) => {
            sql.push(" AND ").push(column).push(" = ").bind(*subject);
        }
        Some(subjects) => {
            sql.push(" AND (1 = 0");
            for subject in subjects {
                sql.push(" OR ").push(column).push(" = ").bind(*subject);
            }
            sql.push(")");
        }
    }
}

/// Pushes the condition that the contact `alias` has a consent in force for the purpose, on any channel or on those
/// of `required_channel`.
fn push_consented(
    sql: &mut SqlBuilder,
    scope: &Scope,
    alias: &str,
    required_channel: Option<RequiredChannel>,
) {
    sql.push("EXISTS (SELECT 1 FROM consent g WHERE g.contact_id = ").push(alias).push(".id AND ");
    push_consent_in_force(sql, scope, "g");
    sql.push(" AND ").push(&BOUND.replace("{c}", alias));
    if let Some(required_channel) = required_channel {
        sql.push(channel_condition(required_channel));
    }
    sql.push(")");
}

/// Pushes the condition that the consent `g` is in force for the purpose, whatever address it is bound to.
pub(in crate::engine) fn push_consent_in_force(sql: &mut SqlBuilder, scope: &Scope, g: &str) {
    push_consent_in_force_where(sql, scope, g, |_| {});
}

/// As [`push_consent_in_force`]; `of_objections` narrows the objections `o` to a set of contacts that contains that
/// of `g`.
pub(in crate::engine) fn push_consent_in_force_where(
    sql: &mut SqlBuilder,
    scope: &Scope,
    g: &str,
    of_objections: impl FnOnce(&mut SqlBuilder),
) {
    let code = scope.purpose.as_ref().map_or("", |purpose| purpose.code.as_str());
    sql.push(g).push(".purpose_code = ").bind(code);
    sql.push(" AND ").push(g).push(".status = 'GRANTED' AND ").push(g).push(".withdrawn_at IS NULL AND (");
    sql.push(g).push(".expires_at IS NULL OR ").push(g).push(".expires_at > ").bind(scope.now).push(")");
    // An objection to direct marketing (Art. 21(2)) ends consents for good; only a later declaration counts again.
    // An objection that ended when it began never held. A block of the address has the same effect on its channel,
    // whoever declared it; an external list stops only what rests on no consent.
    sql.push(" AND NOT EXISTS (SELECT 1 FROM objection o WHERE o.contact_id = ")
        .push(g)
        .push(".contact_id AND ");
    push_purpose_or_group(sql, scope, "o");
    sql.push(" AND (o.ended_at IS NULL OR o.ended_at > o.objected_at) AND (");
    sql.push(g).push(".declared_at IS NULL OR o.objected_at >= ").push(g).push(".declared_at)");
    sql.push(" AND (o.channel IS NULL OR o.channel = ")
        .push(g)
        .push(".channel) AND o.kind <> 'EXTERNAL_LIST'");
    of_objections(sql);
    sql.push(")");
}

/// Pushes the condition that the consent `g` of the contact `c` is in force for the purpose, as every read of the
/// contact checks it.
pub(in crate::engine) fn push_effective_consent(sql: &mut SqlBuilder, scope: &Scope) {
    push_consent_in_force(sql, scope, "g");
    sql.push(" AND ").push(&BOUND.replace("{c}", "c")).push(" AND ");
    push_visible(sql, scope, "c");
}

/// The row rule of `object` as a condition on the row `t`, for statements built with sea-query.
pub fn row_condition(scope: &Scope, object: &ObjectType) -> Expr {
    let mut sql = SqlBuilder::new(scope.backend, "");
    push_row_rule(&mut sql, scope, object.rows);
    sql.into_expr()
}

/// Pushes the status in `column` of the consent `t`, which becomes EXPIRED at the instant it expires.
pub(in crate::engine) fn push_effective_status(sql: &mut SqlBuilder, scope: &Scope, column: &str) {
    sql.push("CASE WHEN t.").push(column).push(" = 'GRANTED' AND t.expires_at <= ").bind(scope.now);
    sql.push(" THEN 'EXPIRED' ELSE t.").push(column).push(" END");
}

fn channel_condition(required_channel: RequiredChannel) -> &'static str {
    match required_channel {
        RequiredChannel::Email => " AND g.channel = 'EMAIL'",
        RequiredChannel::Phone => " AND g.channel IN ('PHONE', 'SMS')",
        RequiredChannel::Post => " AND g.channel = 'POST'",
    }
}

/// Pushes the condition that the row `t` is covered for the channel: a contact by a consent in force on it, a
/// further contact point by one bound to that very address.
pub(in crate::engine) fn push_covered(
    sql: &mut SqlBuilder,
    scope: &Scope,
    rule: RowRule,
    required_channel: RequiredChannel,
) {
    if rule == RowRule::Contact {
        push_consented(sql, scope, "t", Some(required_channel));
        return;
    }
    sql.push("EXISTS (SELECT 1 FROM consent g WHERE g.contact_id = t.contact_id AND ");
    push_consent_in_force(sql, scope, "g");
    sql.push(channel_condition(required_channel)).push(" AND g.bound_address = ").push(
        match required_channel {
            RequiredChannel::Email => "t.email_key)",
            RequiredChannel::Phone => "t.phone_key)",
            RequiredChannel::Post => "t.postal_key)",
        },
    );
}

/// Whether rows with this rule are visible to everybody who sees their contact, apart from their purpose.
pub(in crate::engine) fn is_below_contact(rule: RowRule) -> bool {
    matches!(
        rule,
        RowRule::OfContact
            | RowRule::OfContactAndPurpose
            | RowRule::Objection
            | RowRule::Block
            | RowRule::Request
    )
}

/// Pushes what remains of the row rule where the same statement has found the contact visible.
pub(in crate::engine) fn push_rule_below_contact(sql: &mut SqlBuilder, scope: &Scope, rule: RowRule) {
    match rule {
        RowRule::OfContact => {
            sql.push("1 = 1");
        }
        RowRule::OfContactAndPurpose => push_own_purpose(sql, scope, "t"),
        RowRule::Objection | RowRule::Block => {
            push_stop_kind(sql, rule);
            push_own_purpose_or_group(sql, scope, "t");
        }
        RowRule::Request => push_own_purpose_or_group(sql, scope, "t"),
        _ => self::push_row_rule(sql, scope, rule),
    }
}

/// Pushes the row rule of a table on its row `t`.
pub(in crate::engine) fn push_row_rule(sql: &mut SqlBuilder, scope: &Scope, rule: RowRule) {
    match rule {
        RowRule::Everyone => {
            sql.push("1 = 1");
        }
        RowRule::Access => {
            sql.push("t.recipient_id IS NOT NULL AND t.revoked_at IS NULL AND t.expires_at > ")
                .bind(scope.now);
        }
        RowRule::Contact => push_visible(sql, scope, "t"),
        RowRule::OfContact => push_contact_visible(sql, scope, "t"),
        RowRule::OfContactAndPurpose => {
            push_own_purpose(sql, scope, "t");
            sql.push(" AND ");
            push_contact_visible(sql, scope, "t");
        }
        RowRule::Objection | RowRule::Block => {
            push_stop_kind(sql, rule);
            push_own_purpose_or_group(sql, scope, "t");
            sql.push(" AND ");
            push_contact_visible(sql, scope, "t");
        }
        RowRule::OfConsent => {
            sql.push("EXISTS (SELECT 1 FROM consent k WHERE k.id = t.consent_id AND ");
            push_own_purpose(sql, scope, "k");
            sql.push(" AND ");
            push_contact_visible(sql, scope, "k");
            sql.push(")");
        }
        RowRule::Audit => {
            push_own_purpose_or_group(sql, scope, "t");
            push_own_subject(sql, scope, "t.contact_id");
            if !sees_all(scope) {
                sql.push(" AND (t.contact_id IS NULL OR ");
                push_contact_visible(sql, scope, "t");
                sql.push(")");
            }
        }
        RowRule::Change => {
            push_own_purpose(sql, scope, "t");
            push_own_subject(sql, scope, "t.contact_id");
        }
        RowRule::Request => {
            push_own_purpose_or_group(sql, scope, "t");
            push_own_subject(sql, scope, "t.contact_id");
            // Requests outlive the contact for purposes that see all.
            if !sees_all(scope) {
                sql.push(" AND ");
                push_contact_visible(sql, scope, "t");
            }
        }
    }
}

/// Pushes the condition that keeps objections of the person, or blocks of addresses; both are in one table.
fn push_stop_kind(sql: &mut SqlBuilder, rule: RowRule) {
    let is = if rule == RowRule::Objection { "=" } else { "<>" };
    sql.push("t.kind ").push(is).push(" 'OBJECTION' AND ");
}

fn push_contact_visible(sql: &mut SqlBuilder, scope: &Scope, alias: &str) {
    sql.push("EXISTS (SELECT 1 FROM contact c WHERE c.id = ").push(alias).push(".contact_id AND ");
    push_visible(sql, scope, "c");
    sql.push(")");
}

fn sees_all(scope: &Scope) -> bool {
    scope.purpose.as_ref().is_some_and(|purpose| purpose.sees_all)
}

/// Pushes the condition on the caller's purpose alone, for tables without group purposes: a single value, so that
/// an index on the purpose returns rows in order.
fn push_own_purpose(sql: &mut SqlBuilder, scope: &Scope, alias: &str) {
    match &scope.purpose {
        Some(purpose) if purpose.sees_all => sql.push("1 = 1"),
        Some(purpose) => sql.push(alias).push(".purpose_code = ").bind(purpose.code.as_str()),
        None => sql.push("1 = 0"),
    };
}

fn push_own_purpose_or_group(sql: &mut SqlBuilder, scope: &Scope, alias: &str) {
    if sees_all(scope) {
        sql.push("1 = 1");
    } else {
        push_purpose_or_group(sql, scope, alias);
    }
}

/// Pushes the condition on the caller's purpose or its group.
fn push_purpose_or_group(sql: &mut SqlBuilder, scope: &Scope, alias: &str) {
    let Some(purpose) = &scope.purpose else {
        sql.push("1 = 0");
        return;
    };
    sql.push(alias).push(".purpose_code ");
    match &purpose.group {
        None => sql.push("= ").bind(purpose.code.as_str()),
        Some(group) => sql.push("IN (").bind(purpose.code.as_str()).push(", ").bind(group.as_str()).push(")"),
    };
}
