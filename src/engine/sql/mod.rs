//! SQL statements: row rules, consent coverage, conditions, keysets, and the rows of a fetch. Room: engine/sql.

pub(in crate::engine) mod builder;
pub(in crate::engine) mod condition;
pub(in crate::engine) mod consent_coverage;
pub(in crate::engine) mod keyset;
pub(in crate::engine) mod row_rules;
pub(in crate::engine) mod statement;
