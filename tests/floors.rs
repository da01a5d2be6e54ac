//! The structure holds by test: a room imports only those before it, and Casbin has one user.

use std::{fs, path::Path};

use crate::arrows::Sources;

/// The rooms, as ARCHITECTURE.md says: a room imports those before it.
const ROOMS: [&str; 18] = [
    "base", "config", "policy", "registry", "db", "crypto", "auth", "app", "engine", "audit", "domain",
    "graphql", "jobs", "http", "exchange", "demo", "bench", "cli",
];

/// What a room leaves alone though it comes before: work in the background is never needed for an answer.
const FORBIDDEN: [(&str, &str); 1] = [("http", "jobs")];

/// Parts of the engine, and which of them each imports beside what lies in no folder.
const ENGINE: [(&str, &[&str]); 5] = [
    ("document", &[]),
    ("plan", &["document"]),
    ("planner", &["document", "plan"]),
    ("sql", &["plan"]),
    ("executor", &["plan", "sql"]),
];

/// Parts of the domain: each imports those before it.
const DOMAIN: [&str; 15] = [
    "access_tokens",
    "purposes",
    "recipients",
    "contacts",
    "grounds",
    "suppressions",
    "stops",
    "objections",
    "requests",
    "consents",
    "receipts",
    "merge",
    "operations",
    "mail_outbox",
    "signups",
];

fn sources(directory: &Path, out: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let name = path.strip_prefix(root).unwrap().display().to_string();
            out.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

pub fn all() -> Vec<(String, String)> {
    let mut out = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

/// The room that a file belongs to. The binary and its commands are one.
fn room(file: &str) -> &str {
    match file.split(['/', '.']).next().unwrap() {
        // The library's root names every room, as the binary does.
        "main" | "lib" => "cli",
        room => room,
    }
}

/// The part of a room that a file belongs to, if it lies in one.
fn part(file: &str) -> Option<&str> {
    let mut names = file.split(['/', '.']).skip(1);
    names.next().filter(|name| !["mod", "rs"].contains(name))
}

/// What is wrong with an import.
fn violation(file: &str, other: &str) -> Option<String> {
    let place = |file: &str| {
        let found = ROOMS.iter().position(|known| *known == room(file));
        found.unwrap_or_else(|| panic!("{file} lies in no room"))
    };
    let (from, to) = (room(file), room(other));
    if place(other) > place(file) || FORBIDDEN.contains(&(from, to)) {
        return Some(format!("{file} imports {other}, which its room may not"));
    }
    if from != to {
        return None;
    }
    let (Some(own), Some(theirs)) = (part(file), part(other)) else { return None };
    let allowed = match from {
        _ if own == theirs => true,
        "engine" => {
            let is_leaf = |name: &str| ENGINE.iter().all(|(part, _)| *part != name);
            let uses = ENGINE.iter().find(|(part, _)| *part == own).map(|(_, uses)| *uses);
            is_leaf(theirs) || uses.is_some_and(|uses| uses.contains(&theirs))
        }
        "domain" => {
            let place = |name: &str| {
                let found = DOMAIN.iter().position(|known| *known == name);
                found.unwrap_or_else(|| panic!("domain/{name} has no place in the order"))
            };
            place(theirs) <= place(own)
        }
        _ => true,
    };
    (!allowed).then(|| format!("{file} imports {other}, which its part of {from} may not"))
}

/// All imports that are against the order.
fn violations(sources: &Sources) -> Vec<String> {
    let arrows = sources.arrows();
    let pairs = arrows.iter().flat_map(|(file, others)| others.iter().map(move |other| (file, other)));
    pairs.filter_map(|(file, other)| violation(file, other)).collect()
}

#[test]
fn a_room_imports_only_those_before_it() {
    let violations = violations(&Sources::of(&all()));
    assert!(violations.is_empty(), "{violations:#?}");
}

/// The check finds one import against the order wherever it stands: in each room one of the next room, in each part of the engine and the
/// domain one of a part that it may not use.
#[test]
fn one_import_against_the_order_is_found_in_every_room_and_part() {
    let files = all();
    let mut sources = Sources::of(&files);
    let mut wrong = |from: &str, to: &str| {
        let (file, text) = files.iter().find(|(file, _)| file.starts_with(from)).unwrap();
        sources.put(file, &format!("{text}\nuse crate::{to}::anything;\n"));
        let found = violations(&sources);
        assert_eq!(found.len(), 1, "{file} may import {to}: {found:?}");
        sources.put(file, text);
    };
    for pair in ROOMS.windows(2) {
        // The binary is a crate of its own, and nothing can import it.
        if pair[1] != "cli" {
            wrong(pair[0], pair[1]);
        }
    }
    for (room, other) in FORBIDDEN {
        wrong(room, other);
    }
    for (part, uses) in ENGINE {
        for (other, _) in ENGINE.iter().filter(|(other, _)| *other != part && !uses.contains(other)) {
            wrong(&format!("engine/{part}/"), &format!("engine::{other}"));
        }
    }
    for pair in DOMAIN.windows(2) {
        wrong(&format!("domain/{}", pair[0]), &format!("domain::{}", pair[1]));
    }
}

/// A plan is data: nothing of a document but places in it, no text of statements.
#[test]
fn a_plan_is_data_alone() {
    for (file, text) in all().iter().filter(|(file, _)| file.starts_with("engine/plan/")) {
        let graphql = text.replace("async_graphql::Pos;", "");
        assert!(!graphql.contains("async_graphql"), "{file} knows documents");
        assert!(
            !["Sql", "SELECT", "sea_orm"].iter().any(|word| text.contains(word)),
            "{file} knows statements"
        );
    }
}

/// The rooms that are pure know no database; what a declaration or a decision is can be read without one.
#[test]
fn pure_rooms_know_no_database() {
    for (file, text) in all() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        if ["config", "policy", "registry"].contains(&room(&file)) {
            assert!(
                !code.contains("sqlx::") && !code.contains("DatabaseConnection"),
                "{file} knows a database"
            );
        }
        assert!(
            !code.contains("migration::") || ["db", "http", "cli", "bench", "demo"].contains(&room(&file)),
            "{file} runs migrations"
        );
    }
}

/// `src` shows rooms, the two roots of the crates, and nothing else.
#[test]
fn the_source_shows_rooms_and_nothing_else() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known =
            ROOMS.contains(&name.trim_end_matches(".rs")) || ["lib.rs", "main.rs"].contains(&name.as_str());
        assert!(known, "src/{name} is no room");
    }
}

