//! The pages of `docs/reference/` agree with the program: settings, commands, limits, error codes, paths, close codes.

mod commands;
mod links;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use zweck::{
    base::{error::Code, limits::Limits},
    config::{Config, DEFAULTS, Server, oidc::Issuer},
    domain::receipts,
    http::{SocketLimits, status_of, with_security_headers},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs/reference").join(name)).unwrap()
}

/// The rows of the tables of a page, cell by cell, without heads.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_rule = |line: &str| line.starts_with("|-");
    let rows = lines.iter().enumerate().filter(|(index, line)| {
        let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
        line.starts_with('|') && !is_rule(line) && !is_head
    });
    rows.map(|(_, line)| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
        inner.split('|').map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect()
    })
    .collect()
}

/// The part of a page that is generated.
const GENERATED: (&str, &str) = ("<!-- generated -->\n", "<!-- end -->");

/// Compares what stands between the marks of the page with `wanted`; under ZWECK_BLESS writes it.
fn compare(name: &str, wanted: &str) {
    let path = root().join("docs/reference").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(GENERATED.0).unwrap();
    let (generated, after) = rest.split_once(GENERATED.1).unwrap();
    if std::env::var_os("ZWECK_BLESS").is_some() {
        fs::write(&path, format!("{before}{}{wanted}{}{after}", GENERATED.0, GENERATED.1)).unwrap();
        return;
    }
    let differs = generated.lines().zip(wanted.lines()).find(|(page, program)| page != program);
    assert!(
        generated == wanted,
        "docs/reference/{name} is stale, first at {differs:?}; to repair: ZWECK_BLESS=1 cargo test --test it -- reference_pages"
    );
}

/// The settings of the commented file of defaults: section by section, keys that share a comment in one row.
fn settings() -> String {
    let mut out = String::new();
    let (mut section, mut keys, mut meaning) = (String::new(), Vec::new(), Vec::new());
    let mut finish = |section: &str, keys: &mut Vec<(String, String)>, meaning: &mut Vec<String>| {
        let meaning = std::mem::take(meaning).join(" ").replace('|', "\\|");
        let keys = std::mem::take(keys);
        if !keys.is_empty() {
            let names: Vec<String> = keys.iter().map(|(key, _)| format!("`{section}.{key}`")).collect();
            let defaults: Vec<&str> = keys.iter().map(|(_, value)| value.as_str()).collect();
            writeln!(out, "| {} | {} | {meaning} |", names.join("<br>"), defaults.join("<br>")).unwrap();
        }
    };
    let mut sections = Vec::new();
    for line in DEFAULTS.lines().chain([""]) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            sections.push(section.clone());
            finish("", &mut Vec::new(), &mut meaning);
        } else if let Some(comment) = line.strip_prefix("# ") {
            meaning.push(comment.to_owned());
        } else if let Some((key, example)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            keys.push((key.to_owned(), format!("none; e.g. `{example}`")));
        } else if let Some((key, value)) = line.split_once(" = ") {
            keys.push((key.to_owned(), format!("`{value}`")));
        } else {
            finish(&section, &mut keys, &mut meaning);
        }
    }
    // A table of its own for each section.
    let mut split = String::new();
    for section in sections {
        writeln!(split, "\n## `[{section}]`\n\n| key | default | meaning |\n|---|---|---|").unwrap();
        let begins = format!("| `{section}.");
        for row in out.lines().filter(|row| row.starts_with(&begins)) {
            writeln!(split, "{row}").unwrap();
        }
    }
    split + "\n"
}

#[test]
fn every_setting_has_its_default() {
    compare("configuration.md", &settings());
    let page = page("configuration.md");
    let Value::Object(keys) = Config::default().to_json() else { panic!() };
    for key in keys.keys() {
        assert!(page.contains(&format!("`{key}`")), "docs/reference/configuration.md lacks `{key}`");
    }
    let least = json!({ "issuer": "-", "audience": "-", "roles_claim": "-", "roles": {}, "purposes": {} });
    let issuer: Issuer = serde_json::from_value(least).unwrap();
    let Value::Object(issuer) = serde_json::to_value(issuer).unwrap() else { panic!() };
    let rows = rows(&page);
    for (key, default) in issuer {
        let row = rows.iter().find(|row| row[0] == format!("`oidc.NAME.{key}`"));
        let row = row.unwrap_or_else(|| panic!("docs/reference/configuration.md lacks `oidc.NAME.{key}`"));
        let wanted = match (key.as_str(), default) {
            ("issuer" | "audience" | "roles_claim" | "roles" | "purposes", _) => "required".to_owned(),
            ("subject_claim", default) => format!("`\"{}\"`", default[0].as_str().unwrap()),
            (_, Value::Null) => "none".to_owned(),
            (_, Value::Array(list)) => format!("`{}`", Value::Array(list).to_string().replace(',', ", ")),
            (_, default) => format!("`{default}`"),
        };
        assert_eq!(row[1], wanted, "{key}");
    }
}

