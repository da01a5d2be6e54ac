//! The pages in a real browser, from a real server with mails by a real SMTP server, on both databases.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{
    app::App,
    audit,
    auth::oidc::Issuers,
    base::clock::SystemClock,
    crypto::{link_tokens, master_keys::MasterKeys},
    db::Db,
    policy::PolicyHandle,
};

use crate::support::{
    database::TestDatabase,
    process::{KEY, Server, run, text},
    skipped,
    smtp::{Received, Smtp},
};

const EMAIL: &str = "nora@example.org";

/// Looks at pages, each a title, an address and what its rows are filtered by, if they are: axe finds nothing and nothing overflows, wide and
/// narrow, light and dark. Skips, unless whoever runs the tests says that a browser is there.
#[expect(clippy::disallowed_methods, reason = "where pictures go is for whoever looks at them")]
pub fn glance(pages: &[(&str, String, Option<&str>)]) {
    let (executable, driver) = match browser() {
        Ok(browser) => browser,
        Err(reason) => return absent(reason),
    };
    let pages: Vec<Value> = pages
        .iter()
        .map(|(title, url, filter)| json!({ "title": title, "url": url, "filter": filter }))
        .collect();
    let input =
        json!({ "executable": executable, "pictures": std::env::var("ZWECK_PICTURES").ok(), "pages": pages });
    run_driver("glance.mjs", &driver, &input);
}

/// Runs a script of the folder; its input goes by standard input, since arguments are for everybody to see.
pub fn run_driver(script: &str, driver: &Path, input: &Value) {
    let mut child = Command::new("node")
        .arg(script)
        .current_dir(driver)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Skips, unless whoever runs the tests says that a browser is there.
#[expect(clippy::disallowed_methods, reason = "the environment tells what must not be skipped")]
fn absent(reason: &str) {
    assert!(std::env::var("ZWECK_REQUIRE_BROWSER").is_err(), "ZWECK_REQUIRE_BROWSER is set, but {reason}");
    skipped(&format!("the public pages in a browser: {reason}"));
}

/// Chromium and the folder of its driver, or why there is none.
fn browser() -> Result<(PathBuf, PathBuf), &'static str> {
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = known.iter().map(PathBuf::from).find(|path| path.exists());
    let executable = found.ok_or("there is no Chromium")?;
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if !driver.join("node_modules/axe-core").is_dir() {
        return Err("its driver is not installed; to have it: cd tests/browser && npm ci --ignore-scripts");
    }
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("there is no Node.js");
    }
    Ok((executable, driver))
}

/// A server with everything around it.
struct Stage {
    server: Server,
    smtp: Smtp,
    executable: PathBuf,
    driver: PathBuf,
    database: String,
}

impl Stage {
    async fn over(url: Option<String>, (executable, driver): (PathBuf, PathBuf)) -> Option<Self> {
        let smtp = Smtp::start()?;
        let mails = format!("smtp://127.0.0.1:{}", smtp.port);
        let database = url.clone().unwrap_or_else(|| "sqlite://zweck.db".to_owned());
        let server = Server::start(&[
            ("ZWECK__PAGES__ENABLED", "true"),
            ("ZWECK__PAGES__PUBLIC_URL", "http://127.0.0.1"),
            ("ZWECK__PAGES__CONTROLLER", "Example GmbH"),
            ("ZWECK__PAGES__CONTROLLER_ADDRESS", "Musterstrasse 1, 10115 Berlin, Germany"),
            ("ZWECK__PAGES__CONTROLLER_CONTACT", "privacy@example.com"),
            ("ZWECK__PAGES__PRIVACY_URL", "https://www.example.com/privacy"),
            ("ZWECK__PAGES__POSTS_PER_MINUTE", "0"),
            ("ZWECK__MAIL__URL", &mails),
            ("ZWECK__MAIL__FROM", "Example GmbH <privacy@example.com>"),
            ("ZWECK__DATABASE__URL", &database),
        ])
        .await;
        let database =
            url.unwrap_or_else(|| format!("sqlite://{}", server.directory.path().join("zweck.db").display()));
        Some(Self { server, smtp, executable, driver, database })
    }

    /// Has the person do all of `steps`.
    #[expect(clippy::disallowed_methods, reason = "where pictures go is for whoever looks at them")]
    async fn drive(&self, steps: Value) {
        let input = json!({
            "url": format!("http://127.0.0.1:{}", self.server.port),
            "executable": self.executable,
            "pictures": std::env::var("ZWECK_PICTURES").ok(),
            "steps": steps,
        });
        let driver = self.driver.clone();
        tokio::task::spawn_blocking(move || run_driver("pages.mjs", &driver, &input)).await.unwrap();
    }

