//! What a person sees by a link mailed to it just now: its name, history, texts and requests, and nobody else's.

use chrono::TimeDelta;
use serde_json::json;
use zweck::{audit, domain::receipts};

use super::{sites, values};
use crate::{signups::tokens, support::world::id};

#[tokio::test]
async fn the_person_sees_what_is_kept_and_what_has_happened() {
    for site in sites().await {
        // Whoever names himself so gets no script for it.
        let typed = [
            ("choice", "newsletter"),
            ("version-newsletter", "2026-1"),
            ("language", "en"),
            ("email", "new@example.org"),
            ("givenName", "<script>alert(1)</script>"),
            ("familyName", "O'Neill & \"Sons\""),
        ];
        assert_eq!(site.post("/p/signup/newsletter", &typed).await.status, 303);
        let confirm = tokens(&site.test).await.pop().unwrap();
        site.test.clock.advance(TimeDelta::minutes(5));
        assert_eq!(site.post(&format!("/p/{confirm}"), &[("action", "confirm")]).await.status, 303);
        assert_eq!(site.post("/p/link", &[("email", "New@Example.ORG")]).await.location(), "/p/link/sent");
        let token = tokens(&site.test).await.pop().unwrap();
        let page = site.get(&format!("/p/{token}")).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script") && !page.body.contains(&token));
        for shown in [
            "&#60;script&#62;alert(1)&#60;/script&#62; O&#39;Neill &#38; &#34;Sons&#34;",
            "new@example.org",
            "Newsletter (e-mail)",
            "Asked for",
            "Confirmed by link",
            "2 November 2026, 09:05 UTC",
            "Version 2026-1",
            "form newsletter",
            "<details>",
            "I consent to being sent a newsletter",
            "There are no requests.",
            "Withdraw consent: Newsletter",
        ] {
            assert!(page.body.contains(shown), "{shown}: {}", page.body);
        }
        let german = site.get(&format!("/p/{token}?lang=de")).await;
        assert!(german.body.contains("02.11.2026, 09:05 UTC") && german.body.contains("Per Link bestätigt"));
        // It opens as often as the person likes, until it ends.
        site.test.clock.advance(TimeDelta::minutes(61));
        assert_eq!(site.get(&format!("/p/{token}")).await.status, 404);
        let form = [("action", "request"), ("kind", "ACCESS")];
        assert_eq!(site.post(&format!("/p/{token}"), &form).await.status, 404);
    }
}

