//! `zweck demo`: a server over a fresh database full of people, with queries to try (floor 7).

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use zweck::{
    config::Config,
    context::{App, Clock, Keys, SystemClock},
    db::Db,
    demo::{self, Demo},
    graphql::Engine,
    http::{self, Ending, Settings, graphiql},
    policy::Live,
    purposes,
};

use super::{failure, policy, print};
use crate::Failure;

const ACTOR: &str = "cli:demo";

/// Makes the database, fills it, prints what to try, and serves.
pub(crate) async fn run(config: &Config, file: Option<PathBuf>, people: usize) -> Result<(), Failure> {
    // Gone with the directory, unless a file is named.
    let directory = tempfile::tempdir().context("there is no directory for the database")?;
    let file = file.unwrap_or_else(|| directory.path().join("demo.db"));
    if file.exists() {
        let text = format!("{} exists already; the demo begins with a fresh file", file.display());
        return Err(Failure::Usage(text));
    }
    let listener = tokio::net::TcpListener::bind(config.server.listen).await.with_context(|| {
        format!("cannot listen on {}; name another address with --listen", config.server.listen)
    })?;
    let address = listener.local_addr()?;
    print(&format!("Making {people} people who do not exist in {} ...\n", file.display()))?;
    let url = format!("sqlite://{}", file.display());
    let time = config.limits.operation_time();
    let db = Db::connect_within(&url, config.database.max_connections, time).await.map_err(failure)?;
    db.migrate().await.map_err(failure)?;
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let policy = Live::new(policy(config).await?);
    let app = Arc::new(App::new(db, policy, clock, Keys::random(), zweck::oidc::Issuers::default()));
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    let demo = demo::seed(&app, people).await.map_err(failure)?;
    print(&told(&demo, &format!("http://{address}")))?;
    let engine = Arc::new(Engine::within(config.limits).map_err(failure)?);
    let settings = Settings { limits: config.limits, graphiql: true, ..Settings::default() };
    let router = http::guard(http::router(app, engine, settings), &config.server);
    let grace = Duration::from_secs(config.server.grace_seconds);
    http::serve_within(listener, router, &config.limits, Ending::at(http::stop_signal()), grace).await?;
    Ok(())
}

/// What to try: the tokens, and three queries that show the point.
fn told(demo: &Demo, url: &str) -> String {
    // Without the page its address would lead to a page that says so: `cargo demo` has said it already.
    let page = if graphiql::is_built() {
        format!("Open GraphiQL at {url}{} and enter one of these tokens.\n", graphiql::PATH)
    } else {
        String::new()
    };
    let mut out = format!(
        "\nZweck serves {} people at {url}/graphql until you press Ctrl-C. Nothing here leaves this machine.\n\
         {page}Each token acts for the purposes beside it, for a day:\n\n",
        demo.people
    );
    for token in &demo.tokens {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "  {:<13} {}\n  {:<13} {}: {}",
            token.role,
            token.token.reveal(),
            "",
            token.does,
            token.purposes.join(", ")
        );
    }
    let token = |role: &str| {
        let found = demo.tokens.iter().find(|token| token.role == role);
        found.map_or("", |token| token.token.reveal())
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
