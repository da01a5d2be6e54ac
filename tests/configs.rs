//! Broken configurations: all that is wrong with one is told at once, each fault with its line and what was expected, and no value.

use std::{fmt::Write as _, fs, path::Path};

use crate::support::process::{text, zweck};

const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// What each file is about, and the file. `SECRET` stands for values that no message may tell.
const FILES: &[(&str, &str)] = &[
    ("no TOML at all", "this is no TOML"),
    ("an open quotation mark", "[server]\nlisten = \"127.0.0.1:1\n"),
    ("a key that is there twice", "[server]\ngraphiql = true\ngraphiql = false\n"),
    ("a section that is there twice", "[server]\n[database]\n[server]\n"),
    ("an open bracket", "[server\nlisten = \"127.0.0.1:1\"\n"),
    ("a value without quotation marks", "[database]\nurl = sqlite://crm.db\n"),
    ("a typing error in a key", "[server]\nlistne = \"127.0.0.1:1\"\n"),
    ("a typing error in a section", "[servre]\nlisten = \"127.0.0.1:1\"\n"),
    ("a key outside of its section", "listen = \"127.0.0.1:1\"\n"),
    ("a key that nobody knows", "[server]\nfoo_bar_baz = 1\n"),
    ("a name where a number belongs", "[limits]\nrows = \"SECRET\"\n"),
    ("a number where a text belongs", "[database]\nurl = 4711\n"),
    ("a text where yes or no belongs", "[server]\ngraphiql = \"SECRET\"\n"),
    ("a text where a list belongs", "[server]\ncors_origins = \"https://SECRET.example\"\n"),
    ("a negative number", "[limits]\nrows = -5\n"),
    ("a number with a fraction", "[limits]\ndepth = 4.5\n"),
    ("a section where a value belongs", "[server.listen]\nport = 1\n"),
    ("a value where a section belongs", "server = 1\n"),
    ("a host name", "[server]\nlisten = \"SECRET.example:8080\"\n"),
    ("no port", "[server]\nlisten = \"127.0.0.1\"\n"),
    ("a port that is none", "[server]\nlisten = \"localhost:99999\"\n"),
    ("an address for operators that is none", "[management]\nlisten = \"SECRET\"\n"),
    (
        "one address for both",
        "[server]\nlisten = \"127.0.0.1:9000\"\n[management]\nlisten = \"127.0.0.1:9000\"\n",
    ),
    ("another database", "[database]\nurl = \"mysql://u:SECRET@h/d\"\n"),
    ("a database in memory", "[database]\nurl = \"sqlite://:memory:\"\n"),
    ("a reader of another kind", "[database]\nreader_url = \"postgres://u:SECRET@h/d\"\n"),
    ("no connections", "[database]\nmax_connections = 0\n"),
    ("a master key that is too short", "[secrets]\nmaster_key = \"SECRET\"\n"),
    ("a master key and a file of it", "[secrets]\nmaster_key = \"KEY\"\nmaster_key_file = \"missing\"\n"),
    ("a file of a master key that is missing", "[secrets]\nmaster_key_file = \"missing\"\n"),
    ("a file of a previous key that is missing", "[secrets]\nprevious_master_key_file = \"missing\"\n"),
    ("limits that are none", "[limits]\nbody_bytes = 1\ndepth = 1000\noperations = 0\n"),
    ("a region that is none", "[identities]\nregion = \"SECRET\"\n"),
    ("a log format that is none", "[log]\nformat = \"SECRET\"\n"),
    (
        "origins that are none",
        "[server]\ncors_origins = [\"https://good.example\", \"*\", \"https://SECRET.example/x\"]\n",
    ),
    ("pages without what they need", "[pages]\nenabled = true\n"),
    (
        "pages with times that contradict",
        "[pages]\nconfirm_hours = 720\nunconfirmed_days = 1\nmail_hours = 720\n",
    ),
    ("a mail server without a sender", "[mail]\nurl = \"smtp://u:SECRET@h:25\"\n"),
    ("an issuer that lacks nearly everything", "[oidc.staff]\nissuer = \"https://login.example\"\n"),
    (
        "an issuer with faults of every kind",
        "[oidc.staff]\nissuer = \"http://login.example\"\naudience = []\nalgorithms = [\"HS256\"]\nleeway_seconds = \"SECRET\"\n\
         roles_claim = \"\"\nroles = {}\npurposes = { a = \"b\" }\nfoo = 1\n",
    ),
    (
        "an issuer without the key of actors",
        "[oidc.Staff]\nissuer = \"https://login.example\"\naudience = \"a\"\nroles_claim = \"r\"\nroles = { a = \"b\" }\n\
         purposes = { a = \"b\" }\nmax_age_seconds = 1\n",
    ),
    (
        "five faults in one file",
        "[server]\nlisten = \"SECRET\"\ngrpahiql = true\ngrace_seconds = 0\n\n[database]\nurl = \"oracle://SECRET\"\n\n[limits]\nrows = \
         \"SECRET\"\n\n[recipients]\nkeep_copy = 0\n",
    ),
];

