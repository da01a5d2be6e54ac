//! The structure holds by test: a lower floor never imports a higher one, and Casbin has one user.

use std::{collections::BTreeMap, fs, path::Path};

use crate::arrows::arrows;

/// Floors of the modules of the server crate, as ARCHITECTURE.md says.
const FLOORS: &[(&str, u8)] = &[
    ("config", 1),
    ("declarations", 1),
    ("durable", 1),
    ("error", 1),
    ("fold", 1),
    ("recent", 1),
    ("formulas", 1),
    ("identities", 1),
    ("kept", 1),
    ("limits", 1),
    ("locales", 1),
    ("measures", 1),
    ("names", 1),
    ("policy", 1),
    ("register", 1),
    ("context", 2),
    ("db", 2),
    ("feed", 2),
    ("engine", 2),
    ("links", 2),
    ("oidc", 2),
    ("sealing", 2),
    ("audit", 3),
    ("tokens", 3),
    ("consents", 4),
    ("contacts", 4),
    ("grounds", 4),
    ("imports", 4),
    ("mails", 4),
    ("merging", 4),
    ("objections", 4),
    ("purposes", 4),
    ("receipts", 4),
    ("recipients", 4),
    ("requests", 4),
    ("servers", 4),
    ("signups", 4),
    ("stops", 4),
    ("suppressions", 4),
    ("graphql", 5),
    ("bench", 6),
    ("demo", 6),
    ("duplicates", 6),
    ("exports", 6),
    ("http", 6),
    ("jobs", 6),
    ("mailer", 6),
    ("pages", 6),
    ("watch", 6),
    ("commands", 7),
    ("main", 7),
    ("lib", 7),
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

/// The module of the crate that a file belongs to.
fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

#[test]
fn a_lower_floor_never_imports_a_higher_one() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let floor = |file: &str| *floors.get(room(file)).unwrap_or_else(|| panic!("{file} stands on no floor"));
    for (file, others) in arrows() {
        for other in others {
            assert!(
                floor(&other) <= floor(&file),
                "{file} (floor {}) imports {other} (floor {})",
                floor(&file),
                floor(&other)
            );
        }
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
                "engine/executor/level.rs",
                "engine/executor/lookup.rs",
                "audit/locks.rs",
                "db.rs",
                "suppressions/statements.rs",
                "recipients/uses.rs"
            ]
            .contains(&file.as_str()),
            "{file} runs SQL of its own"
        );
        // In builds that measure, the yardsticks have SQL of their own.
        assert!(
            !text.contains("sqlx::query")
                || ["db/asked.rs", "engine/executor/fetch.rs", "kept.rs"].contains(&file.as_str())
                || file.starts_with("bench/"),
            "{file} runs SQL past SeaORM"
        );
        assert!(
            !text.contains("kept.fetch(")
                || ["engine/executor/fetch.rs", "tokens/mod.rs"].contains(&file.as_str()),
            "{file} runs SQL of its own"
        );
        let first = text.lines().next().unwrap();
        let says = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .any(|line| line.contains("floor") || line.contains("Room: "));
        assert!(
            first.starts_with("//! ") && (says || file == "lib.rs"),
            "{file} does not say its job and floor"
        );
    }
}

/// Everything that is written goes through the door of `audit`, which alone begins transactions on the writers' pool; one more of it
/// moves changes of consents from their queue, which were recorded when they were queued. Beside it stand the migrations, the last use of a token, the uses of purposes by recipients, the rows of servers that run, and the end of outcomes that were kept for retries, which no entry
/// is to tell of; and, in builds that measure, the yardstick that withdraws by hand and what settles its database.
#[test]
fn the_writers_pool_has_one_door() {
    let mut doors = Vec::new();
    for (file, text) in all() {
        if text.contains(".writer") && file != "db.rs" {
            doors.push(file);
        }
    }
    doors.sort();
    let measuring = ["bench/run.rs", "bench/yardsticks/hand.rs"];
    let doors: Vec<&String> = doors.iter().filter(|door| !measuring.contains(&door.as_str())).collect();
    assert_eq!(
        doors,
        [
            "audit/mod.rs",
            "audit/replays.rs",
            "commands/mod.rs",
            "recipients/uses.rs",
            "servers.rs",
            "tokens/mod.rs"
        ]
    );
    let lib = all().into_iter().find(|(file, _)| file == "lib.rs").unwrap().1;
    assert!(lib.contains("#[cfg(feature = \"bench\")]\npub mod bench;"), "what measures is in every build");
    let text = |name: &str| all().into_iter().find(|(file, _)| file == name).unwrap().1;
    let uses = |name: &str| text(name).matches(".writer").count();
    assert_eq!((uses("audit/mod.rs"), uses("commands/mod.rs"), uses("tokens/mod.rs")), (1, 1, 1));
    assert!(text("commands/mod.rs").contains("Migrator::get_pending_migrations(&db.writer)"));
    assert!(text("tokens/mod.rs").contains("note_use(app.db.writer.clone()"));
    assert!(text("audit/replays.rs").contains("forget(&app.db.writer, app.now())"));
    assert_eq!(uses("audit/replays.rs"), 1);
    assert!(text("audit/numbering.rs").contains("super::open(app, "));
    assert!(text("audit/owing.rs").contains("open(app, "));
    assert!(text("recipients/uses.rs").contains("app.db.writer.query_one_raw("));
    assert_eq!(uses("recipients/uses.rs"), 1);
}

/// Which consents begin or end is found out from what is written through `audit/rows.rs`: contacts, consents and objections are
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
                !generic || file == "audit/rows.rs" || file == "audit/following.rs",
                "{file} writes rows of any kind past the door"
            );
        }
        // Rows as active models know ways of their own.
        for name in followed {
            assert!(!text.contains(&format!("{name}::ActiveModel")), "{file} writes `{name}` past the door");
        }
        let unprepared = text.contains("execute_unprepared") || text.contains("execute_raw");
        assert!(!unprepared || file == "db.rs", "{file} runs statements of its own");
    }
    assert!(seen > 5, "only {seen} writes were seen");
}

/// On floor 4 sideways only downwards in this order: a feature may use those before it.
#[test]
fn features_use_each_other_one_way() {
    let order = [
        "purposes",
        "recipients",
        "contacts",
        "grounds",
        "suppressions",
        "stops",
        "objections",
        "requests",
        "consents",
        "merging",
        "mails",
        "signups",
        "imports",
    ];
    let place = |name: &str| order.iter().position(|known| *known == name);
    for (file, others) in arrows() {
        let Some(own) = place(room(&file)) else { continue };
        for other in others {
            assert!(place(room(&other)).is_none_or(|place| place <= own), "{file} imports {other}");
        }
    }
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
