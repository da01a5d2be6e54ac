//! `zweck demo`: a server over a fresh database full of people, with queries to try. Room: cli.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use zweck::{
    app::App,
    base::clock::{Clock, SystemClock},
    config::{Config, public_pages::PublicPages},
    crypto::master_keys::MasterKeys,
    db::Db,
    demo::{self, Demo},
    domain::{mail_outbox::shown::Outbox, purposes},
    graphql::Pipeline,
    http::{self, Settings, Shutdown, graphiql},
    jobs::{self, mailer::Mailer},
    policy::PolicyHandle,
};

use super::{exit::CliError, failure, migrated, opened, policy, print};

const ACTOR: &str = "cli:demo";

/// Makes the database, fills it, prints what to try, and serves.
/// `page` says why GraphiQL is left out or old.
pub(crate) async fn run(
    config: &Config,
    file: Option<PathBuf>,
    people: usize,
    page: Option<&str>,
) -> Result<(), CliError> {
    // Gone with the directory, unless a file is named.
    let directory = tempfile::tempdir().context("there is no directory for the database")?;
    let file = file.unwrap_or_else(|| directory.path().join("demo.db"));
    if file.exists() {
        let text = format!("{} exists already; the demo begins with a fresh file", file.display());
        return Err(CliError::Usage(text));
    }
    let listener = tokio::net::TcpListener::bind(config.server.listen).await.with_context(|| {
        format!("cannot listen on {}; name another address with --listen", config.server.listen)
    })?;
    let address = listener.local_addr()?;
    print(&format!("Making {people} people who do not exist in {} ...\n", file.display()))?;
    let url = format!("sqlite://{}", file.display());
    let time = config.limits.operation_time();
    let db = Db::connect_with_timeout(&url, config.database.max_connections, time)
        .await
        .map(opened)
        .map_err(failure)?;
    migrated(&db).await?;
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let policy = PolicyHandle::new(policy(config).await?);
    let url = format!("http://{address}");
    // The pages and their mails are for this machine alone.
    let outbox = address.ip().is_loopback().then(Outbox::default);
    let app = App::new(db, policy, clock, MasterKeys::random(), zweck::auth::oidc::Issuers::default());
    let app = Arc::new(match &outbox {
        Some(_) => app.with_pages(pages(&url)),
        None => app,
    });
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    let demo = demo::seed(&app, people).await.map_err(failure)?;
    let token = hex::encode(rand::random::<[u8; 16]>());
    print(&told(&demo, &url, outbox.is_some().then_some(token.as_str()), page))?;
    let pipeline = Arc::new(Pipeline::with_limits(config.limits).map_err(failure)?);
    let settings = Settings { limits: config.limits, graphiql: true, ..Settings::default() };
    let mut router = http::router(app.clone(), pipeline, settings);
    if let Some(outbox) = outbox {
        let mailer = Mailer::to_outbox(SENDER, outbox.clone()).map_err(failure)?;
        tokio::spawn(jobs::run(app, Some(mailer)));
        router = router.merge(http::outbox(outbox, token));
    }
    let router = http::with_security_headers(router, &config.server);
    let grace = Duration::from_secs(config.server.grace_seconds);
    http::serve_within(listener, router, &config.limits, Shutdown::on(http::stop_signal()), grace).await?;
    Ok(())
}

/// Who would have sent the mails.
const SENDER: &str = "Example GmbH <privacy@example.com>";

/// The public pages of the demo.
fn pages(url: &str) -> PublicPages {
    PublicPages {
        enabled: true,
        public_url: Some(url.to_owned()),
        controller: Some("Example GmbH (a demo)".to_owned()),
        controller_address: Some("Musterstrasse 1, 10115 Berlin".to_owned()),
        controller_contact: Some("privacy@example.com".to_owned()),
        ..PublicPages::default()
    }
}

