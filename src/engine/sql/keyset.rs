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
pub(in crate::engine) fn ranges(sort_keys: &[SortKey], values: &[Cell], reversed: bool) -> Vec<KeysetRange> {
    let (Some(first), Some(value)) = (sort_keys.first(), values.first()) else { return Vec::new() };
    let mut ranges = vec![KeysetRange::AfterValue];
    match (*value == Cell::Null, first.is_descending(reversed)) {
        (false, false) if first.nullable => ranges.push(KeysetRange::Nulls),
        (true, true) => ranges.push(KeysetRange::NonNulls),
        _ => {}
    }
    ranges
}

/// The condition of a range behind `values`.
pub(in crate::engine) fn push_range(
    range: KeysetRange,
    sort_keys: &[SortKey],
    values: &[Cell],
    reversed: bool,
    sql: &mut SqlBuilder,
    scope: &Scope,
) {
    let (Some((first, rest)), Some((value, other_values))) = (sort_keys.split_first(), values.split_first())
    else {
        return;
    };
    match (range, value.to_value()) {
        (KeysetRange::Nulls, _) => {
            first.operand.push(sql, scope);
            sql.push(" IS NULL");
        }
        (KeysetRange::NonNulls, _) => {
            first.operand.push(sql, scope);
            sql.push(" IS NOT NULL");
        }
        (KeysetRange::AfterValue, None) => {
            first.operand.push(sql, scope);
            sql.push(" IS NULL AND ");
            push_after(rest, other_values, reversed, sql, scope);
        }
        // Both in one comparison, so that rows with the same first value are passed by as well.
        (KeysetRange::AfterValue, Some(_))
            if rest.iter().all(|sort_key| has_same_direction(first, sort_key)) =>
        {
            for (index, sort_key) in sort_keys.iter().enumerate() {
                sql.push(if index == 0 { "(" } else { ", " });
                sort_key.operand.push(sql, scope);
            }
            sql.push(if first.is_descending(reversed) { ") < " } else { ") > " });
            for (index, value) in values.iter().filter_map(Cell::to_value).enumerate() {
                sql.push(if index == 0 { "(" } else { ", " }).bind(value);
            }
            sql.push(")");
        }
        (KeysetRange::AfterValue, Some(value)) => {
            first.operand.push(sql, scope);
            sql.push(if first.is_descending(reversed) { " <= " } else { " >= " }).bind(value).push(" AND ");
            push_after(sort_keys, values, reversed, sql, scope);
        }
    }
}

/// Whether `sort_key` can be compared together with `first`: it goes the same way, and its values are never missing.
fn has_same_direction(first: &SortKey, sort_key: &SortKey) -> bool {
    !sort_key.nullable && sort_key.is_descending(false) == first.is_descending(false)
}

/// The rows that come after `values` in the order of `sort_keys`, or before them when `reversed`.
pub(in crate::engine) fn push_after(
    sort_keys: &[SortKey],
    values: &[Cell],
    reversed: bool,
    sql: &mut SqlBuilder,
    scope: &Scope,
) {
    for (index, (sort_key, value)) in sort_keys.iter().zip(values).enumerate() {
        sql.push(if index == 0 { "((" } else { " OR (" });
        for (equal, value) in sort_keys.iter().zip(values).take(index) {
            equal.operand.push(sql, scope);
            match value.to_value() {
                None => sql.push(" IS NULL AND "),
                Some(value) => sql.push(" = ").bind(value).push(" AND "),
            };
        }
        match (value.to_value(), sort_key.descending != reversed) {
            // Nothing follows a missing value when ascending: it is last.
            (None, false) => {
                sql.push("1 = 0");
            }
            (None, true) => {
                sort_key.operand.push(sql, scope);
                sql.push(" IS NOT NULL");
            }
            (Some(value), false) => {
                sql.push("(");
                sort_key.operand.push(sql, scope);
                sql.push(" > ").bind(value);
                if sort_key.nullable {
                    sql.push(" OR ");
                    sort_key.operand.push(sql, scope);
                    sql.push(" IS NULL");
                }
                sql.push(")");
            }
            (Some(value), true) => {
                sort_key.operand.push(sql, scope);
                sql.push(" < ").bind(value);
            }
        }
        sql.push(")");
    }
    sql.push(")");
}
