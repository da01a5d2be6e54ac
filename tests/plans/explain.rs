//! Plans as the databases tell them, in lines that do not change with costs, values or names of parameters.

use std::{collections::BTreeMap, fmt::Write as _};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;

/// Tables that grow: none is read from one end to the other without a reason.
const GROWING: [&str; 12] = [
    "contact",
    "consent",
    "consent_event",
    "audit_entry",
    "privacy_request",
    "ground",
    "objection",
    "consent_change",
    "contact_point",
    "provenance",
    "restriction",
    "subject_key",
];

/// The plan of one statement.
pub struct Explained {
    /// Line by line, indented.
    pub text: String,
    /// Tables that grow and are read as a whole.
    pub whole: Vec<String>,
    /// Rows that were read, where the database tells.
    pub rows: f64,
}

pub async fn explain(reader: &DatabaseConnection, statement: &Statement) -> Explained {
    let backend = reader.get_database_backend();
    let prefix = match backend {
        // It is run: what is read is counted.
        DbBackend::Postgres => "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ",
        _ => "EXPLAIN QUERY PLAN ",
    };
    let asked = Statement { sql: format!("{prefix}{}", statement.sql), ..statement.clone() };
    let rows = reader.query_all_raw(asked).await.unwrap_or_else(|error| panic!("{error}: {}", statement.sql));
    let mut describe_error = Explained { text: String::new(), whole: Vec::new(), rows: 0.0 };
    if backend == DbBackend::Postgres {
        let plan: Value = rows[0].try_get_by_index(0).unwrap();
        describe_error.postgres(&plan[0]["Plan"], 1);
    } else {
        let steps: Vec<(i32, i32, String)> = rows
            .iter()
            .map(|row| {
                let at = |index| row.try_get_by_index(index).unwrap();
                (at(0), at(1), row.try_get_by_index(3).unwrap())
            })
            .collect();
        describe_error.sqlite(&steps, &aliases(&statement.sql));
    }
    describe_error
}

impl Explained {
    fn postgres(&mut self, node: &Value, depth: usize) {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let number = |key: &str| node[key].as_f64().unwrap_or_default();
        let kind = text("Node Type");
        let mut line = String::new();
        if node["Parent Relationship"] == "SubPlan" {
            line.push_str("per row: ");
        } else if node["Parent Relationship"] == "InitPlan" {
            line.push_str("once: ");
        }
        line.push_str(kind);
        if node["Join Type"].is_string() && node["Join Type"] != "Inner" {
            write!(line, " {}", text("Join Type")).unwrap();
        }
        if node["Scan Direction"] == "Backward" {
            line.push_str(" backward");
        }
        if let Some(table) = node["Relation Name"].as_str() {
            write!(line, " of {table}").unwrap();
            if GROWING.contains(&table) {
                let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
                self.rows += (number("Actual Rows") + removed) * number("Actual Loops");
                if kind == "Seq Scan" {
                    self.whole.push(table.to_owned());
                }
            }
        }
        if let Some(index) = node["Index Name"].as_str() {
            write!(line, " by {index}").unwrap();
        }
        for (key, word) in [("Index Cond", "where"), ("Hash Cond", "on"), ("Merge Cond", "on")] {
            if let Some(condition) = node[key].as_str() {
                write!(line, " {word} {}", scrubbed(condition)).unwrap();
            }
        }
        for (key, word) in [("Sort Key", "by"), ("Presorted Key", "of rows sorted by")] {
            if let Some(keys) = node[key].as_array() {
                let keys: Vec<String> =
                    keys.iter().map(|key| scrubbed(key.as_str().unwrap_or_default())).collect();
                write!(line, " {word} {}", keys.join(", ")).unwrap();
            }
        }
        // How often one is looked up again is an estimate of the planner, and not what a plan stands or falls by.
        let shown = kind != "Memoize";
        if shown {
            writeln!(self.text, "{}{line}", "  ".repeat(depth)).unwrap();
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.postgres(child, depth + usize::from(shown));
        }
    }

    fn sqlite(&mut self, steps: &[(i32, i32, String)], aliases: &BTreeMap<String, Vec<String>>) {
        let mut depths: BTreeMap<i32, usize> = BTreeMap::new();
        let mut walked: Option<(i32, String)> = None;
        for (id, parent, detail) in steps {
            let depth = depths.get(parent).map_or(1, |depth| depth + 1);
            depths.insert(*id, depth);
            let mut words: Vec<&str> = detail.split(' ').collect();
            // Parts of a statement may use a name for different tables: which one, the index tells.
            let tables = words.get(1).and_then(|alias| aliases.get(*alias));
            let table = tables.and_then(|tables| {
                let named = tables.iter().filter(|table| detail.contains(&format!("_{table}_")));
                let named = named.chain(tables.iter().filter(|table| detail.contains(table.as_str())));
                named.chain(tables).next().map(String::as_str)
            });
            if let (true, Some(table)) = (matches!(words[0], "SCAN" | "SEARCH"), table) {
                let scans = words[0] == "SCAN" && GROWING.contains(&table);
                if scans && !words.contains(&"INDEX") {
                    self.whole.push(table.to_owned());
                } else if scans {
                    walked = Some((*parent, table.to_owned()));
                }
                words[1] = table;
            }
            // What is sorted afterwards is read to the end first.
            if detail == "USE TEMP B-TREE FOR ORDER BY" {
                self.whole.extend(walked.take_if(|(within, _)| within == parent).map(|(_, table)| table));
            }
            writeln!(self.text, "{}{}", "  ".repeat(depth), words.join(" ")).unwrap();
        }
    }
}

/// Tables by the names that `sql` gives them.
fn aliases(sql: &str) -> BTreeMap<String, Vec<String>> {
    let words: Vec<&str> = sql.split([' ', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
    let named = words.windows(3).filter(|words| matches!(words[0], "FROM" | "JOIN"));
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for words in named {
        aliases.entry(words[2].to_owned()).or_default().push(words[1].to_owned());
    }
    aliases
}

/// A condition without its values.
fn scrubbed(condition: &str) -> String {
    let mut out = String::new();
    let mut chars = condition.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // Up to the quotation mark that is not doubled.
            while let Some(c) = chars.next() {
                if c == '\'' && chars.next_if_eq(&'\'').is_none() {
                    break;
                }
            }
            out.push('?');
        } else if c.is_ascii_digit() && !out.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
            while chars.next_if(char::is_ascii_digit).is_some() {}
            out.push('?');
        } else {
            out.push(c);
        }
    }
    for name in [
        "::timestamp with time zone",
        "::double precision",
        "::text[]",
        "::uuid[]",
        "::text",
        "::uuid",
        "::jsonb",
    ] {
        out = out.replace(name, "");
    }
    out
}

#[test]
fn values_are_no_part_of_a_plan() {
    let told = scrubbed("((t.email >= 'o''neill'::text) AND (t.id > '0199-1'::uuid) AND (g.rn1 <= 51))");
    assert_eq!(told, "((t.email >= ?) AND (t.id > ?) AND (g.rn1 <= ?))");
}
