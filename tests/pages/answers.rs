//! What every answer has: headers, languages, limits; and what is not served where pages are off.

use std::{collections::BTreeSet, sync::Arc};

use axum::{body::Body, http::Request};
use futures_util::stream;
use tower::ServiceExt;
use zweck::{
    config::public_pages::Pages,
    graphql::Pipeline,
    http::{Limits, Settings, check_policy_supports_pages, router},
};

use super::{PagesState, post, sites, values};
use crate::support::{app::each, world::id};

/// Every page that there is, by a path that opens it.
async fn pages(site: &PagesState) -> Vec<String> {
    let live = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
    let fresh = site.fresh(id(0, 1)).await;
    let typed = [("choice", "newsletter"), ("version-newsletter", "2026-1"), ("email", "new@example.org")];
    assert_eq!(site.post("/p/signup/newsletter", &typed).await.status, 303);
    let confirm = crate::signups::tokens(&site.test).await.pop().unwrap();
    let named =
        ["signup/newsletter", "signup/newsletter/sent", "link", "link/sent", "confirmed", "nonsense", "a/b"];
    let named = named.into_iter().map(str::to_owned);
    named.chain([live, fresh, confirm]).map(|path| format!("/p/{path}")).collect()
}

#[tokio::test]
async fn every_answer_is_kept_from_caches_frames_scripts_and_others() {
    let site = sites().await.remove(0);
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    for path in pages(&site).await {
        for request in [
            Request::get(&path).body(Body::empty()).unwrap(),
            Request::put(&path).body(Body::empty()).unwrap(),
            Request::post(&path).body(Body::empty()).unwrap(),
            post(&path, &[("List-Unsubscribe", "One-Click")]),
            post(&path, &[]),
        ] {
            let what = format!("{} {path}", request.method());
            let reply = site.send(request).await;
            for (name, value) in [
                ("content-security-policy", policy),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("x-robots-tag", "noindex"),
                ("vary", "Accept-Language"),
            ] {
                assert_eq!(reply.header(name), value, "{what}: {name}");
            }
            assert!(reply.header("set-cookie").is_empty());
            let html = reply.header("content-type") == "text/html; charset=utf-8";
            assert!(html || reply.status == 303 || reply.body.starts_with("Done."), "{what}: {reply:?}");
            // Nothing is loaded but the stylesheet, and nothing of it could run.
            assert!(values(&reply.body, "src").is_empty());
            assert!(!reply.body.contains("<script") && !reply.body.contains(" style="));
            for link in values(&reply.body, "href") {
                let fine = ["/p/style.css?", "#", "?lang=", "mailto:", "https://"];
                assert!(fine.iter().any(|start| link.starts_with(start)), "{what}: {link}");
            }
        }
    }
}

