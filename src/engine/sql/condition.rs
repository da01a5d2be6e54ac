//! Filters, orders and searches as SQL. Room: engine/sql.

use super::{builder::SqlBuilder, row_rules};
use crate::engine::{
    plan::condition::{Comparison, Filter, Flag, Operand, Operator, Search, SortKey},
    scope::Scope,
};

impl Operand {
    /// Pushes a test that a missing value fails. The plain column is tested first, which an index can serve; only
    /// for rows that pass is it checked whether a consent covers the value.
    fn push_if_covered(&self, sql: &mut SqlBuilder, scope: &Scope, test: impl Fn(&Operand, &mut SqlBuilder)) {
        let Some(required_channel) = self.required_channel.filter(|_| scope.rests_on_consent()) else {
            return test(self, sql);
        };
        sql.push("(");
        test(&Operand { required_channel: None, ..*self }, sql);
        sql.push(" AND ");
        row_rules::push_covered(sql, scope, self.rule, required_channel);
        sql.push(")");
    }

    pub(in crate::engine) fn push(&self, sql: &mut SqlBuilder, scope: &Scope) {
        match self.required_channel.filter(|_| scope.rests_on_consent()) {
            None if self.is_expiring => {
                sql.push("(");
                row_rules::push_effective_status(sql, scope, self.column);
                sql.push(")");
            }
            None => {
                sql.push("t.").push(self.column);
            }
            Some(required_channel) => {
                sql.push("CASE WHEN ");
                row_rules::push_covered(sql, scope, self.rule, required_channel);
                sql.push(" THEN t.").push(self.column).push(" END");
            }
        }
    }
}

impl Filter {
    pub(in crate::engine) fn push(&self, sql: &mut SqlBuilder, scope: &Scope) {
        match self {
            Filter::All(parts) => push_joined(sql, scope, parts, " AND ", "1 = 1"),
            Filter::Any(parts) => push_joined(sql, scope, parts, " OR ", "1 = 0"),
            // Two-valued logic: unknown is false.
            Filter::Not(part) => {
                sql.push("NOT COALESCE((");
                part.push(sql, scope);
                sql.push("), FALSE)");
            }
            Filter::Comparison(operand, test) => test.push(operand, sql, scope),
            Filter::Flag(flag) => flag.push(sql, scope),
        }
    }
}

fn push_joined(sql: &mut SqlBuilder, scope: &Scope, parts: &[Filter], separator: &str, empty: &str) {
    if parts.is_empty() {
        sql.push(empty);
        return;
    }
    for (index, part) in parts.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { separator });
        part.push(sql, scope);
    }
    sql.push(")");
}

impl Comparison {
    fn push(&self, operand: &Operand, sql: &mut SqlBuilder, scope: &Scope) {
        match self {
            // A value that no consent covers counts as missing.
            Comparison::IsNull(true) => self.push_comparison(operand, sql, scope),
            _ => operand.push_if_covered(sql, scope, |plain, sql| self.push_comparison(plain, sql, scope)),
        }
    }

    fn push_comparison(&self, operand: &Operand, sql: &mut SqlBuilder, scope: &Scope) {
        match self {
            Comparison::In(values) if values.is_empty() => {
                sql.push("1 = 0");
            }
            Comparison::In(values) => {
                operand.push(sql, scope);
                sql.push_in_values(values);
            }
            Comparison::Compare(operator, value) => {
                operand.push(sql, scope);
                sql.push(match operator {
                    Operator::Equal => " = ",
                    Operator::Less => " < ",
                    Operator::LessOrEqual => " <= ",
                    Operator::Greater => " > ",
                    Operator::GreaterOrEqual => " >= ",
                });
                sql.bind_cell(value);
            }
            // Bytewise: the range of all texts with this prefix, which an index can serve.
            Comparison::StartsWith(prefix) => {
                sql.push("(");
                operand.push(sql, scope);
                sql.push(" >= ").bind(prefix.as_str()).push(" AND ");
                operand.push(sql, scope);
                sql.push(" < ").bind(format!("{prefix}\u{10ffff}")).push(")");
            }
            Comparison::Contains(part) => push_contains(operand, part, sql, scope),
            Comparison::IsNull(yes) => {
                operand.push(sql, scope);
                sql.push(if *yes { " IS NULL" } else { " IS NOT NULL" });
            }
        }
    }
}

fn push_contains(operand: &Operand, part: &str, sql: &mut SqlBuilder, scope: &Scope) {
    let function = if scope.backend == sea_orm::DbBackend::Postgres { "strpos(" } else { "instr(" };
    sql.push(function);
    operand.push(sql, scope);
    sql.push(", ").bind(part).push(") > 0");
}

impl Search {
    pub(in crate::engine) fn push(&self, sql: &mut SqlBuilder, scope: &Scope) {
        sql.push("1 = 1");
        for forms in &self.words {
            let tests =
                self.operands.iter().flat_map(|operand| forms.iter().map(move |form| (operand, form)));
            for (index, (operand, form)) in tests.enumerate() {
                sql.push(if index == 0 { " AND (" } else { " OR " });
                operand.push_if_covered(sql, scope, |plain, sql| push_contains(plain, form, sql, scope));
            }
            sql.push(")");
        }
    }
}

impl SortKey {
    pub(in crate::engine) fn push(&self, sql: &mut SqlBuilder, scope: &Scope, reversed: bool) {
        self.operand.push(sql, scope);
        sql.push(match (self.descending != reversed, self.nullable) {
            (false, false) => " ASC",
            (true, false) => " DESC",
            // Nulls last when ascending, first when descending: one index serves both.
            (false, true) => " ASC NULLS LAST",
            (true, true) => " DESC NULLS FIRST",
        });
    }
}

impl Flag {
    /// The condition on the row `t`; it is never null.
    pub(in crate::engine) fn push(self, sql: &mut SqlBuilder, scope: &Scope) {
        match self {
            Self::Overdue => {
                sql.push("(t.closed_at IS NULL AND COALESCE(t.extended_until, t.due_at) < ").bind(scope.now);
            }
            Self::ReviewDue => {
                sql.push("(t.status = 'GRANTED' AND (t.expires_at IS NULL OR t.expires_at > ")
                    .bind(scope.now);
                sql.push(") AND t.review_due_at IS NOT NULL AND t.review_due_at <= ").bind(scope.now);
            }
        }
        sql.push(")");
    }
}
