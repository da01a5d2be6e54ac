//! The pages: every command in them is run as a reader would run it, in the order of the page, and prints what the page says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{process::free_port, skipped};

/// A fenced block of a page.
#[derive(Debug)]
struct Block {
    /// What stands behind the fence, e.g. `sh denied`.
    info: String,
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                blocks.push(Block { info: info.to_owned(), line: index + 1, text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!open, "a fence is not closed");
    blocks
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Pages with commands: the README, CONTRIBUTING and those of `docs/`, its folders too.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// What Cargo does is run by whoever runs this test; what npm does by `clients.rs`.
const ELSEWHERE: [&str; 4] =
    ["cargo build --release", "cargo test --workspace", "npm ci --ignore-scripts", "npm test"];

/// The commands of a page as one script, which tells where the output of each block begins.
fn script(page: &[Block], port: u16, management: u16) -> String {
    let mut script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n\
         wait_for_server() {{ for _ in $(seq 200); do curl -s -o /dev/null http://127.0.0.1:{port}/ && return 0; sleep 0.1; done; return 1; }}\n\
         export ZWECK__SERVER__LISTEN=127.0.0.1:{port} ZWECK__MANAGEMENT__LISTEN=127.0.0.1:{management}\n"
    );
    for block in page.iter().filter(|block| is_shell(block)) {
        script.push_str(&format!("echo '#### {}'\n", block.line));
        for line in block.text.lines() {
            if line.starts_with("cargo ") || line.starts_with("npm ") {
                assert!(ELSEWHERE.contains(&line), "{line} is run by nobody");
                continue;
            }
            let line_here = line.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            script.push_str(&line_here.replace("127.0.0.1:9090", &format!("127.0.0.1:{management}")));
            script.push('\n');
            if line.ends_with("serve &") {
                script.push_str("wait_for_server\n");
            }
        }
    }
    script
}

fn is_shell(block: &Block) -> bool {
    block.info.split(' ').next() == Some("sh")
}

/// Whether `line` holds `wanted`, of which `…` stands for anything.
fn holds(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    wanted.trim().split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Each line of an `output` block comes in the output of the commands above it, in that order.
fn check(name: &str, page: &[Block], output: &str) {
    let mut last: Option<&Block> = None;
    for block in page {
        if is_shell(block) {
            last = Some(block);
            let printed = printed(output, block.line);
            assert_eq!(
                printed.contains("\"errors\""),
                block.info.contains("denied"),
                "{name}:{}: errors where none are expected, or none where the page says so\n{printed}",
                block.line
            );
        } else if block.info == "output" {
            let commands = last.unwrap_or_else(|| panic!("{name}:{}: output of nothing", block.line));
            let printed = printed(output, commands.line);
            let mut lines = printed.lines();
            for wanted in block.text.lines().filter(|line| !line.trim().is_empty()) {
                assert!(
                    lines.any(|line| holds(line, wanted)),
                    "{name}:{}: `{wanted}` is not printed, or not there:\n{printed}",
                    block.line
                );
            }
        }
    }
}

fn printed(output: &str, line: usize) -> &str {
    let mark = format!("#### {line}\n");
    let start = output.find(&mark).unwrap_or_else(|| panic!("block {line} was not run")) + mark.len();
    let end = output[start..].find("#### ").map_or(output.len(), |end| start + end);
    &output[start..end]
}

/// The pages change what they copy: they get files of their own.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the pages' commands run without what this shell has set")]
fn every_command_of_the_pages_runs() {
    let works = |program: &str| {
        let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    if !works("bash") || !works("curl") {
        assert!(std::env::var_os("CI").is_none(), "CI needs bash and curl");
        return skipped("the commands of the pages need bash and curl");
    }
    let zweck = Path::new(env!("CARGO_BIN_EXE_zweck")).parent().unwrap();
    let mut commands = 0;
    for path in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let page = blocks(&fs::read_to_string(&path).unwrap());
        commands += page.iter().filter(|block| is_shell(block)).count();
        let directory = tempfile::tempdir().unwrap();
        for shared in ["examples", "policies"] {
            copy(&root().join(shared), &directory.path().join(shared));
        }
        let mut command = Command::new("bash");
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZWECK")) {
            command.env_remove(variable);
        }
        let search = std::env::var("PATH").unwrap();
        let run = command
            .arg("-c")
            .arg(script(&page, free_port(), free_port()))
            .env("PATH", format!("{}:{search}", zweck.display()))
            .env("ZWECK__LOG__FILTER", "error")
            .current_dir(directory.path())
            .output()
            .unwrap();
        let (output, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{name}:\n{output}\n{errors}");
        check(name, &page, &output);
    }
    assert!(commands > 30, "only {commands} blocks of commands were found");
}

const FIELDS: (&str, &str) = ("<!-- fields: made from the registry -->\n", "<!-- end of fields -->");

/// What is stored, type by type, as the registry declares it.
fn fields() -> String {
    use std::fmt::Write;

    use zweck::registry::{FieldSource, OBJECTS};
    let mut out = String::new();
    for object in OBJECTS {
        writeln!(out, "\n### {}\n\n{}\n\n| field | category | |\n|---|---|---|", object.name, object.doc)
            .unwrap();
        for field in object.fields.iter().filter(|field| matches!(field.source, FieldSource::Column { .. })) {
            writeln!(out, "| `{}` | {} | {} |", field.name, field.category.as_str(), field.doc).unwrap();
        }
        let kept: Vec<String> =
            object.unexposed_columns.iter().map(|(column, why)| format!("`{column}` ({why})")).collect();
        if !kept.is_empty() {
            writeln!(out, "\nKept beside them and never shown: {}.", kept.join(", ")).unwrap();
        }
    }
    out.push('\n');
    out
}

/// A field that is declared is told to those who ask what is stored about a person.
#[test]
fn the_page_on_personal_data_tells_of_every_field() {
    let path = root().join("docs/personal-data.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(FIELDS.0).unwrap();
    let (told, after) = rest.split_once(FIELDS.1).unwrap();
    if std::env::var_os("ZWECK_BLESS").is_some() {
        fs::write(&path, format!("{before}{}{}{}{after}", FIELDS.0, fields(), FIELDS.1)).unwrap();
        return;
    }
    assert!(
        told == fields(),
        "docs/personal-data.md is stale; to repair: ZWECK_BLESS=1 cargo test personal_data"
    );
    // Tables that the registry does not know hold no field; the page tells of each.
    for entity in fs::read_dir(root().join("entity/src")).unwrap() {
        let path = entity.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let governed = zweck::registry::OBJECTS.iter().any(|object| object.table == name);
        assert!(
            governed || ["lib", "enums"].contains(&name.as_str()) || before.contains(&format!("`{name}`")),
            "docs/personal-data.md does not tell of the table `{name}`"
        );
    }
}