#[test]
fn every_limit_has_its_default_and_range() {
    let rows = rows(&page("limits.md"));
    let find = |label: &str| {
        let row = rows.iter().find(|row| row[0] == label);
        row.unwrap_or_else(|| panic!("docs/reference/limits.md lacks a row `{label}`"))
    };
    let Value::Object(defaults) = serde_json::to_value(Limits::default()).unwrap() else { panic!() };
    for (key, default) in &defaults {
        let row = find(&format!("`limits.{key}`"));
        assert_eq!(row[1], default.to_string(), "{key}");
        // What is refused names the range.
        let mut bent = defaults.clone();
        bent.insert(key.clone(), Value::from(u64::MAX));
        let limits: Limits = serde_json::from_value(Value::Object(bent)).unwrap();
        let range = row[2].split_once('-').unwrap();
        let expected = format!("`limits.{key}` must be between {} and {}", range.0, range.1);
        assert_eq!(limits.check(), [expected], "{key}");
    }
    let sockets = SocketLimits::default();
    for (label, value) in [
        ("size of a message, in bytes", sockets.message_bytes as u64),
        ("messages in 15 seconds", u64::from(sockets.messages)),
        ("seconds until `connection_init`", sockets.init_timeout.as_secs()),
        ("subscriptions of a connection", sockets.subscriptions as u64),
        ("connections of a credential", sockets.connections as u64),
        ("connections of the server", sockets.total as u64),
        ("seconds without a subscription", sockets.idle_timeout.as_secs()),
        ("seconds to accept a message", sockets.send_timeout.as_secs()),
        ("seconds that changes wait while the database is unavailable", sockets.max_retry_time.as_secs()),
    ] {
        assert_eq!(find(label)[1], value.to_string(), "{label}");
    }
    assert_eq!(sockets.heartbeat.as_secs(), 15);
    for (label, file, constant) in [
        ("size of a request head, in bytes", "http/serve.rs", "MAX_HEADER_BYTES"),
        ("streams of an HTTP/2 connection", "http/serve.rs", "MAX_STREAMS"),
        ("nesting of brackets in a document", "engine/document/lexer_limits.rs", "MAX_BRACKET_DEPTH"),
        ("length of a name in a document, in bytes", "engine/document/lexer_limits.rs", "MAX_NAME_BYTES"),
        ("default page size (`first`)", "engine/planner/selection.rs", "DEFAULT_PAGE_ROWS"),
        ("largest page size (`first`, `last`)", "engine/planner/selection.rs", "MAX_PAGE_ROWS"),
        ("rows in the payload of a mutation", "engine/planner/mutation.rs", "MAX_PAYLOAD_ROWS"),
        ("conditions in a filter", "engine/planner/filter.rs", "MAX_COMPARISONS"),
        ("nesting of a filter", "engine/planner/filter.rs", "MAX_DEPTH"),
        ("values of an `in`", "engine/planner/filter.rs", "MAX_IN_VALUES"),
        ("sort keys", "engine/planner/filter.rs", "MAX_SORT_KEYS"),
        ("words of a search", "engine/planner/filter.rs", "MAX_SEARCH_WORDS"),
        ("bytes in the ID of a subscription", "http/socket/messages.rs", "MAX_ID_BYTES"),
    ] {
        assert_eq!(find(label)[1], constant_of(file, constant).to_string(), "{label}");
    }
}

/// The value of a constant of the source, which is a number or a product of numbers.
fn constant_of(file: &str, name: &str) -> u64 {
    let source = fs::read_to_string(root().join("src").join(file)).unwrap();
    let begins = format!("const {name}: ");
    let line = source.lines().find(|line| line.trim_start_matches("pub(super) ").starts_with(&begins));
    let line = line.unwrap_or_else(|| panic!("src/{file} has no constant {name}; name it anew in this test"));
    let value = line.split_once(" = ").unwrap().1.trim_end_matches(';').replace('_', "");
    value.split('*').map(|factor| factor.trim().parse::<u64>().unwrap()).product()
}