#[test]
fn casbin_has_one_user_and_sql_its_places() {
    for (file, text) in all() {
        assert!(!text.contains("casbin::") || file == "policy/compile.rs", "{file} uses casbin");
        let sql = text.contains("query_all_raw") || text.contains("query_one_raw");
        assert!(
            // Locks of the database, and one statement over whoever has an address, stand beside the reads.
            !sql || [
                "engine/executor/traversal.rs",
                "engine/executor/lookup.rs",
                "audit/locks.rs",
                "db/mod.rs",
                "domain/suppressions/statements.rs",
                "domain/recipients/uses.rs"
            ]
            .contains(&file.as_str()),
            "{file} runs SQL of its own"
        );
        // In builds that measure, the baselines have SQL of their own.
        assert!(
            !text.contains("sqlx::query")
                || ["db/server_checks.rs", "engine/executor/fetch.rs", "db/connection_cache.rs"]
                    .contains(&file.as_str())
                || file.starts_with("bench/"),
            "{file} runs SQL past SeaORM"
        );
        assert!(
            !text.contains("kept.fetch(")
                || ["engine/executor/fetch.rs", "domain/access_tokens/mod.rs"].contains(&file.as_str()),
            "{file} runs SQL of its own"
        );
        let doc: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let directory =
            file.rsplit_once('/').map_or(file.trim_end_matches(".rs"), |(directory, _)| directory);
        let says = doc.iter().any(|line| line.ends_with(&format!("Room: {directory}.")));
        let is_root = ["lib.rs", "main.rs"].contains(&file.as_str());
        assert!(
            !doc.is_empty() && (says || is_root),
            "{file} does not say its job and its room, {directory}"
        );
    }
}

