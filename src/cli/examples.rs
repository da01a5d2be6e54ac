//! Examples of every command: the one table that `--help` and the manual print, and that a test reads as a shell would.
//! Room: cli.

use clap::{Command, CommandFactory};

use super::args::Cli;

/// Command, and lines to type.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "zweck keys generate --out master.key",
            "export ZWECK__SECRETS__MASTER_KEY_FILE=$PWD/master.key",
            "zweck migrate",
            "zweck token create --name \"help desk\" --role support --purpose customer_care",
            "zweck serve",
        ],
    ),
    ("serve", &["zweck serve --migrate", "zweck serve --config zweck.toml --listen 127.0.0.1:8080"]),
    ("demo", &["zweck demo", "zweck demo --people 5000 --file demo.db --listen 127.0.0.1:8081"]),
    ("migrate", &["zweck migrate", "zweck migrate --database-url sqlite://zweck.db"]),
    ("backup", &["zweck backup zweck-2026-12-01.db"]),
    (
        "restore",
        &[
            "zweck restore zweck-2026-12-01.db --check",
            "zweck restore zweck-2026-12-01.db --database-url sqlite://restored.db",
        ],
    ),
    (
        "schema",
        &[
            "zweck schema > schema.graphql",
            "zweck schema --check schema.graphql",
            "zweck schema --role marketing --purpose newsletter > marketing.graphql",
        ],
    ),
    (
        "token create",
        &[
            "zweck token create --name \"help desk\" --role support --purpose customer_care",
            "zweck token create --name \"mailing house\" --role partner --purpose newsletter --field Contact.email > partner.token",
        ],
    ),
    ("token list", &["zweck token list --state valid", "zweck token list --format json"]),
    ("token rotate", &["zweck token rotate \"mailing house\" --overlap 7d > partner.token"]),
    ("token actor", &["printf %s \"$SUBJECT\" | zweck token actor staff"]),
    (
        "token revoke",
        &["zweck token revoke \"mailing house\"", "zweck token revoke 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f"],
    ),
    (
        "import contacts",
        &[
            "zweck import contacts people.csv --source fair --purpose customer_care --ground contract --external-id Id --map \
             givenName=First --map email=Mail --dry-run",
            "zweck import contacts people.csv --source fair --purpose customer_care --ground contract --external-id Id --map \
             email=Mail --update fill --dry-run",
            "zweck import contacts export.csv --preset hubspot --source hubspot --purpose customer_care --ground contract",
        ],
    ),
    ("import list", &["zweck import list --limit 5"]),
    (
        "import undo",
        &[
            "zweck import undo 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f --dry-run",
            "zweck import undo 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f",
        ],
    ),
    (
        "import consents",
        &[
            "zweck import consents consents.csv --source \"old tool\" --dry-run",
            "zweck import consents consents.csv --source \"old tool\" --map declaredAt=OptInDate --report report.json",
        ],
    ),
    (
        "import objections",
        &[
            "zweck import objections unsubscribed.csv --kind objection --preset mailchimp --source mailchimp",
            "zweck import objections robinson.csv --kind external_list --channel post --source \"Robinson list\"",
        ],
    ),
    (
        "export contacts",
        &[
            "zweck export contacts --token-file officer.token --output everybody.csv",
            "ZWECK__SECRETS__TOKEN=$TOKEN zweck export contacts --format vcard > everybody.vcf",
        ],
    ),
    (
        "export stops",
        &[
            "zweck export stops --recipient \"Mailing house\" --output stops.csv",
            "zweck export stops --recipient \"Mailing house\" --acknowledge 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f",
        ],
    ),
    (
        "contacts duplicates",
        &["zweck contacts duplicates --token-file officer.token --purpose rights_fulfilment --format jsonl"],
    ),
    ("policy check", &["zweck policy check --policy-dir policies"]),
    (
        "policy test",
        &[
            "zweck policy test --junit cases.xml --force",
            "zweck policy test --coverage --denied --role support --type Contact --format json",
        ],
    ),
    (
        "policy explain",
        &[
            "zweck policy explain Contact.notes --role support --purpose customer_care",
            "zweck policy explain Mutation.updateContact --role support --purpose customer_care --action execute",
        ],
    ),
    (
        "policy matrix",
        &[
            "zweck policy matrix --role support",
            "zweck policy matrix --format html > matrix.html",
            "zweck policy matrix --check reviewed.csv",
        ],
    ),
    ("policy diff", &["zweck policy diff policies next", "zweck policy diff policies next --format json"]),
    ("policy who-can", &["zweck policy who-can Contact.email --purpose newsletter"]),
    ("keys generate", &["zweck keys generate --out master.key"]),
    ("keys status", &["zweck keys status", "zweck keys status --format json"]),
    ("keys rotate", &["zweck keys rotate"]),
    ("keys remake", &["zweck keys remake --accept-loss"]),
    ("consents rebuild", &["zweck consents rebuild --check"]),
    ("consents verify-receipt", &["zweck consents verify-receipt receipt.jsonld --keys keys.json"]),
    (
        "consents receipt",
        &[
            "zweck consents receipt 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f --token-file officer.token --out receipt.jsonld",
            "zweck consents receipt 01961f6e-8b7a-7c3d-9e2f-5a4b3c2d1e0f --format html --language de > record.html",
        ],
    ),
    ("suppressions status", &["zweck suppressions status", "zweck suppressions status --format json"]),
    ("suppressions review", &["zweck suppressions review", "zweck suppressions review --end old_newsletter"]),
    ("config default", &["zweck config default > zweck.toml"]),
    ("config print", &["zweck config print --config zweck.toml", "zweck config print --format json"]),
    ("config check", &["zweck config check --config zweck.toml", "zweck config check --online"]),
    ("healthcheck", &["zweck healthcheck --config zweck.toml"]),
    ("completions", &["zweck completions bash > zweck.bash"]),
    ("man", &["zweck man --out man"]),
    #[cfg(feature = "bench")]
    ("bench", &["zweck bench --smoke", "zweck bench --connections 1,16 --json bench.json"]),
    #[cfg(not(feature = "bench"))]
    ("bench", &["zweck bench --smoke"]),
    #[cfg(feature = "bench")]
    (
        "bench growth",
        &["zweck bench growth --smoke", "zweck bench growth --contacts 100000 --json growth.json"],
    ),
];

