//! Keyset pagination: the ranges of an order after a cursor. Room: engine/sql.

use super::builder::SqlBuilder;
use crate::engine::{cell::Cell, plan::condition::SortKey, scope::Scope};

/// A range of rows after a cursor. Nulls lie before or after all other values, and no index serves a condition that
/// covers both, so each is a range of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum KeysetRange {
    /// After the cursor, among the rows whose first value is null or not null as in the cursor.
    AfterValue,
    /// Rows whose first value is null, after all others.
    Nulls,
    /// Rows whose first value is not null, after the nulls.
    NonNulls,
}

/// The ranges after `values`, in order: one, or two where nulls lie in between.
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

/// Pushes the condition of a range after `values`.
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
        // One row comparison, so that an index also skips rows with the same first value.
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

/// Whether `sort_key` can be part of one row comparison with `first`: same direction, never null.
fn has_same_direction(first: &SortKey, sort_key: &SortKey) -> bool {
    !sort_key.nullable && sort_key.is_descending(false) == first.is_descending(false)
}

/// Pushes the condition on rows after `values` in the order of `sort_keys`, or before them when `reversed`.
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
            // Nothing follows a null when ascending: nulls are last.
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