#[test]
fn every_error_code_has_its_status() {
    let page = page("errors.md");
    let codes = page.split("| code | HTTP status | meaning |").nth(1).unwrap();
    let codes = codes.split("\n\n").next().unwrap();
    let listed: Vec<(String, String)> = rows(&format!("| code | HTTP status | meaning |{codes}"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let mut expected: Vec<(String, String)> =
        Code::ALL.map(|code| (code.as_str().to_owned(), status_of(code).as_u16().to_string())).to_vec();
    let mut sorted = listed.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected, "docs/reference/errors.md");
}

/// The files of a folder of the source, those of folders in it too.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("src").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // Without its tests.
                let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
                files.push((path, text));
            }
        }
    }
    files
}

/// What stands behind each `begin`, up to `end`.
fn between<'t>(text: &'t str, begin: &'t str, end: char) -> impl Iterator<Item = &'t str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split(end).next())
}

#[test]
fn every_close_code_is_listed() {
    let mut used = BTreeSet::new();
    for (_, text) in sources("http/socket") {
        let codes = between(&text, "Close::new(", ',').chain(between(&text, "Self::new(", ','));
        used.extend(codes.filter_map(|code| code.trim().parse::<u16>().ok()));
    }
    let page = page("websocket.md");
    let table = page.split("## Close codes").nth(1).unwrap();
    let listed: BTreeSet<u16> = rows(table).iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(listed, used, "docs/reference/websocket.md lists other close codes than src/http/socket");
    assert!(used.len() > 9);
}

#[test]
fn every_path_and_status_is_listed() {
    let page = page("http.md");
    let mut paths: BTreeSet<String> = BTreeSet::from([receipts::KEYS_PATH.to_owned()]);
    let mut statuses = BTreeSet::new();
    for (path, text) in sources("http") {
        paths.extend(between(&text, ".route(\"", '"').map(|path| path.to_owned()));
        // Pages have answers of their own.
        if !path.components().any(|part| part.as_os_str() == "pages") {
            let names = between(&text, "StatusCode::", ' ');
            statuses.extend(names.map(|rest| {
                rest.chars()
                    .take_while(|letter| letter.is_ascii_uppercase() || *letter == '_')
                    .collect::<String>()
            }));
        }
    }
    for path in paths {
        let base = path.split("{").next().unwrap();
        let base = if base == "/" { base } else { base.trim_end_matches('/') };
        assert!(page.contains(&format!("| `{base}")), "docs/reference/http.md lacks `{path}`");
    }
    let numbers: BTreeMap<String, u16> = (100..600)
        .filter_map(|number| {
            let name = StatusCode::from_u16(number).unwrap().canonical_reason()?;
            Some((name.to_uppercase().replace([' ', '-'], "_"), number))
        })
        .collect();
    let table = page.split("## Status codes").nth(1).unwrap();
    let listed: BTreeSet<u16> = rows(table).iter().map(|row| row[0].parse().unwrap()).collect();
    let used: BTreeSet<u16> = statuses.iter().filter_map(|name| numbers.get(name)).copied().collect();
    assert!(used.is_subset(&listed), "docs/reference/http.md lacks {:?}", used.difference(&listed));
    let of_codes: BTreeSet<u16> = Code::ALL.into_iter().map(|code| status_of(code).as_u16()).collect();
    assert!(of_codes.is_subset(&listed), "docs/reference/http.md lacks {:?}", of_codes.difference(&listed));
}

/// What a page of another origin may do is what the page says.
#[tokio::test]
async fn cors_is_as_described() {
    let server = Server { cors_origins: vec!["https://app.example".to_owned()], ..Server::default() };
    let router = with_security_headers(Router::new().route("/", axum::routing::get(async || "")), &server);
    let request = |method: Method| {
        let request = Request::builder().method(method).uri("/").header("origin", "https://app.example");
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization").body(Body::empty()).unwrap()
    };
    let preflight = router.clone().oneshot(request(Method::OPTIONS)).await.unwrap();
    let answer = router.oneshot(request(Method::GET)).await.unwrap();
    let list = |response: &axum::response::Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let rows = rows(&page("http.md"));
    for (label, response, header, quote) in [
        ("methods", &preflight, "access-control-allow-methods", ""),
        ("request headers", &preflight, "access-control-allow-headers", "`"),
        ("readable response headers", &answer, "access-control-expose-headers", "`"),
    ] {
        let row = rows.iter().find(|row| row[0] == label).unwrap();
        let sent = list(response, header).unwrap();
        let wanted: Vec<String> =
            sent.split(',').map(|name| format!("{quote}{}{quote}", name.trim())).collect();
        assert_eq!(row[1], wanted.join(", "), "docs/reference/http.md: {label}");
    }
    let row = rows.iter().find(|row| row[0] == "preflight").unwrap();
    let age = list(&preflight, "access-control-max-age").unwrap();
    assert_eq!(row[1], format!("cached for {age} seconds"));
    assert_eq!(list(&answer, "access-control-allow-credentials"), None);
}
