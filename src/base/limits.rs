//! Limits on requests: what a document may ask for, how long it may take, how much is done at once. Room: base.
//!
//! Limits hold in the order in which work would grow: connections (`http/serve.rs`: a place for each, a time for the
//! head and for being idle), the credential and what it may still spend (`http/rate_limit.rs`, per process), the body, a
//! place among the operations under way (`http/concurrency.rs`; taken again after the body was read, so that slow
//! clients keep nobody waiting), length, tokens and brackets of the document before the parser goes down the stack
//! for them (`engine/document/lexer_limits.rs`), what it spreads to, what its pages add up to, its cost, its time.
//! Reads end by the clock of the engine and by that of the database (`statement_timeout`; SQLite's progress handler);
//! writers have no such limit. A mutation runs on when nobody waits for it any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[limits]`. Everything about a document is checked before anything of it is executed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body in bytes; of a GET, the address.
    pub body_bytes: usize,
    /// Longest document in bytes.
    pub document_bytes: u64,
    /// Tokens of a document.
    pub tokens: u64,
    /// Fields after all fragments are spread.
    pub fields: u64,
    /// Nested fields.
    pub depth: u64,
    /// Aliases after all fragments are spread.
    pub aliases: u64,
    /// Fields of the root.
    pub root_fields: u64,
    /// Directives after all fragments are spread.
    pub directives: u64,
    /// Fragments that are defined.
    pub fragments: u64,
    /// Variables that an operation declares.
    pub variables: u64,
    /// Bytes of arguments, after variables are put in wherever they are used.
    pub argument_bytes: u64,
    /// Rows that pages may add up to: `first`, multiplied where lists are nested.
    pub rows: u64,
    /// Values that may be asked for: the fields of every row.
    pub values: u64,
    /// Seconds an operation may take.
    pub operation_seconds: u64,
    /// What the operations of one credential may cost in a minute; 0 for no limit.
    pub cost_per_minute: u64,
    /// Operations under way at the same time.
    pub operations: u64,
    /// Connections that are open at the same time.
    pub connections: u64,
    /// Seconds a client may take for the head of a request, and a connection may be idle.
    pub head_seconds: u64,
    /// Seconds a client may take for the body of a request.
    pub body_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            document_bytes: 1024 * 1024,
            tokens: 50_000,
            fields: 2_000,
            depth: 12,
            aliases: 200,
            root_fields: 30,
            directives: 100,
            fragments: 100,
            variables: 100,
            argument_bytes: 4 * 1024 * 1024,
            rows: 100_000,
            values: 1_000_000,
            operation_seconds: 30,
            cost_per_minute: 60_000,
            operations: 128,
            connections: 8_192,
            head_seconds: 10,
            body_seconds: 30,
        }
    }
}

impl Limits {
    /// What would be no limit, or would let nothing through: texts for the operator that name the key and its range.
    pub fn check(&self) -> Vec<String> {
        const MEGA: u64 = 1024 * 1024;
        let mut faults = Vec::new();
        for (key, value, least, most) in [
            ("body_bytes", self.body_bytes as u64, 1024, 64 * MEGA),
            ("document_bytes", self.document_bytes, 1024, 64 * MEGA),
            ("tokens", self.tokens, 100, 10_000_000),
            ("fields", self.fields, 10, 1_000_000),
            ("depth", self.depth, 3, 60),
            ("aliases", self.aliases, 0, 1_000_000),
            ("root_fields", self.root_fields, 1, 10_000),
            ("directives", self.directives, 0, 10_000),
            ("fragments", self.fragments, 0, 10_000),
            ("variables", self.variables, 0, 10_000),
            ("argument_bytes", self.argument_bytes, 1024, 256 * MEGA),
            ("rows", self.rows, 1_000, 10_000_000),
            ("values", self.values, 1_000, 1_000_000_000),
            ("operation_seconds", self.operation_seconds, 1, 3_600),
            ("cost_per_minute", self.cost_per_minute, 0, 1_000_000_000),
            ("operations", self.operations, 1, 100_000),
            ("connections", self.connections, 1, 1_000_000),
            ("head_seconds", self.head_seconds, 1, 600),
            ("body_seconds", self.body_seconds, 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                faults.push(format!("`limits.{key}` must be between {least} and {most}"));
            }
        }
        faults
    }

    /// How long an operation may take.
    pub fn operation_time(&self) -> Duration {
        Duration::from_secs(self.operation_seconds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn defaults() -> Map<String, Value> {
        let Value::Object(defaults) = serde_json::to_value(Limits::default()).unwrap() else { panic!() };
        defaults
    }

    #[test]
    fn every_limit_has_a_range_that_holds_its_default() {
        assert!(Limits::default().check().is_empty());
        for key in defaults().keys() {
            let mut bent = defaults();
            bent.insert(key.clone(), Value::from(u64::MAX));
            let limits: Limits = serde_json::from_value(Value::Object(bent)).unwrap();
            assert!(limits.check().concat().contains(&format!("`limits.{key}`")));
        }
    }

    #[test]
    fn the_reference_lists_every_limit_and_its_default() {
        let page = include_str!("../../docs/reference/limits.md");
        for (key, value) in defaults() {
            let begins = format!("| `limits.{key}` | {value} |");
            assert!(
                page.contains(&begins),
                "docs/reference/limits.md needs a row that begins with: {begins}"
            );
        }
    }
}
