//! The page of the command line is made from the help of every command.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use super::{between, compare};
use crate::support::process::{text, zweck};

/// The help of a command, taken apart.
#[derive(Default)]
struct Help {
    about: String,
    usage: Vec<String>,
    commands: Vec<(String, String)>,
    arguments: Vec<(String, String)>,
    options: Vec<(String, String)>,
    globals: Vec<(String, String)>,
    examples: Vec<String>,
    notes: String,
}

impl Help {
    /// What `zweck COMMAND --help` prints.
    fn of(command: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = zweck(directory.path(), &[]).args(command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        let printed = text(&output.stdout);
        let mut help = Self::default();
        let mut section = "";
        for line in printed.lines() {
            let (indent, words) = (line.len() - line.trim_start().len(), line.trim());
            if let Some(usage) = line.strip_prefix("Usage: ") {
                section = "usage";
                help.usage.push(usage.to_owned());
                continue;
            }
            if indent == 0 && line.ends_with(':') {
                section = match line {
                    "Commands:" => "commands",
                    "Arguments:" => "arguments",
                    "Options:" => "options",
                    "Global options:" => "globals",
                    "Examples:" => "examples",
                    _ => panic!("{command:?}: a section `{line}` of the help that this test does not know"),
                };
                continue;
            }
            if indent == 0 && !line.is_empty() && section == "examples" {
                section = "notes";
            }
            let list = match section {
                "" => {
                    help.about = format!("{} {words}", help.about).trim().to_owned();
                    continue;
                }
                "notes" => {
                    help.notes = format!("{} {words}", help.notes).trim().to_owned();
                    continue;
                }
                "usage" => {
                    help.usage.extend((!words.is_empty()).then(|| words.to_owned()));
                    continue;
                }
                "examples" => {
                    help.examples.extend((!words.is_empty()).then(|| words.to_owned()));
                    continue;
                }
                "commands" => &mut help.commands,
                "arguments" => &mut help.arguments,
                "options" => &mut help.options,
                _ => &mut help.globals,
            };
            // A name, and behind two blanks or below it what it means.
            let begins = indent <= 6
                && !words.is_empty()
                && (section == "commands" || words.starts_with(['-', '<', '[']));
            if begins && !(indent > 2 && words.starts_with("- ")) {
                let (name, meaning) = words.split_once("  ").unwrap_or((words, ""));
                list.push((name.to_owned(), meaning.trim().to_owned()));
            } else if let Some((_, meaning)) = list.last_mut() {
                let words = match words.strip_prefix("- ") {
                    Some(value) => {
                        let (value, what) = value.split_once(':').unwrap_or((value, ""));
                        format!("<br>`{value}`: {}", what.trim())
                    }
                    None if words == "Possible values:" => String::new(),
                    None => words.to_owned(),
                };
                *meaning = format!("{meaning} {words}").trim().to_owned();
            }
        }
        let own = |(name, _): &(String, String)| !["-h, --help", "-V, --version"].contains(&name.as_str());
        help.options.retain(own);
        help.commands.retain(|(name, _)| name != "help");
        assert!(!help.about.is_empty() && !help.usage.is_empty(), "{command:?}: {printed}");
        help
    }
}

fn table(out: &mut String, heads: [&str; 2], rows: &[(String, String)]) {
    if !rows.is_empty() {
        writeln!(out, "\n| {} | {} |\n|---|---|", heads[0], heads[1]).unwrap();
        for (name, meaning) in rows {
            let [name, meaning] = [name, meaning].map(|cell| cell.replace('|', "\\|"));
            writeln!(out, "| `{name}` | {meaning} |").unwrap();
        }
    }
}

/// A section for `command` and for each command below it.
fn section(out: &mut String, command: &[String]) {
    let help = Help::of(command);
    if !command.is_empty() {
        writeln!(out, "\n## `zweck {}`\n\n{}.", command.join(" "), help.about).unwrap();
    }
    if help.commands.is_empty() {
        writeln!(out, "\n```text\n{}\n```", help.usage.join("\n")).unwrap();
        table(out, ["argument", "meaning"], &help.arguments);
        table(out, ["option", "meaning"], &help.options);
    }
    if command.is_empty() {
        table(out, ["option of every command", "meaning"], &help.globals);
    }
    if !help.examples.is_empty() {
        writeln!(out, "\n```text\n{}\n```", help.examples.join("\n")).unwrap();
    }
    if !help.notes.is_empty() {
        writeln!(out, "\n{}", help.notes).unwrap();
    }
    table(out, ["command", "meaning"], &help.commands);
    // The commands for measuring are in builds with that feature alone; docs/performance.md has them.
    for (name, _) in help.commands.iter().filter(|(name, _)| name != "bench") {
        let mut below = command.to_vec();
        below.push(name.clone());
        section(out, &below);
    }
}

/// What `zweck bench` says depends on the features of the build.
fn without_bench(page: &str) -> String {
    page.lines()
        .filter(|line| !line.starts_with("| `bench` |"))
        .fold(String::new(), |page, line| page + line + "\n")
}

#[test]
fn every_command_and_flag_is_listed() {
    let mut wanted = String::new();
    section(&mut wanted, &[]);
    wanted.push('\n');
    compare("cli.md", &without_bench(&wanted));
    // The manual has a page for each command: none was missed.
    let directory = tempfile::tempdir().unwrap();
    let written = zweck(directory.path(), &[]).args(["man", "--out", "man"]).output().unwrap();
    assert!(written.status.success(), "{}", text(&written.stderr));
    let listed: BTreeSet<String> =
        between(&wanted, "\n## `", '`').map(|command| command.replace(' ', "-")).collect();
    for entry in fs::read_dir(directory.path().join("man")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let command = name.trim_end_matches(".1");
        let elsewhere = command == "zweck" || command.contains("-help") || command.contains("-bench");
        assert!(elsewhere || listed.contains(command), "docs/reference/cli.md lacks `{command}`");
    }
    assert!(listed.len() > 30);
}