/// Everything that is written goes through the door of `audit`, which alone begins transactions on the writers' pool; one more of it
/// moves changes of consents from their queue, which were recorded when they were queued. Beside it stand the migrations, the last use of a token, the uses of purposes by recipients, the rows of servers that run, and the end of outcomes that were kept for retries, which no entry
/// is to tell of; and, in builds that measure, the baseline that withdraws by hand and what settles its database.
#[test]
fn the_writers_pool_has_one_door() {
    let mut doors = Vec::new();
    for (file, text) in all() {
        if text.contains(".writer") && file != "db/mod.rs" {
            doors.push(file);
        }
    }
    doors.sort();
    let measuring = ["bench/run.rs", "bench/baselines/handwritten.rs"];
    let doors: Vec<&String> = doors.iter().filter(|door| !measuring.contains(&door.as_str())).collect();
    assert_eq!(
        doors,
        [
            "audit/idempotency.rs",
            "audit/mod.rs",
            "cli/mod.rs",
            "domain/access_tokens/mod.rs",
            "domain/recipients/uses.rs",
            "jobs/servers.rs"
        ]
    );
    let lib = all().into_iter().find(|(file, _)| file == "lib.rs").unwrap().1;
    assert!(lib.contains("#[cfg(feature = \"bench\")]\npub mod bench;"), "what measures is in every build");
    let text = |name: &str| all().into_iter().find(|(file, _)| file == name).unwrap().1;
    let uses = |name: &str| text(name).matches(".writer").count();
    assert_eq!((uses("audit/mod.rs"), uses("cli/mod.rs"), uses("domain/access_tokens/mod.rs")), (1, 1, 1));
    assert!(text("cli/mod.rs").contains("Migrator::get_pending_migrations(&db.writer)"));
    assert!(text("domain/access_tokens/mod.rs").contains("record_use(app.db.writer.clone()"));
    assert!(text("audit/idempotency.rs").contains("delete_expired(&app.db.writer, app.now())"));
    assert_eq!(uses("audit/idempotency.rs"), 1);
    assert!(text("audit/numbering.rs").contains("super::open(app, "));
    assert!(text("audit/deferred_entries.rs").contains("open(app, "));
    assert!(text("domain/recipients/uses.rs").contains("app.db.writer.query_one_raw("));
    assert_eq!(uses("domain/recipients/uses.rs"), 1);
}

/// Which consents begin or end is found out from what is written through `audit/row_batch.rs`: contacts, consents and objections are
/// written in no other way.
#[test]
fn what_consents_hang_on_is_written_through_the_rows_of_the_door_alone() {
    const WRITES: [&str; 8] =
        ["insert", "insert_many", "update", "update_many", "delete", "delete_many", "delete_by_id", "save"];
    let followed = ["contact", "consent", "objection"];
    let mut seen = 0;
    for (file, text) in all() {
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        for write in WRITES {
            for (at, _) in text.match_indices(&format!("Entity::{write}(")) {
                seen += 1;
                let before = text[..at].strip_suffix("::").unwrap_or_default();
                let module = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                assert!(!followed.contains(&module), "{file} writes `{module}` past the door");
                if module.is_empty() {
                    // An `Entity` that was imported by its bare name.
                    let imported = followed.iter().find(|name| {
                        text.match_indices(&format!("{name}::")).any(|(at, _)| {
                            let rest = &text[at + name.len() + 2..];
                            let preceded = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                            let list = rest.split(['}', ';']).next().unwrap();
                            !preceded
                                && (rest.starts_with("Entity")
                                    || (rest.starts_with('{') && list.contains("Entity")))
                        })
                    });
                    assert_eq!(imported, None, "{file} may write it past the door");
                }
            }
            let generic = ["E", "Self", "T"].iter().any(|ty| text.contains(&format!(" {ty}::{write}(")));
            assert!(
                !generic || file == "audit/row_batch.rs" || file == "audit/consent_changes.rs",
                "{file} writes rows of any kind past the door"
            );
        }
        // Rows as active models know ways of their own.
        for name in followed {
            assert!(!text.contains(&format!("{name}::ActiveModel")), "{file} writes `{name}` past the door");
        }
        let unprepared = text.contains("execute_unprepared") || text.contains("execute_raw");
        assert!(!unprepared || file == "db/mod.rs", "{file} runs statements of its own");
    }
    assert!(seen > 5, "only {seen} writes were seen");
}

#[test]
fn files_stay_small() {
    for (file, text) in all() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines =
            code.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count();
        assert!(lines <= 400, "{file} has {lines} lines of code");
    }
}

/// What ARCHITECTURE.md names is there: every path between back quotes, of a file or a folder.
#[test]
fn the_paths_of_the_architecture_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 150, "it is to be read at once");
    let is_path =
        |word: &&str| word.contains('/') && !word.starts_with('/') && !word.contains([' ', '(', '*', '<']);
    let paths: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    for path in &paths {
        let path = path.trim_end_matches('/');
        assert!(
            ["", "src"].iter().any(|folder| root.join(folder).join(path).exists()),
            "ARCHITECTURE.md names {path}, which is not there"
        );
    }
    assert!(paths.len() > 40, "only {} paths were seen", paths.len());
}