#[tokio::test]
async fn a_request_is_opened_with_its_period() {
    for site in sites().await {
        let path = format!("/p/{}", site.fresh(id(0, 7)).await);
        for form in [vec![("action", "request")], vec![("action", "request"), ("kind", "OBJECTION")]] {
            let page = site.post(&path, &form).await;
            assert_eq!(page.status, 422);
            assert!(page.body.contains("kind-fault"));
            assert!(page.body.contains("Choose which right you want to use."));
        }
        let long = "ä".repeat(2_001);
        let form = [("action", "request"), ("kind", "ERASURE"), ("note", &long)];
        let page = site.post(&path, &form).await;
        assert_eq!(page.status, 422);
        assert!(page.body.contains("note-fault") && page.body.contains(&long));
        assert!(page.body.contains("value=\"ERASURE\" checked"));
        let form = [("action", "request"), ("kind", "RECTIFICATION"), ("note", "my name is\r\nGina Kohler")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=request");
        let page = site.get(&format!("{path}?done=request")).await;
        assert!(page.body.contains("Your request is recorded."));
        assert!(page.body.contains("Rectification: correct what is wrong (Art. 16)"));
        assert!(page.body.contains("2 December 2026"), "{}", page.body);
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let query = "{ privacyRequests { nodes { kind note contact { id } } } }";
        let data = site.client().data(&desk, query).await;
        let nodes = data["privacyRequests"]["nodes"].as_array().unwrap().iter();
        let opened: Vec<_> = nodes.filter(|node| node["kind"] == "RECTIFICATION").collect();
        assert_eq!(opened.len(), 1);
        assert_eq!(opened[0]["note"], "my name is\r\nGina Kohler");
        assert_eq!(opened[0]["contact"], json!({ "id": id(0, 7).to_string() }));
    }
}

#[tokio::test]
async fn what_a_forwarded_mail_may_do_this_page_may_too() {
    for site in sites().await {
        let path = format!("/p/{}", site.fresh(id(0, 1)).await);
        let marketing = site.test.caller("marketing", "newsletter").await;
        let query = format!("{{ contact(id: \"{}\") {{ email }} }}", id(0, 1));
        assert_ne!(site.client().data(&marketing, &query).await["contact"], json!(null));
        let form = [("purpose", "newsletter"), ("action", "withdraw")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=withdrawn");
        assert_eq!(site.client().data(&marketing, &query).await["contact"], json!(null));
        let page = site.get(&format!("{path}?done=withdrawn")).await;
        assert!(page.body.contains("Withdrawn") && page.body.contains("preference page"));
        // Requests of the person with their state, and nobody else's.
        assert_eq!(page.body.matches("Erasure: delete my data (Art. 17)</h3>").count(), 1);
        assert!(page.body.contains("Anna Köhler") && !page.body.contains("likes tea"));
    }
}

#[tokio::test]
async fn the_person_takes_receipt_and_record_along_and_nobody_elses() {
    for site in sites().await {
        let path = format!("/p/{}", site.fresh(id(0, 1)).await);
        let page = site.get(&format!("{path}?lang=de")).await;
        let link = values(&page.body, "href").into_iter().find(|href| href.ends_with("as=record")).unwrap();
        let link = link.replace("&amp;", "&").replace("&#38;", "&");
        assert!(link.starts_with("?lang=de&consent="), "{link}");
        let record = site.get(&format!("{path}{link}")).await;
        assert_eq!((record.status, record.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(record.body.contains("lang=\"de\"") && !record.body.contains("<script"));
        let policy = record.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
        let receipt = site.get(&format!("{path}{}", link.replace("record", "receipt"))).await;
        assert_eq!((receipt.status, receipt.header("content-type")), (200, "application/ld+json"));
        assert_eq!(receipt.header("content-disposition"), "attachment; filename=\"consent-receipt.json\"");
        let document = receipts::parse(receipt.body.as_bytes()).unwrap();
        let ring = audit::installation_keys(&site.test.app).await.unwrap();
        let keys = receipts::published_keys(ring, &site.test.app.pages).unwrap();
        assert!(receipts::verify(&document, &keys).is_ok());
        // Somebody else's, nobody's, and what is no paper.
        let others = format!("?consent={}&as=record", id(1, 200));
        let nobody = format!("?consent={}&as=record", id(9, 999));
        let invalid = site.get(&format!("{path}{others}")).await;
        assert_eq!(invalid.status, 404);
        assert_eq!(invalid, site.get(&format!("{path}{nobody}")).await);
        // A link that may have been passed on opens no paper.
        let mailed = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let page = site.get(&format!("/p/{mailed}{link}")).await;
        assert!(page.body.contains("Ihre Einstellungen") && !page.body.contains("anna@"));
    }
}

#[tokio::test]
async fn the_person_is_told_of_the_suppression_list() {
    for site in sites().await {
        let path = format!("/p/{}", site.fresh(id(0, 7)).await);
        assert!(!site.get(&path).await.body.contains("Advertising block"));
        let form = [("purpose", "direct_marketing"), ("action", "none")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=none");
        let page = site.get(&path).await;
        assert!(page.body.contains("Advertising block"), "{}", page.body);
        assert!(
            page.body.contains("since 2 November 2026, 09:00 UTC for: Direct marketing"),
            "{}",
            page.body
        );
    }
}