/// Notes after the examples of some commands.
const NOTES: &[(&str, &str)] = &[
    (
        "",
        "`zweck COMMAND --help` describes each command. Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 the policy is \
         invalid, 4 a decision that must hold does not.",
    ),
    ("token create", "`zweck policy matrix` tells which roles may do what for which purposes."),
];

/// The command line with its examples.
pub(crate) fn command() -> Command {
    with_examples(Cli::command(), "")
}

fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command.mut_subcommand(name, |inner| with_examples(inner, &path))
    });
    let lines = examples_of(path);
    if lines.is_empty() {
        return command;
    }
    let note = NOTES.iter().find(|(known, _)| *known == path);
    let note = note.map(|(_, note)| format!("\n\n{note}")).unwrap_or_default();
    command.after_help(format!("Examples:\n  {}{note}", lines.join("\n  ")))
}

/// The lines of a command; of a group of commands the first of each.
fn examples_of(path: &str) -> Vec<&'static str> {
    if let Some((_, lines)) = EXAMPLES.iter().find(|(command, _)| *command == path) {
        return lines.to_vec();
    }
    let group = format!("{path} ");
    let within = EXAMPLES.iter().filter(|(command, _)| command.starts_with(&group));
    within.filter_map(|(_, lines)| lines.first().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a line as a shell parts them, up to what it is piped or written to.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => break,
                ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
                c => word.push(c),
            }
        }
        words.extend((!word.is_empty()).then_some(word));
        words
    }

    /// The commands of the program, with the words that lead to them.
    fn all(command: &Command, path: &str, out: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let path = format!("{path} {}", inner.get_name()).trim().to_owned();
            out.push((path.clone(), inner.clone()));
            all(inner, &path, out);
        }
    }

    fn commands() -> Vec<(String, Command)> {
        let mut all_commands = Vec::new();
        all(&command(), "", &mut all_commands);
        all_commands
    }

    #[test]
    fn every_command_has_an_example_that_it_takes() {
        let commands = commands();
        assert!(commands.len() > 35, "{}", commands.len());
        for (path, inner) in &commands {
            let shown = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(shown.starts_with("Examples:\n  "), "`{path}` has no example: src/cli/examples.rs");
        }
        for (path, lines) in EXAMPLES {
            assert!(
                path.is_empty() || commands.iter().any(|(known, _)| known == path),
                "no command `{path}`"
            );
            for line in *lines {
                let words: Vec<String> = words(line.rsplit(" | ").next().unwrap());
                let at = words.iter().position(|word| word == "zweck");
                let Some(at) = at else {
                    assert!(line.starts_with("export "), "{line}");
                    continue;
                };
                let parsed = command().try_get_matches_from(&words[at..]);
                let matches = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
                // It is an example of this command and of no other.
                let mut led = Vec::new();
                let mut inner = matches.subcommand();
                while let Some((name, matches)) = inner {
                    led.push(name);
                    inner = matches.subcommand();
                }
                assert!(path.is_empty() || led.join(" ") == *path, "{path}: {line}");
            }
        }
    }

    /// What each command prints: who adds one says whether it is a list, and a list can be had for programs.
    #[test]
    fn every_list_can_be_had_for_programs() {
        const LISTS: &[&str] = &[
            "config print",
            "contacts duplicates",
            "export contacts",
            "export stops",
            "import list",
            "keys status",
            "policy diff",
            "policy explain",
            "policy matrix",
            "policy test",
            "policy who-can",
            "suppressions status",
            "token list",
        ];
        // They print a sentence, one value, a document with a form of its own, or what is wrong.
        const OTHERS: &[&str] = &[
            "backup",
            "bench",
            "bench growth",
            "completions",
            "config check",
            "config default",
            "consents rebuild",
            "consents receipt",
            "consents verify-receipt",
            "demo",
            "healthcheck",
            "import consents",
            "import contacts",
            "import objections",
            "import undo",
            "keys generate",
            "keys remake",
            "keys rotate",
            "man",
            "migrate",
            "policy check",
            "restore",
            "schema",
            "serve",
            "suppressions review",
            "token actor",
            "token create",
            "token revoke",
            "token rotate",
        ];
        for (path, inner) in commands() {
            if inner.has_subcommands() && path != "bench" {
                continue;
            }
            let formats = inner.get_arguments().find(|argument| argument.get_id() == "format");
            let formats: Vec<String> = formats
                .map(|argument| argument.get_possible_values())
                .unwrap_or_default()
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect();
            let for_programs = formats.iter().any(|name| ["json", "jsonl", "csv"].contains(&name.as_str()));
            match (LISTS.contains(&path.as_str()), OTHERS.contains(&path.as_str())) {
                (true, false) => {
                    assert!(for_programs, "`{path}` prints a list and has no --format: {formats:?}")
                }
                (false, true) => {}
                _ => panic!("say here whether `{path}` prints a list"),
            }
        }
    }

    /// Who writes a file does not write over another unasked.
    #[test]
    fn what_writes_a_file_asks_before_it_writes_over_one() {
        // These never do.
        let never = ["keys generate"];
        for (path, inner) in commands() {
            let names: Vec<&str> = inner.get_arguments().map(|argument| argument.get_id().as_str()).collect();
            let writes = ["output", "out", "report", "junit", "json"].iter().any(|name| names.contains(name));
            assert!(
                !writes || names.contains(&"force") || never.contains(&path.as_str()),
                "`{path}` writes a file and has no --force"
            );
        }
    }
}