    /// The link of the mail that came as number `count`.
    async fn mailed(&self, count: usize) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let mails = self.smtp.mails();
            match mails.get(count - 1) {
                Some(mail) if mails.len() == count => return Received::token(mail),
                _ if Instant::now() > until => panic!("{} mails of {count} came", mails.len()),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// What marketing reads under the newsletter.
    async fn read(&self, token: &str) -> Value {
        let answer = query(self.server.port, token, "{ contacts { nodes { id email } } }").await;
        answer["data"]["contacts"]["nodes"].clone()
    }

    fn token(&self) -> String {
        let arguments = ["token", "create", "--name", "t", "--role", "marketing", "--purpose", "newsletter"];
        let settings = [("ZWECK__DATABASE__URL", self.database.as_str())];
        let made = run(self.server.directory.path(), &settings, &arguments);
        assert!(made.status.success(), "{}", text(&made.stderr));
        text(&made.stdout).trim().to_owned()
    }

    /// Two persons of one mailbox, and one of another, all of them customers.
    fn import(&self) {
        let rows = "id,first,last,mail,code\nK-1,Anna,Muster,family@example.org,70173\n\
                    K-2,Ben,Muster,family@example.org,80331\nK-3,Carla,Kunde,customer@example.org,10117\n";
        std::fs::write(self.server.directory.path().join("people.csv"), rows).unwrap();
        let settings = [("ZWECK__DATABASE__URL", self.database.as_str())];
        let map = "import contacts people.csv --source shop --purpose customer_care --ground contract --external-id id --map \
                   givenName=first --map familyName=last --map email=mail --map postalCode=code";
        let words: Vec<&str> = map.split_whitespace().collect();
        let made = run(self.server.directory.path(), &settings, &words);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    /// The link in the mails of the newsletter to the person.
    async fn preference(&self, contact: Uuid) -> String {
        let key: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&KEY[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let policy = PolicyHandle::new(crate::policy::shipped().await);
        let db = Db::connect(&self.database, 2).await.unwrap();
        let keys = MasterKeys::new(<[u8; 32]>::try_from(key).unwrap());
        let app = App::new(db, policy, Arc::new(SystemClock), keys, Issuers::default());
        let ring = audit::installation_keys(&app).await.unwrap();
        let mailbox = link_tokens::Mailbox::Key(EMAIL.to_owned());
        let meant = link_tokens::Preference { contact, purpose: "newsletter".to_owned(), mailbox };
        link_tokens::preference(ring, &meant).unwrap()
    }
}

/// Asks the server by GraphQL.
async fn query(port: u16, token: &str, document: &str) -> Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = json!({ "query": document }).to_string();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Signs up, confirms, reads, withdraws, asks for a link, opens a request: by keyboard alone.
async fn lives(stage: &Stage) -> (String, String) {
    stage.drive(json!([{ "do": "signUp", "email": EMAIL }])).await;
    let (confirm, marketing) = (stage.mailed(1).await, stage.token());
    assert_eq!(stage.read(&marketing).await, json!([]));
    stage.drive(json!([{ "do": "confirm", "token": confirm }])).await;
    let read = stage.read(&marketing).await;
    assert_eq!(read[0]["email"], EMAIL);
    let preference = stage.preference(read[0]["id"].as_str().unwrap().parse().unwrap()).await;
    stage
        .drive(
            json!([{ "do": "withdraw", "token": preference }, { "do": "askForLink", "token": preference }]),
        )
        .await;
    assert_eq!(stage.read(&marketing).await, json!([]));
    let fresh = stage.mailed(2).await;
    stage.drive(json!([{ "do": "request", "token": fresh }])).await;
    let log = stage.server.log();
    for secret in [&confirm, &preference, &fresh, EMAIL] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
    (preference, fresh)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_uses_them_by_keyboard_and_axe_finds_nothing() {
    let browser = match browser() {
        Ok(browser) => browser,
        Err(reason) => return absent(reason),
    };
    let Some(stage) = Stage::over(None, browser).await else { return absent("there is no SMTP server") };
    let (preference, fresh) = lives(&stage).await;
    // Another sign-up, to have a link that waits.
    stage.drive(json!([{ "do": "signUp", "email": "second@example.org" }])).await;
    let confirm = stage.mailed(3).await;
    // A mailbox of two persons, whose link asks which it is; and somebody with a contract.
    stage.import();
    stage.drive(json!([{ "do": "askForLinkTo", "email": "family@example.org" }])).await;
    let shared = stage.mailed(4).await;
    stage.drive(json!([{ "do": "askForLinkTo", "email": "customer@example.org" }])).await;
    let customer = stage.mailed(5).await;
    let page = |title: &str, path: &str| json!({ "title": title, "path": path });
    let faulty =
        |title: &str, path: &str, button: &str| json!({ "title": title, "path": path, "press": button });
    let pages = [
        page("sign-up", "signup/newsletter"),
        faulty("sign-up-faulty", "signup/newsletter", "main button"),
        page("sent", "signup/newsletter/sent"),
        page("confirm", &confirm),
        page("confirmed", "confirmed"),
        page("preferences", &preference),
        page("preferences-done", &format!("{preference}?done=withdrawn")),
        page("account", &fresh),
        faulty("account-faulty", &fresh, "button[value=request]"),
        page("account-complete", &customer),
        page("mailbox", &shared),
        page("mailbox-stopped", &format!("{shared}?done=stopped")),
        faulty("mailbox-faulty", &shared, "button[value=open]"),
        page("link", "link"),
        faulty("link-faulty", "link", "main button"),
        page("link-sent", "link/sent"),
        page("invalid", "pnonsense"),
        page("nowhere", "a/b"),
    ];
    stage.drive(json!([{ "do": "look", "pages": pages }])).await;
    stage.drive(json!([{ "do": "tellWho", "token": shared }])).await;
    let opened = [page("mailbox-opened", &format!("{shared}?done=opened"))];
    stage.drive(json!([{ "do": "look", "pages": opened }])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgresql() {
    let browser = match browser() {
        Ok(browser) => browser,
        Err(reason) => return absent(reason),
    };
    let Some(database) = TestDatabase::postgres().await else { return };
    let stage = Stage::over(Some(database.url.clone()), browser).await;
    let Some(stage) = stage else { return absent("there is no SMTP server") };
    lives(&stage).await;
}