#[tokio::test]
async fn the_stylesheet_is_kept_by_its_digest() {
    let site = sites().await.remove(0);
    let page = site.get("/p/link").await;
    let style = values(&page.body, "href").into_iter().find(|href| href.contains(".css")).unwrap();
    let kept = site.get(style).await;
    assert_eq!((kept.status, kept.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(kept.header("cache-control"), "public, max-age=31536000, immutable");
    let other = site.get("/p/style.css?0").await;
    assert_eq!((other.header("cache-control"), &other.body), ("no-cache", &kept.body));
    assert!(!kept.body.contains("url(") && !kept.body.contains("@import"));
}

#[tokio::test]
async fn the_language_is_the_chosen_one_then_that_of_the_browser_then_that_of_the_pages() {
    let site = sites().await.remove(0);
    for (query, accept, language) in [
        ("", None, "de"),
        ("", Some("en-US,en;q=0.8"), "en"),
        ("", Some("fr,en;q=0.1"), "en"),
        ("", Some("fr"), "de"),
        ("?lang=en", Some("de"), "en"),
        ("?lang=fr", Some("en"), "en"),
        ("?lang=%3Cscript%3E", None, "de"),
    ] {
        let mut request = Request::get(format!("/p/link{query}"));
        if let Some(accept) = accept {
            request = request.header("accept-language", accept);
        }
        let page = site.send(request.body(Body::empty()).unwrap()).await;
        assert!(page.body.contains(&format!("<html lang=\"{language}\">")), "{query} {accept:?}");
        assert_eq!(page.header("content-language"), language);
        // The switch keeps the page.
        let other = if language == "de" { "?lang=en" } else { "?lang=de" };
        assert!(values(&page.body, "href").contains(&other));
    }
}

/// Every text that a page asks for is there: a missing one would leave a gap.
#[tokio::test]
async fn no_page_has_a_gap() {
    let site = sites().await.remove(0);
    for path in pages(&site).await {
        for language in ["de", "en"] {
            let page = site.get(&format!("{path}?lang={language}")).await;
            for gap in ["></p>", "></h1>", "></h2>", "></h3>", "></label>", "></button>", "></dt>", "></dd>"]
            {
                assert!(!page.body.contains(gap), "{path} {language}: {gap} {}", page.body);
            }
            assert_eq!(page.body.matches("<h1>").count(), 1);
            let ids = values(&page.body, "id");
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_client_sends_so_many_forms_a_minute() {
    let site = PagesState::over(each().await.remove(0), 3);
    let paths = ["/p/link", "/p/pnonsense", "/p/signup/newsletter"];
    for path in paths {
        assert_ne!(site.post(path, &[]).await.status, 429);
    }
    let refused = site.post("/p/link", &[("email", "anna@example.org")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "60"));
    for path in paths {
        assert_eq!(site.post(path, &[]).await, refused);
    }
    // Reading goes on, and nobody is kept from unsubscribing by what others of the same mail program do.
    assert_eq!(site.get("/p/link").await.status, 200);
    let click = [("List-Unsubscribe", "One-Click")];
    assert_eq!(site.post("/p/pnonsense", &click).await.status, 404);
    assert_eq!(site.post("/p/link", &click).await, refused);
}

/// Whoever shares an address with many others is not kept from ending anything by them, nor from the rest of an own link.
#[tokio::test]
async fn forms_of_a_valid_link_are_counted_by_the_link() {
    let test = each().await.remove(0);
    crate::support::world::seed(&test.app.db.writer, &crate::support::world::persons()).await;
    let site = PagesState::over(test, 2);
    let anna = crate::support::world::id(0, 1);
    let preferences = format!("/p/{}", site.preference(anna, "newsletter", "anna@example.org").await);
    let account = format!("/p/{}", site.fresh(anna).await);
    let used_up = async || {
        for _ in 0..2 {
            assert_eq!(site.post("/p/link", &[("email", "somebody@example.org")]).await.status, 303);
        }
    };
    used_up().await;
    for path in ["/p/link", "/p/pnonsense", &format!("/p/m{}", "x".repeat(43))] {
        assert_eq!(site.post(path, &[("action", "withdraw")]).await.status, 429, "{path}");
    }
    for path in [&preferences, &account] {
        for (purpose, action) in [
            ("newsletter", "withdraw"),
            ("event_invitations", "withdraw"),
            ("existing_customer_mail", "object"),
            ("direct_marketing", "none"),
        ] {
            let form = [("purpose", purpose), ("action", action)];
            assert_eq!(site.post(path, &form).await.status, 303, "{path} {action}");
        }
    }
    // What ends nothing is counted, for each link by itself.
    let fresh = [("action", "fresh")];
    let request = [("action", "request"), ("kind", "ACCESS")];
    for (path, form) in [(&preferences, fresh.as_slice()), (&account, request.as_slice())] {
        for status in [303, 303, 429, 429] {
            assert_eq!(site.post(path, form).await.status, status, "{path}");
        }
        let form = [("purpose", "newsletter"), ("action", "withdraw")];
        assert_eq!(site.post(path, &form).await.status, 303);
    }
}

#[tokio::test]
async fn forms_are_read_within_limits() {
    let site = sites().await.remove(0);
    let form = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        (form, vec![b'a'; 40_000], 413),
        ("application/json", b"{}".to_vec(), 415),
        ("multipart/form-data", Vec::new(), 415),
        ("multipart/form-data; boundary=x", b"nonsense".to_vec(), 400),
        (form, vec![0xff, b'=', 0xfe, b'&', b'%', b'=', b'%', b'x'], 422),
    ] {
        let request = Request::post("/p/link").header("content-type", kind).body(Body::from(body)).unwrap();
        assert_eq!(site.send(request).await.status, status, "{kind}");
    }
    let endless = Body::from_stream(stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let limits = Limits { body_seconds: 1, ..Limits::default() };
    let router = router(site.test.app.clone(), Arc::new(Pipeline::new().unwrap()), Settings::from(limits));
    let request = Request::post("/p/link").header("content-type", form).body(endless).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status().as_u16(), 408);
}

#[tokio::test]
async fn nothing_is_there_where_pages_are_off() {
    let mut test = each().await.remove(0);
    Arc::get_mut(&mut test.app).unwrap().pages.enabled = false;
    let site = PagesState::over(test, 0);
    for path in ["/p", "/p/", "/p/link", "/p/signup/newsletter", "/p/style.css", "/p/pabc"] {
        let reply = site.get(path).await;
        let json = (404, "application/json; charset=utf-8");
        assert_eq!((reply.status, reply.header("content-type")), json, "{path}");
    }
}

/// A policy under which every link would look dead is refused before the server starts.
#[tokio::test]
async fn a_policy_that_persons_cannot_use_is_refused() {
    let policy = crate::policy::shipped().await;
    let pages = crate::support::app::pages();
    assert_eq!(check_policy_supports_pages(&policy, &pages), Ok(()));
    for (purpose, told) in [
        ("newsletter", "`pages.purpose` must be"),
        ("nonsense", "`pages.purpose` must be"),
        ("rights_fulfilment", "`pages.enabled` needs `execute` of `Query.contact` for role:subject"),
    ] {
        let pages = Pages { purpose: purpose.to_owned(), ..pages.clone() };
        assert!(
            check_policy_supports_pages(&policy, &pages).is_err_and(|text| text.starts_with(told)),
            "{purpose}"
        );
    }
}
