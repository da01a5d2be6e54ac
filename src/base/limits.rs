//! Limits on requests: document size, run time and concurrency. Room: base.
//!
//! The limits apply in the order in which work grows: connections (`http/serve.rs`: a permit each, a timeout for the
//! request head and for being idle), the credential and its remaining cost budget (`http/rate_limit.rs`, per
//! process), the body, a permit for a concurrent operation (`http/concurrency.rs`; acquired again after the body is
//! read, so that slow clients block nobody), the length, tokens and brackets of the document before the parser
//! recurses into them (`engine/document/lexer_limits.rs`), its expanded size, its page sizes, its cost and its run
//! time. Reads are ended by the engine's deadline and by the database (`statement_timeout`; SQLite's progress
//! handler). Writes have no such limit: a mutation runs to completion even if nobody waits for it any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[limits]`. Everything about a document is checked before any of it is executed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body in bytes; for a GET request, the URL.
    pub body_bytes: usize,
    /// Longest document in bytes.
    pub document_bytes: u64,
    /// Maximum number of tokens in a document.
    pub tokens: u64,
    /// Maximum number of fields after expanding all fragments.
    pub fields: u64,
    /// Maximum nesting of fields.
    pub depth: u64,
    /// Maximum number of aliases after expanding all fragments.
    pub aliases: u64,
    /// Maximum number of root fields.
    pub root_fields: u64,
    /// Maximum number of directives after expanding all fragments.
    pub directives: u64,
    /// Maximum number of fragment definitions.
    pub fragments: u64,
    /// Maximum number of variables that an operation declares.
    pub variables: u64,
    /// Maximum bytes of arguments after substituting variables wherever they are used.
    pub argument_bytes: u64,
    /// Maximum number of rows: the product of `first` over nested lists, summed over pages.
    pub rows: u64,
    /// Maximum number of values: the fields of every row.
    pub values: u64,
    /// Maximum seconds for an operation.
    pub operation_seconds: u64,
    /// Maximum cost per credential and minute; 0 for no limit.
    pub cost_per_minute: u64,
    /// Maximum number of concurrent operations.
    pub concurrent_operations: u64,
    /// Maximum number of open connections.
    pub connections: u64,
    /// Maximum seconds for the head of a request and for an idle connection.
    pub header_seconds: u64,
    /// Maximum seconds for the body of a request.
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
            concurrent_operations: 128,
            connections: 8_192,
            header_seconds: 10,
            body_seconds: 30,
        }
    }
}

impl Limits {
    /// Reports values that would set no limit or let nothing through; each text names the key and its range.
    pub fn check(&self) -> Vec<String> {
        const MIB: u64 = 1024 * 1024;
        let mut faults = Vec::new();
        for (key, value, least, most) in [
            ("body_bytes", self.body_bytes as u64, 1024, 64 * MIB),
            ("document_bytes", self.document_bytes, 1024, 64 * MIB),
            ("tokens", self.tokens, 100, 10_000_000),
            ("fields", self.fields, 10, 1_000_000),
            ("depth", self.depth, 3, 60),
            ("aliases", self.aliases, 0, 1_000_000),
            ("root_fields", self.root_fields, 1, 10_000),
            ("directives", self.directives, 0, 10_000),
            ("fragments", self.fragments, 0, 10_000),
            ("variables", self.variables, 0, 10_000),
            ("argument_bytes", self.argument_bytes, 1024, 256 * MIB),
            ("rows", self.rows, 1_000, 10_000_000),
            ("values", self.values, 1_000, 1_000_000_000),
            ("operation_seconds", self.operation_seconds, 1, 3_600),
            ("cost_per_minute", self.cost_per_minute, 0, 1_000_000_000),
            ("concurrent_operations", self.concurrent_operations, 1, 100_000),
            ("connections", self.connections, 1, 1_000_000),
            ("header_seconds", self.header_seconds, 1, 600),
            ("body_seconds", self.body_seconds, 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                faults.push(format!("`limits.{key}` must be between {least} and {most}"));
            }
        }
        faults
    }

    /// The time limit of an operation.
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
