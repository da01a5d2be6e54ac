//! The listener of the operators, and what browsers are told: health, measures, headers, origins.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request},
    response::Response,
};
use migration::MigratorTrait;
use sea_orm::DbBackend;
use serde_json::Value;
use tower::ServiceExt;
use zweck::{
    app::App,
    config::Server,
    crypto::master_keys::MasterKeys,
    graphql::Pipeline,
    http::{Limits, Shutdown, management, with_security_headers},
    policy::PolicyHandle,
};

use crate::{
    reads::{World, worlds},
    support::{
        app::{TestApp, each},
        log::leak,
        world::persons,
    },
    writes::{door::block, person},
};

async fn get(router: &Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(header(&response, "cache-control"), "no-store");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn header(response: &Response, name: &str) -> String {
    let values = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap());
    values.collect::<Vec<_>>().join(", ")
}

fn managed(test: &TestApp) -> (Router, Shutdown) {
    let shutdown = Shutdown::default();
    (management(test.app.clone(), shutdown.clone()).unwrap(), shutdown)
}

/// Status, and the states that are not `ok`.
async fn ready(router: &Router) -> (u16, String) {
    let (status, body) = get(router, "/readyz").await;
    let report: Value = serde_json::from_str(&body).unwrap();
    let checks = report["checks"].as_object().unwrap();
    assert_eq!(
        checks.keys().collect::<Vec<_>>(),
        ["reader", "writer", "migrations", "policy", "audit", "keys"]
    );
    let faults = checks.iter().filter(|(_, state)| *state != "ok");
    let faults: Vec<String> =
        faults.map(|(name, state)| format!("{name} {}", state.as_str().unwrap())).collect();
    let expected = if status == 200 { "ready" } else { "unready" };
    assert!(report["status"] == expected || report["status"] == "stopping", "{report}");
    assert_eq!(status == 200, report["status"] == "ready");
    (status, faults.join(", "))
}

