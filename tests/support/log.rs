//! Reads along with everything that the whole test run logs, at the most talkative level: no line may tell a value of a person, a
//! token or a key. One that does ends the run.

use std::{
    io::{self, Write},
    process::abort,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use regex::Regex;
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, format::FmtSpan},
};

use super::world;

static LINES: AtomicUsize = AtomicUsize::new(0);
static TALK: AtomicUsize = AtomicUsize::new(0);

/// Begins to read along; once in a process. Every test that opens a database comes by here.
pub fn watch() {
    static WATCH: OnceLock<()> = OnceLock::new();
    WATCH.get_or_init(|| {
        // Also what crates tell by `log`.
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("debug,zweck=trace,sqlx=trace,sea_orm=trace"))
            // Spans tell their fields also where nothing happens within.
            .with_span_events(FmtSpan::NEW)
            .with_writer(Along)
            .with_ansi(false)
            .init();
    });
}

/// How many lines were read until now, and how many of them stood below the level of production.
pub fn lines() -> (usize, usize) {
    (LINES.load(Ordering::SeqCst), TALK.load(Ordering::SeqCst))
}

struct Along;

impl<'a> MakeWriter<'a> for Along {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Along {
    /// A line comes in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        LINES.fetch_add(1, Ordering::SeqCst);
        if text.contains(" DEBUG ") || text.contains(" TRACE ") {
            TALK.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(what) = leak(&text) {
            let told = format!("a line of the log tells {what}:\n{text}\n");
            io::stderr().write_all(told.as_bytes())?;
            abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Words that tests put into databases and that nothing else has a reason to say: a time or an id has other digits, and fewer.
const SEEDED: [&str; 14] = [
    "Köhler",
    "Öztürk",
    "Zimmer",
    "Nolde",
    "likes tea",
    "1984-02-29",
    "Seedling",
    "Saatgut",
    "Stuttgart",
    "anna@",
    "2312577",
    "2312588",
    "2312599",
    "Großler",
];

/// What a text tells that it must not: a word of the seeds, or anything that looks like an address, a phone number, a token or a
/// key, whoever made it up.
pub fn leak(text: &str) -> Option<String> {
    static SAID: OnceLock<Regex> = OnceLock::new();
    let said = SAID.get_or_init(|| {
        let persons = world::persons();
        let values = persons.iter().flat_map(|person| [person.email, person.phone, person.notes]);
        let words: Vec<String> = SEEDED.into_iter().chain(values.flatten()).map(regex::escape).collect();
        // Tokens of ours and those of others (a JWT begins so), and the master key of the tests in both forms.
        let secret = "(?:/p/[pm]|zwk_|eyJ)[0-9A-Za-z_]{12}|0707070707|7, 7, 7, 7";
        let pattern = format!(
            "(?P<word>{})|(?P<mail>[0-9A-Za-z]@[A-Za-z])|(?P<phone>[+](?: *[0-9]){{7}})|(?P<secret>{secret})",
            words.join("|")
        );
        Regex::new(&pattern).unwrap()
    });
    if !said.is_match(text) {
        return None;
    }
    let found = said.captures(text)?;
    let what = [("mail", "an e-mail address"), ("phone", "a phone number"), ("secret", "a token or a key")];
    let told = what.iter().find(|(name, _)| found.name(name).is_some()).map(|(_, told)| (*told).to_owned());
    told.or_else(|| found.name("word").map(|word| format!("`{}`", word.as_str())))
}

#[test]
fn what_must_not_be_told_is_found() {
    for line in [
        "bind [Text(\"Köhler\")]",
        "x=a.b@example.org",
        "\"phone\": \"+49 30 1234567\"",
        "tel:+4930123456",
        "authorization: Bearer zwk_0123456789ab_x",
        "token eyJhbGciOiJIUzI1NiJ9",
        "key [7, 7, 7, 7, 7]",
        "notes: likes tea",
        "Location: https://crm.example/p/pVGhpcyBpcyBhIGxpbms",
    ] {
        assert!(leak(line).is_some(), "{line}");
    }
    for line in [
        "2026-11-25T16:00:00.000000+00:00 DEBUG zweck: request actor=\"token:0199\" micros=12",
        "postgres://postgres@127.0.0.1:5432/t0",
        "a token of the form zwk_ is expected",
    ] {
        assert_eq!(leak(line), None, "{line}");
    }
}
