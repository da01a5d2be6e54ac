//! Rows: the ground decides. The one place that says which rows a caller may see. Room: engine/sql.
//!
//! Each legal basis has one plain semi-join shape; every statement carries it itself, and nothing of it is cached.

use sea_orm::sea_query::Expr;

use super::builder::SqlBuilder;
use crate::{
    engine::scope::Scope,
    policy::{Grounds, LegalBasis},
    registry::{Cover, ObjectType, RowRule},
};

/// The address a consent on the channel of `g` is bound to, on the contact `c`.
const BOUND: &str = "(g.bound_address IS NULL OR g.bound_address = CASE g.channel \
                     WHEN 'EMAIL' THEN {c}.email_key WHEN 'POST' THEN {c}.postal_key ELSE {c}.phone_key END)";

/// Which contacts exist for the caller: the condition on the contact `alias` (Art. 6(1), 7(3), 18(2), 21).
///
/// Erased contacts never; restricted and retained ones where the purpose allows it; a live consent or recorded ground
/// as the purpose says; no objection where one ends the processing.
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
    // Art. 21(1) for public tasks and legitimate interests; blocks of addresses for all advertising that rests on no consent.
    let advertises = purpose.group.is_some() && purpose.grounds != Grounds::Consent;
    if advertises || purpose.basis.is_some_and(LegalBasis::can_be_objected_to) {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM objection o WHERE o.contact_id = ")
            .push(alias)
            .push(".id AND ");
        push_purpose_or_group(sql, scope, "o");
        sql.push(" AND (o.ended_at IS NULL OR o.ended_at > ").bind(scope.now).push(")");
        if !purpose.channels.is_empty() {
            // What names a channel ends that one alone. A block always names one: whoever shares an address with the person loses what
            // leads to that address, and nothing else.
            sql.push(" AND (o.channel IS NULL");
            for channel in &purpose.channels {
                sql.push(" OR o.channel = '").push(channel.as_str()).push("'");
            }
            sql.push(")");
        }
        sql.push(")");
    }
}

/// For a caller who is the person: nobody else's rows, whatever the purpose sees.
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

/// A live consent of the contact `alias` for the purpose, on any channel or on those of `cover`.
fn push_consented(sql: &mut SqlBuilder, scope: &Scope, alias: &str, cover: Option<Cover>) {
    sql.push("EXISTS (SELECT 1 FROM consent g WHERE g.contact_id = ").push(alias).push(".id AND ");
    push_consent_in_force(sql, scope, "g");
    sql.push(" AND ").push(&BOUND.replace("{c}", alias));
    if let Some(cover) = cover {
        sql.push(push_channels(cover));
    }
    sql.push(")");
}

/// The consent `g` is in force for the purpose, whatever address it is bound to.
pub(in crate::engine) fn push_consent_in_force(sql: &mut SqlBuilder, scope: &Scope, g: &str) {
    push_consent_in_force_where(sql, scope, g, |_| {});
}

/// The same, where `of_objections` narrows the objections `o` to contacts among which that of `g` is.
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
    // An objection to direct marketing (Art. 21(2)) ends its kinds on consent for good, and only what the person declares afresh
    // after it counts again. One that ended when it began never held. A block of the address does the same on its channel, whoever
    // declared it; a list of others stops what has no consent alone.
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

/// The conditions that every read of the contact `c` carries, on its consent `g` for the purpose of `scope`: it is in force.
pub(in crate::engine) fn push_effective_consent(sql: &mut SqlBuilder, scope: &Scope) {
    push_consent_in_force(sql, scope, "g");
    sql.push(" AND ").push(&BOUND.replace("{c}", "c")).push(" AND ");
    push_visible(sql, scope, "c");
}

/// The row rule of `object` as a condition on the row `t` of its table, for statements that are built elsewhere.
pub fn row_condition(scope: &Scope, object: &ObjectType) -> Expr {
    let mut sql = SqlBuilder::new(scope.backend, "");
    push_row_rule(&mut sql, scope, object.rows);
    sql.into_expr()
}

/// The status in `column` of the consent `t`, which ends at the instant it expires.
pub(in crate::engine) fn push_effective_status(sql: &mut SqlBuilder, scope: &Scope, column: &str) {
    sql.push("CASE WHEN t.").push(column).push(" = 'GRANTED' AND t.expires_at <= ").bind(scope.now);
    sql.push(" THEN 'EXPIRED' ELSE t.").push(column).push(" END");
}

fn push_channels(cover: Cover) -> &'static str {
    match cover {
        Cover::Email => " AND g.channel = 'EMAIL'",
        Cover::Phone => " AND g.channel IN ('PHONE', 'SMS')",
        Cover::Post => " AND g.channel = 'POST'",
    }
}

/// Whether the row `t` of a table is covered for the channel: a contact by a live consent on it, a further contact point
/// by one that was given for that very address.
pub(in crate::engine) fn push_covered(sql: &mut SqlBuilder, scope: &Scope, rule: RowRule, cover: Cover) {
    if rule == RowRule::Contact {
        push_consented(sql, scope, "t", Some(cover));
        return;
    }
    sql.push("EXISTS (SELECT 1 FROM consent g WHERE g.contact_id = t.contact_id AND ");
    push_consent_in_force(sql, scope, "g");
    sql.push(push_channels(cover)).push(" AND g.bound_address = ").push(match cover {
        Cover::Email => "t.email_key)",
        Cover::Phone => "t.phone_key)",
        Cover::Post => "t.postal_key)",
    });
}

/// Whether rows with this rule that hang on a contact are seen by whoever sees the contact, as far as they are of his purpose.
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

/// What is left of the condition on the row `t` of a table with this rule, where it hangs on a contact that was found visible in
/// the same statement.
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

/// The condition on the row `t` of a table with this rule.
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
            // Requests outlive the contact for those who see all of them.
            if !sees_all(scope) {
                sql.push(" AND ");
                push_contact_visible(sql, scope, "t");
            }
        }
    }
}

/// Objections of the person, or blocks of its addresses: reads look at both in one place.
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

/// Under the own purpose alone, where nothing is recorded for groups: one value, so that an index of the purpose gives the rows in
/// their order.
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

/// Under the own purpose or its group.
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