#[tokio::test]
async fn readiness_tells_which_part_does_not_work() {
    for test in each().await {
        let (router, shutdown) = managed(&test);
        let entries = "SELECT COUNT(*) FROM audit_entry";
        let before = crate::support::dump::number(&test.app.db.writer, entries).await;
        assert_eq!(ready(&router).await, (200, String::new()));
        assert_eq!(
            crate::support::dump::number(&test.app.db.writer, entries).await,
            before,
            "a probe leaves nothing"
        );
        block(&test, true).await;
        assert_eq!(ready(&router).await, (200, String::new()), "what was found holds for a second");
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert_eq!(ready(&router).await, (503, "audit failed, keys unknown".to_owned()));
        block(&test, false).await;
        migration::Migrator::down(&test.app.db.writer, Some(1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let (status, faults) = ready(&router).await;
        assert!(status == 503 && faults.contains("migrations pending"), "{faults}");
        test.app.db.migrate().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert_eq!(ready(&router).await, (200, String::new()));
        test.app.db.reader.close_by_ref().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert_eq!(ready(&router).await, (503, "reader failed, migrations unknown".to_owned()));
        test.app.db.writer.close_by_ref().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let all = "reader failed, writer failed, migrations unknown, audit unknown, keys unknown";
        assert_eq!(ready(&router).await, (503, all.to_owned()));
        assert_eq!(get(&router, "/livez").await, (200, "{\"status\":\"alive\"}".to_owned()));
        shutdown.trigger();
        assert_eq!(ready(&router).await.0, 503);
    }
}

/// What operators should look at is told beside the checks, and takes the server out of nothing.
#[tokio::test]
async fn readiness_warns_of_what_should_be_looked_at() {
    for test in each().await {
        let warnings = async |app: Arc<App>| {
            let (status, body) = get(&management(app, Shutdown::default()).unwrap(), "/readyz").await;
            let report: Value = serde_json::from_str(&body).unwrap();
            let told = report["warnings"].as_array().cloned().unwrap_or_default();
            (status, told.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        // The server of the tests is not made to outlive a power failure, and says so.
        let lax: Vec<&str> = match test.app.db.backend() {
            DbBackend::Sqlite => vec![],
            _ => vec!["fsync_off", "full_page_writes_off"],
        };
        assert_eq!(warnings(test.app.clone()).await, (200, lax.iter().map(ToString::to_string).collect()));
        // A job that failed, until it is done.
        test.app.failing.note("mails", true);
        let failing = [&["job_failing"], lax.as_slice()].concat();
        assert_eq!(
            warnings(test.app.clone()).await,
            (200, failing.iter().map(ToString::to_string).collect())
        );
        test.app.failing.note("mails", false);
        assert_eq!(warnings(test.app.clone()).await.1, lax);
        // Keys that are wrapped by a master key which this server does not know.
        let stranger = App::new(
            test.app.db.clone(),
            PolicyHandle::new(crate::policy::shipped().await),
            test.clock.clone(),
            MasterKeys::new([8; 32]),
            zweck::auth::oidc::Issuers::default(),
        );
        let (_, told) = warnings(Arc::new(stranger)).await;
        assert_eq!(told, [&["unknown_master_key"], lax.as_slice()].concat());
    }
}

/// Each run of a job counts, by its name and by what became of it.
#[tokio::test]
async fn runs_of_jobs_are_counted() {
    let test = each().await.remove(0);
    let (router, _) = managed(&test);
    let counted = async |job: &str, outcome: &str| {
        let line = format!("zweck_jobs_total{{job=\"{job}\",outcome=\"{outcome}\"}}");
        measure(&get(&router, "/metrics").await.1, &line)
    };
    let grows = async |job: &str, outcome: &str, before: f64| {
        for _ in 0..500 {
            if counted(job, outcome).await > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no run of {job} is told as {outcome}");
    };
    let jobs = ["owed", "ends", "catch_up", "upkeep"];
    let mut before = Vec::new();
    for job in jobs {
        before.push(counted(job, "done").await);
    }
    let running = tokio::spawn(zweck::jobs::run(test.app.clone(), None));
    for (job, before) in jobs.into_iter().zip(before) {
        grows(job, "done", before).await;
    }
    running.abort();
    assert!(!test.app.failing.any());
    // What fails counts as that, and warns.
    let before = counted("upkeep", "failed").await;
    test.app.db.writer.close_by_ref().await.unwrap();
    let running = tokio::spawn(zweck::jobs::run(test.app.clone(), None));
    grows("upkeep", "failed", before).await;
    running.abort();
    assert!(test.app.failing.any());
}

/// The value of a line of the measures; 0 where it is not told yet.
fn measure(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|told| told.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn measures_count_and_tell_of_nobody() {
    for World { test, client } in worlds().await {
        let (router, _) = managed(&test);
        let before = get(&router, "/metrics").await.1;
        let support = test.caller("support", "customer_care").await;
        client.ask(&support, "query Koehler { anna: contacts(search: \"Köhler\") { nodes { familyName birthDate notes } } }").await;
        client.ask(&support, "query Secret { contact(id: \"x\") { id } viewer { actorId } }").await;
        let update = format!(
            "mutation {{ updateContact(input: {{contactId: \"{}\", email: \"new@example.org\"}}) {{ contact {{ id }} }} }}",
            person(1)
        );
        client.data(&support, &update).await;
        let mut stranger = support.clone();
        stranger.purpose = "anna@example.org".to_owned();
        client.ask(&stranger, "{ viewer { actorId } }").await;
        let (status, after) = get(&router, "/metrics").await;
        assert_eq!(status, 200);
        // Other tests of this process count, too.
        let told = after.clone();
        let grown = |line: &str, least: f64| {
            let (before, after) = (measure(&before, line), measure(&after, line));
            assert!(after - before >= least, "{line}: {before} {after}\n{told}");
        };
        grown("zweck_operation_seconds_count{operation=\"contacts\"}", 1.0);
        grown("zweck_operation_seconds_count{operation=\"updateContact\"}", 1.0);
        grown("zweck_operation_seconds_count{operation=\"other\"}", 1.0);
        grown("zweck_decisions_total{outcome=\"allowed\"}", 2.0);
        grown("zweck_decisions_total{outcome=\"masked\"}", 1.0);
        grown("zweck_decisions_total{outcome=\"denied\"}", 1.0);
        grown("zweck_errors_total{code=\"FORBIDDEN_FIELD\"}", 1.0);
        grown("zweck_errors_total{code=\"PURPOSE_NOT_PERMITTED\"}", 1.0);
        grown("zweck_audit_entries_total", 1.0);
        grown("zweck_http_request_seconds_count{status=\"200\"}", 2.0);
        grown("zweck_http_request_seconds_count{status=\"403\"}", 1.0);
        for line in [
            "zweck_errors_total{code=\"AUDIT_UNAVAILABLE\"}",
            "zweck_limits_hit_total{limit=\"body\"}",
            "zweck_policy_reloads_total{outcome=\"refused\"}",
            "zweck_mail_deliveries_total{outcome=\"deferred\"}",
            // Names of the version before.
            "zweck_policy_loads_total{outcome=\"refused\"}",
            "zweck_mails_total{outcome=\"postponed\"}",
            "zweck_operations_under_way",
            "zweck_pool_connections{pool=\"reader\",state=\"idle\"}",
            "zweck_pool_connections{pool=\"writer\",state=\"in_use\"}",
            "zweck_pool_connections_max{pool=\"reader\"} 4",
            "zweck_pool_timeouts_total",
            "zweck_operations_in_flight",
            &format!("zweck_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
            &format!("zweck_policy_info{{revision=\"{}\"}} 1", test.app.policy.current().revision()),
        ] {
            assert!(after.contains(line), "{line}\n{after}");
        }
        // Labels are words of the program.
        for line in after.lines() {
            // Figures may hold any digits.
            let line = line.rsplit_once(' ').map_or(line, |(labels, _)| labels);
            assert_eq!(leak(line), None, "{line}");
            assert!(
                !line.contains("0199")
                    && !line.contains("Secret")
                    && !line.contains("Koehler")
                    && !line.contains("token:"),
                "{line}"
            );
            assert!(!persons().iter().any(|person| line.contains(person.family_name)), "{line}");
        }
    }
}

/// Whatever an answer says to wait for or what may still be spent, the page of another origin can read.
#[tokio::test]
async fn pages_of_listed_origins_read_what_they_may_still_spend() {
    const CRM: &str = "https://crm.example";
    let test = each().await.remove(0);
    let limits = Limits { cost_per_minute: 3, ..Limits::default() };
    let router = zweck::http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), limits);
    let router =
        with_security_headers(router, &Server { cors_origins: vec![CRM.to_owned()], ..Server::default() });
    let token = test.token(&["support"], &["customer_care"]).await;
    let bearer = format!("Bearer {}", token.expose_secret());
    let headers = [("origin", CRM), ("authorization", bearer.as_str()), ("content-type", "application/json")];
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let response = send(&router, Method::POST, "/graphql", &headers).await;
        let exposed = header(&response, "access-control-expose-headers");
        for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
            if !header(&response, name).is_empty() {
                assert!(exposed.split(',').any(|known| known.trim() == name), "{name}: {exposed}");
                seen.insert(name);
            }
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

async fn guarded(test: &TestApp, server: &Server) -> Router {
    let router = zweck::http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), Limits::default());
    with_security_headers(router, server)
}

async fn send(router: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let test = each().await.remove(0);
    for tls in [false, true] {
        let server = Server { behind_tls_proxy: tls, ..Server::default() };
        let router = guarded(&test, &server).await;
        for (method, path) in [
            (Method::POST, "/graphql"),
            (Method::GET, "/graphql"),
            (Method::GET, "/none"),
            (Method::OPTIONS, "/graphql"),
        ] {
            let response = send(&router, method, path, &[]).await;
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("strict-transport-security", if tls { "max-age=31536000" } else { "" }),
                ("access-control-allow-origin", ""),
            ] {
                assert_eq!(header(&response, name), value, "{path} {name}");
            }
            assert!(header(&response, "content-security-policy").starts_with("default-src 'none'"));
        }
    }
}

#[tokio::test]
async fn only_listed_origins_may_ask() {
    const CRM: &str = "https://crm.example";
    let test = each().await.remove(0);
    let server = Server {
        cors_origins: vec![CRM.to_owned(), "http://localhost:5173".to_owned()],
        ..Server::default()
    };
    let router = guarded(&test, &server).await;
    let wanted = "authorization,content-type,idempotency-key,prefer,x-processing-purpose";
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", wanted),
        ]
    };
    for origin in [CRM, "http://localhost:5173"] {
        let response = send(&router, Method::OPTIONS, "/graphql", &preflight(origin)).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "access-control-allow-origin")),
            (200, origin.to_owned())
        );
        let allowed = header(&response, "access-control-allow-headers");
        assert!(wanted.split(',').all(|name| allowed.split(',').any(|known| known == name)), "{allowed}");
        assert!(header(&response, "access-control-allow-methods").split(',').any(|method| method == "POST"));
        assert_eq!(header(&response, "access-control-allow-credentials"), "");
        assert!(header(&response, "vary").to_lowercase().contains("origin"));
        let response = send(&router, Method::POST, "/graphql", &[("origin", origin)]).await;
        assert_eq!(header(&response, "access-control-allow-origin"), origin);
        let exposed = header(&response, "access-control-expose-headers");
        for name in ["x-request-id", "preference-applied", "retry-after", "ratelimit", "ratelimit-policy"] {
            assert!(exposed.split(',').any(|known| known.trim() == name), "{name}: {exposed}");
        }
        let vary = header(&response, "vary").to_lowercase();
        assert!(vary.contains("origin") && vary.contains("x-processing-purpose"), "{vary}");
    }
    for origin in [
        "https://crm.example.evil",
        "http://crm.example",
        "https://crm.example:8443",
        "https://CRM.example",
        "null",
        "*",
    ] {
        for response in [
            send(&router, Method::OPTIONS, "/graphql", &preflight(origin)).await,
            send(&router, Method::POST, "/graphql", &[("origin", origin)]).await,
        ] {
            assert_eq!(header(&response, "access-control-allow-origin"), "", "{origin}");
            assert!(
                header(&response, "vary").to_lowercase().contains("origin"),
                "caches must tell origins apart"
            );
        }
    }
}
