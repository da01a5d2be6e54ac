//! Clients of others: the single-page app of `docs/spa.md` is type-checked and run against the server, and its page shows
//! the code that is run.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use tokio::net::TcpListener;
use zweck::{
    demo,
    graphql::Pipeline,
    http::{self, Limits},
};

use crate::support::{
    app::{TestApp, each},
    skipped,
};

const PAGE: &str = "docs/spa.md";
const EXAMPLE: &str = "examples/spa";
const PEOPLE: usize = 150;

/// What npm says when it is the network that fails, not the package.
const UNREACHABLE: &[&str] = &[
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENETUNREACH",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
];

/// A fenced block of the page.
struct Block {
    line: usize,
    language: String,
    /// The file it shows, and the region of it.
    place: Option<String>,
    text: String,
}

/// The blocks of the page: language, and the place behind it in the line of the fence.
fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text = text.fold(String::new(), |text, line| text + line + "\n");
        let (language, place) =
            info.split_once(' ').map_or((info, None), |(first, rest)| (first, Some(rest)));
        blocks.push(Block {
            line: index + 1,
            language: language.to_owned(),
            place: place.map(str::to_owned),
            text,
        });
    }
    blocks
}

/// A file, or what stands between `#region NAME` and `#endregion` in it.
fn shown(place: &str) -> String {
    let (file, region) = place.split_once('#').map_or((place, None), |(file, region)| (file, Some(region)));
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let Some(region) = region else { return text };
    let begin = format!("// #region {region}");
    let lines = text.lines().skip_while(|line| *line != begin).skip(1);
    let lines = lines.take_while(|line| *line != "// #endregion");
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    let blocks = blocks();
    assert!(blocks.len() > 10);
    for Block { line, language, place, text } in blocks {
        let Some(place) = place else {
            assert_eq!(language, "sh", "{PAGE}:{line}: a block names the file it shows, or is run as it is");
            continue;
        };
        let file = shown(&place);
        assert!(!file.is_empty(), "{PAGE}:{line}: there is no {place}");
        assert_eq!(text, file, "{PAGE}:{line} differs from {place}; to repair: show the code as it is there");
    }
}

#[test]
fn the_packages_are_locked_and_come_from_the_public_registry() {
    let lock: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{EXAMPLE}/package-lock.json")).unwrap()).unwrap();
    for (name, package) in lock["packages"].as_object().unwrap() {
        if name.is_empty() {
            let kinds = ["dependencies", "devDependencies"].map(|kind| package[kind].as_object().unwrap());
            for (name, version) in kinds.into_iter().flatten() {
                let version = version.as_str().unwrap();
                assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}: {version}");
            }
            continue;
        }
        let resolved = package["resolved"].as_str().unwrap();
        assert!(resolved.starts_with("https://registry.npmjs.org/"), "{name}: {resolved}");
        assert!(package["integrity"].is_string(), "{name}");
        let licence = package["license"].as_str().unwrap();
        assert!(["MIT", "Apache-2.0", "ISC", "0BSD"].contains(&licence), "{name}: {licence}");
    }
}

#[tokio::test]
async fn the_app_does_what_the_page_says() {
    let Some(copy) = install() else { return };
    for test in each().await {
        let environment = serve(&test).await;
        let example = copy.path().join(EXAMPLE);
        let outputs = tokio::task::spawn_blocking(move || {
            let tests = commands().into_iter().filter(|command| !installs(command));
            tests.map(|command| run(&command, &example, &environment)).collect::<Vec<Output>>()
        });
        let outputs = outputs.await.unwrap();
        assert!(!outputs.is_empty(), "{PAGE} runs nothing");
        for output in outputs {
            assert!(output.status.success(), "{}", told(&output));
        }
    }
}

/// Serves people who do not exist on a port of its own, until the test ends; what the example reads from its environment.
async fn serve(test: &TestApp) -> Vec<(String, String)> {
    let made = demo::seed(&test.app, PEOPLE).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut environment =
        vec![("ZWECK_URL".to_owned(), format!("http://{}", listener.local_addr().unwrap()))];
    environment.extend(made.tokens.iter().map(|token| {
        (format!("ZWECK_TOKEN_{}", token.role.to_uppercase()), token.token.expose_secret().to_owned())
    }));
    let router = http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), Limits::default());
    tokio::spawn(http::serve(
        listener,
        router,
        http::Shutdown::on(std::future::pending()),
        std::time::Duration::from_secs(30),
    ));
    environment
}

/// The commands of the page, which stand in its `sh` blocks.
fn commands() -> Vec<String> {
    let blocks = blocks().into_iter().filter(|block| block.language == "sh");
    blocks.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn installs(command: &str) -> bool {
    command.starts_with("npm ci")
}

fn run(command: &str, directory: &Path, environment: &[(String, String)]) -> Output {
    Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .envs([("npm_config_audit", "false"), ("npm_config_fund", "false")])
        .envs([("npm_config_update_notifier", "false"), ("npm_config_prefer_offline", "true")])
        .envs([("npm_config_fetch_retry_mintimeout", "500"), ("npm_config_fetch_retry_maxtimeout", "2000")])
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A copy of the example with its packages; `None`, with the reason printed, where there is no npm or no network.
#[expect(clippy::disallowed_methods, reason = "CI says by an environment variable that npm must be there")]
fn install() -> Option<tempfile::TempDir> {
    let required = std::env::var("ZWECK_REQUIRE_NPM").is_ok_and(|value| value == "1");
    if Command::new("npm").arg("--version").output().is_err() {
        assert!(!required, "npm is required and not installed");
        skipped("the single-page app: no npm found");
        return None;
    }
    let copy = tempfile::tempdir().unwrap();
    let example = copy.path().join(EXAMPLE);
    fs::copy("schema.graphql", copy.path().join("schema.graphql")).unwrap();
    copy_sources(Path::new(EXAMPLE), &example);
    for command in commands().into_iter().filter(|command| installs(command)) {
        let output = run(&command, &example, &[]);
        if !output.status.success() {
            let told = told(&output);
            let unreachable = UNREACHABLE.iter().any(|code| told.contains(code));
            assert!(unreachable && !required, "{command}: {told}");
            skipped("the single-page app: its packages cannot be fetched");
            return None;
        }
    }
    assert!(example.join("node_modules").exists(), "{PAGE} does not install the packages");
    Some(copy)
}

/// Copies what is kept in the repository: neither packages nor generated files that somebody's own run left.
fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.ends_with("node_modules") || path.ends_with("generated.ts") {
            continue;
        }
        if path.is_dir() {
            copy_sources(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