/// Where GraphiQL is, or why it is not there.
fn page(built: bool, url: &str, why: Option<&str>) -> String {
    match (built, why) {
        (true, None) => format!("Open GraphiQL at {url}{} and enter one of these tokens.", graphiql::PATH),
        (true, Some(why)) => format!(
            "Open GraphiQL at {url}{} and enter one of these tokens. It is the page of an earlier build: {why}.",
            graphiql::PATH
        ),
        (false, Some(why)) => format!(
            "GraphiQL is left out: {why}. Mend that and run `cargo demo` again; all else here works without it."
        ),
        (false, None) => "GraphiQL is left out: its page was not in `web/dist` when this program was built; `cargo demo` builds it by npm."
            .to_owned(),
    }
}

/// What to try: the tokens, and three queries that show the point.
fn told(demo: &Demo, url: &str, outbox: Option<&str>, why: Option<&str>) -> String {
    let mut out = format!(
        "\nZweck serves {} people at {url}/graphql until you press Ctrl-C. Nothing here leaves this machine.\n\
         Each token acts for the purposes beside it, for a day:\n\n",
        demo.people
    );
    for token in &demo.tokens {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "  {:<13} {}\n  {:<13} {}: {}",
            token.role,
            token.token.expose_secret(),
            "",
            token.does,
            token.purposes.join(", ")
        );
    }
    let _ = writeln!(out, "\n{}", page(graphiql::is_built(), url, why));
    if let Some(token) = outbox {
        let _ = write!(
            out,
            "\nWhat persons see: sign up at {url}/p/signup/newsletter, or ask for a link at {url}/p/link.\nThe mails go nowhere; read them at \
             {url}/outbox/{token}\n"
        );
    }
    let _ = write!(out, "\nTo paste into a shell:\n\n");
    let _ = writeln!(out, "  export ZWECK_URL={url}");
    for token in &demo.tokens {
        let _ = writeln!(
            out,
            "  export ZWECK_TOKEN_{}={}",
            token.role.to_uppercase(),
            token.token.expose_secret()
        );
    }
    let token = |role: &str| {
        let found = demo.tokens.iter().find(|token| token.role == role);
        found.map_or("", |token| token.token.expose_secret())
    };
    let ask = |role: &str, purpose: &str, query: &str| {
        format!(
            "curl -s {url}/graphql -H 'Content-Type: application/json' -H 'Authorization: Bearer {}' \\\n    \
             -H 'X-Processing-Purpose: {purpose}' -d '{{\"query\":\"{}\"}}'",
            token(role),
            query.replace('"', "\\\"")
        )
    };
    let list = "{ contacts(first: 3) { totalCount nodes { givenName email city phone } } }";
    let contact = demo.consenting.map(|id| id.to_string()).unwrap_or_default();
    let withdraw = format!(
        "mutation {{ withdrawConsent(input: {{contactId: \"{contact}\", purpose: \"newsletter\"}}) {{ consent {{ status }} }} }}"
    );
    let one = format!("{{ contact(id: \"{contact}\") {{ givenName email }} }}");
    let _ = write!(
        out,
        "\n1. Marketing sees those who consent to the newsletter; of the city a hint, of the phone nothing:\n\n  {}\n\
         \n2. Support sees others, and other fields:\n\n  {}\n\
         \n3. A withdrawal takes effect with the very next read. Run this, withdraw, and run it again:\n\n  {}\n\n  {}\n\n",
        ask("marketing", "newsletter", list),
        ask("support", "customer_care", list),
        ask("partner", "newsletter", &one),
        ask("marketing", "consent_management", &withdraw),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn why_graphiql_is_left_out_is_told() {
        let url = "http://127.0.0.1:8080";
        assert!(page(true, url, None).starts_with("Open GraphiQL at http://127.0.0.1:8080/graphiql "));
        let why = Some("npm is not installed (it comes with Node.js)");
        assert!(page(false, url, why).starts_with("GraphiQL is left out: npm is not installed"));
        assert!(page(true, url, why).contains("an earlier build: npm is not installed"));
        assert!(page(false, url, None).contains("`cargo demo` builds it"));
    }
}
