//! Ranges of an order behind a cursor. Room: engine/sql.

use super::builder::SqlBuilder;
use crate::engine::{cell::Cell, plan::condition::SortKey, scope::Scope};

/// Where the rows behind a cursor lie. Values that are missing stand apart from the others, before or behind all of them; a
/// condition that says one or the other is none that an index can serve, so that each is a range of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum KeysetRange {
    /// Behind the cursor, of the rows that have the first value as the cursor does: missing, or not.
    AfterValue,
    /// The rows whose first value is missing, after all others.
    Nulls,
    /// The rows whose first value is there, after those that miss it.
    NonNulls,
}

/// The ranges behind `values`, in their order: one, or two where missing values come in between.
pub(in crate::engine) fn ranges(steps: &[SortKey], values: &[Cell], flipped: bool) -> Vec<KeysetRange> {
    let (Some(first), Some(value)) = (steps.first(), values.first()) else { return Vec::new() };
    let mut ranges = vec![KeysetRange::AfterValue];
    match (*value == Cell::Null, first.falls(flipped)) {
        (false, false) if first.nullable => ranges.push(KeysetRange::Nulls),
        (true, true) => ranges.push(KeysetRange::NonNulls),
        _ => {}
    }
    ranges
}

/// The condition of a range behind `values`.
pub(in crate::engine) fn within(
    range: KeysetRange,
    steps: &[SortKey],
    values: &[Cell],
    flipped: bool,
    sql: &mut SqlBuilder,
    scope: &Scope,
) {
    let (Some((first, rest)), Some((value, others))) = (steps.split_first(), values.split_first()) else {
        return;
    };
    match (range, value.bound()) {
        (KeysetRange::Nulls, _) => {
            first.term.push(sql, scope);
            sql.push(" IS NULL");
        }
        (KeysetRange::NonNulls, _) => {
            first.term.push(sql, scope);
            sql.push(" IS NOT NULL");
        }
        (KeysetRange::AfterValue, None) => {
            first.term.push(sql, scope);
            sql.push(" IS NULL AND ");
            beyond(rest, others, flipped, sql, scope);
        }
        // Both in one comparison, so that rows with the same first value are passed by as well.
        (KeysetRange::AfterValue, Some(_)) if rest.iter().all(|step| is_alike(first, step)) => {
            for (index, step) in steps.iter().enumerate() {
                sql.push(if index == 0 { "(" } else { ", " });
                step.term.push(sql, scope);
            }
            sql.push(if first.falls(flipped) { ") < " } else { ") > " });
            for (index, value) in values.iter().filter_map(Cell::bound).enumerate() {
                sql.push(if index == 0 { "(" } else { ", " }).bind(value);
            }
            sql.push(")");
        }
        (KeysetRange::AfterValue, Some(value)) => {
            first.term.push(sql, scope);
            sql.push(if first.falls(flipped) { " <= " } else { " >= " }).bind(value).push(" AND ");
            beyond(steps, values, flipped, sql, scope);
        }
    }
}

/// Whether `step` can be compared together with `first`: it goes the same way, and its values are never missing.
fn is_alike(first: &SortKey, step: &SortKey) -> bool {
    !step.nullable && step.falls(false) == first.falls(false)
}

/// The rows that come after `values` in the order of `steps`, or before them when `flipped`.
pub(in crate::engine) fn beyond(
    steps: &[SortKey],
    values: &[Cell],
    flipped: bool,
    sql: &mut SqlBuilder,
    scope: &Scope,
) {
    for (index, (step, value)) in steps.iter().zip(values).enumerate() {
        sql.push(if index == 0 { "((" } else { " OR (" });
        for (equal, value) in steps.iter().zip(values).take(index) {
            equal.term.push(sql, scope);
            match value.bound() {
                None => sql.push(" IS NULL AND "),
                Some(value) => sql.push(" = ").bind(value).push(" AND "),
            };
        }
        match (value.bound(), step.descending != flipped) {
            // Nothing follows a missing value when ascending: it is last.
            (None, false) => {
                sql.push("1 = 0");
            }
            (None, true) => {
                step.term.push(sql, scope);
                sql.push(" IS NOT NULL");
            }
            (Some(value), false) => {
                sql.push("(");
                step.term.push(sql, scope);
                sql.push(" > ").bind(value);
                if step.nullable {
                    sql.push(" OR ");
                    step.term.push(sql, scope);
                    sql.push(" IS NULL");
                }
                sql.push(")");
            }
            (Some(value), true) => {
                step.term.push(sql, scope);
                sql.push(" < ").bind(value);
            }
        }
        sql.push(")");
    }
    sql.push(")");
}