/// What a server is not started with, and what is told beside other faults of the file.
const SERVED: &[(&str, &str)] = &[
    ("a database without a file", "[database]\nurl = \"sqlite://\"\n"),
    ("a database without a file, with settings", "[database]\nurl = \"sqlite://?mode=rwc\"\n"),
    ("a database of two hosts", "[database]\nurl = \"postgres://u:SECRET@h1:5432,h2:5432/d\"\n"),
    ("a policy that is not there", "[policy]\ndir = \"nowhere\"\n"),
    ("a mail server that is none", "[mail]\nurl = \"SECRET\"\nfrom = \"SECRET\"\n"),
    ("a filter of the log that is none", "[log]\nfilter = \"SECRET=SECRET=\"\n"),
    ("an address that other machines reach", "[server]\n\nlisten = \"0.0.0.0:8080\"\n"),
    (
        "two files of keys that are missing",
        "[secrets]\nmaster_key_file = \"none\"\nprevious_master_key_file = \"none\"\n",
    ),
    ("pages that lack what they need", "[server]\ngraphiql = true\n\n[pages]\nenabled = true\n"),
    ("an empty section that nobody knows", "[servre]\n\n[server]\nlisten = \"SECRET\"\n"),
    ("keys outside of their sections", "listen = \"127.0.0.1:1\"\nmax_conections = 3\ngraphiql = true\n"),
    ("a key in the section of another", "[server]\nmax_connections = 3\n"),
    ("a value of TOML that is none, twice", "[server]\nlisten = nowhere\n[limits]\nrows = 08\n"),
    (
        "two issuers with faults of their own",
        "[oidc.staff]\nissuer = \"http://login.example\"\naudiences = \"a\"\nroles_claim = \"\"\nmax_age_seconds = 1\nclients = 3\n\
         leeway_seconds = \"SECRET\"\n\n[oidc.others]\nissuer = \"https://login.example\"\naudience = []\n",
    ),
    (
        "faults of every kind in one file",
        "graphiql = true\n\n[server]\nlisten = \"0.0.0.0:80\"\n\n[database]\nurl = \"sqlite://\"\nmax_connections = \"SECRET\"\n\n\
         [policy]\ndir = \"nowhere\"\n\n[mail]\nurl = \"SECRET\"\nfrom = \"a@b.example\"\n\n[log]\nfilter = \"SECRET=SECRET=\"\n\n\
         [pages]\nenabled = true\n",
    ),
];

#[test]
#[expect(clippy::disallowed_methods, reason = "ZWECK_BLESS writes the file anew")]
fn all_that_is_wrong_is_told_at_once() {
    assert!(FILES.len() >= 40);
    let directory = tempfile::tempdir().unwrap();
    let mut told = String::new();
    for (about, file) in FILES {
        let file = file.replace("KEY", KEY);
        fs::write(directory.path().join("zweck.toml"), &file).unwrap();
        let mut command = zweck(directory.path(), &[]);
        command.env_remove("ZWECK__SECRETS__MASTER_KEY");
        let output = command.args(["--config", "zweck.toml", "config", "print"]).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{about}: {said}{}", text(&output.stdout));
        assert!(!said.contains("SECRET") && !said.contains(KEY), "{about}: {said}");
        writeln!(told, "# {about}\n{said}").unwrap();
    }
    for (about, file) in SERVED {
        fs::write(directory.path().join("zweck.toml"), file).unwrap();
        let mut command = zweck(directory.path(), &[]);
        if file.contains("master_key") {
            command.env_remove("ZWECK__SECRETS__MASTER_KEY");
        }
        let output = command.args(["--config", "zweck.toml", "config", "check"]).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{about}: {said}{}", text(&output.stdout));
        assert!(!said.contains("SECRET"), "{about}: {said}");
        for line in said.lines() {
            // The file as a whole has none.
            let told = line.contains("zweck.toml:") || line.contains("`--config`: zweck.toml");
            assert!(told, "{about}: a fault without its line: {line}");
        }
        writeln!(told, "# {about}\n{said}").unwrap();
    }
    // What comes by the environment or a flag is told as that.
    let environment = [("ZWECK__LIMITS__ROWS", "many"), ("ZWECK__SERVER__LISTNE", "127.0.0.1:1")];
    let mut command = zweck(directory.path(), &environment);
    let output = command.args(["serve", "--listen", "nowhere"]).output().unwrap();
    writeln!(told, "# by the environment and a flag\n{}", text(&output.stderr)).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/configs.txt");
    if std::env::var("ZWECK_BLESS").is_ok() {
        fs::write(&path, &told).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let changed = kept.lines().zip(told.lines()).find(|(kept, now)| kept != now);
    assert!(
        kept == told,
        "tests/golden/configs.txt is stale, first at {changed:?}; to repair: ZWECK_BLESS=1 cargo test --test it -- configs"
    );
}
