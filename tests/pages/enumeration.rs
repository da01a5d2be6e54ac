//! Nobody learns from the pages who is known, or which links are: status, headers and bodies are the same.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use entity::{contact, sign_up};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{PagesState, Reply, post, sites};
use crate::{signups::tokens, support::world::id};

const FORM: &str = "/p/signup/newsletter";
/// A link that shows nothing any more, and still ends what it was mailed for.
const ENDS: &str = "one to another address";

fn typed(email: &str) -> [(&str, &str); 4] {
    [("language", "en"), ("choice", "newsletter"), ("version-newsletter", "2026-1"), ("email", email)]
}

/// The last link that was mailed.
async fn mailed(site: &PagesState) -> String {
    tokens(&site.test).await.pop().unwrap()
}

/// Links that open nothing, each for a reason of its own.
async fn dead(site: &PagesState) -> Vec<(&'static str, String)> {
    site.post(FORM, &typed("ended@example.org")).await;
    let ended = mailed(site).await;
    let closed = site.fresh(id(0, 7)).await;
    site.test.clock.advance(TimeDelta::hours(49));
    site.post(FORM, &typed("used@example.org")).await;
    let used = mailed(site).await;
    assert_eq!(site.post(&format!("/p/{used}"), &[("action", "confirm")]).await.status, 303);
    let live = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
    let moved = site.fresh(id(0, 2)).await;
    let row = contact::ActiveModel {
        id: Set(id(0, 2)),
        email_key: Set(Some("elsewhere@example.org".to_owned())),
        ..Default::default()
    };
    row.update(&site.test.app.db.writer).await.unwrap();
    let nobody = site.preference(id(0, 999), "newsletter", "anna@example.org").await;
    vec![
        ("a confirmation that ended", ended),
        ("a confirmation that was used", used),
        ("a fresh link that ended", closed),
        ("a fresh link to an address that is another by now", moved),
        ("a mailed link that never was", format!("m{}", "A".repeat(43))),
        ("a preference link to nobody", nobody),
        (ENDS, site.preference(id(0, 1), "newsletter", "other@example.org").await),
        ("one of a person who is erased", site.preference(id(0, 6), "newsletter", "fritz@example.org").await),
        ("one of a person only kept", site.preference(id(0, 11), "newsletter", "karl@example.org").await),
        ("one that was lengthened", format!("{live}AAAA")),
        ("one that was cut", live[..live.len() - 9].to_owned()),
        ("a letter", "m".to_owned()),
        ("no link", "index.html".to_owned()),
        ("a long one", format!("p{}", "a".repeat(5_000))),
        ("a script", "%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned()),
        ("no text", "%FF%00".to_owned()),
    ]
}

/// Everything that can be sent to a link.
fn requests(path: &str) -> Vec<Request<Body>> {
    let plain = |method: &str| {
        let request = Request::builder().method(method).uri(path).header("accept-language", "en");
        request.body(Body::empty()).unwrap()
    };
    vec![
        plain("GET"),
        plain("HEAD"),
        plain("PUT"),
        plain("DELETE"),
        plain("OPTIONS"),
        plain("POST"),
        post(path, &[]),
        post(path, &[("action", "confirm")]),
        post(path, &[("purpose", "newsletter"), ("action", "withdraw")]),
        post(path, &[("purpose", "direct_marketing"), ("action", "none")]),
        post(path, &[("action", "fresh")]),
        post(path, &[("action", "request"), ("kind", "ACCESS")]),
        post(path, &[("List-Unsubscribe", "One-Click")]),
        post(path, &[("note", &"x".repeat(40_000))]),
    ]
}

#[tokio::test]
async fn links_that_open_nothing_look_alike() {
    for site in sites().await {
        let mut first: Option<Vec<Reply>> = None;
        for (which, token) in dead(&site).await {
            let mut replies = Vec::new();
            for request in requests(&format!("/p/{token}")) {
                replies.push(site.send(request).await);
            }
            assert!(token.len() < 5 || replies.iter().all(|reply| !reply.body.contains(&token)), "{which}");
            match &first {
                None => {
                    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
                    assert_eq!(
                        statuses,
                        [404, 404, 405, 405, 204, 415, 404, 404, 404, 404, 404, 404, 404, 413]
                    );
                    assert!(replies[0].body.contains("This link is not valid any more"));
                    assert_eq!(replies[0].body, replies[6].body);
                    first = Some(replies);
                }
                Some(first) => {
                    if which == ENDS {
                        assert_eq!(replies[12].status, 200);
                        replies[12] = first[12].clone();
                    }
                    assert_eq!(&replies, first, "{which}");
                }
            }
        }
    }
}

/// A mail program is told the same of every link that ends something, and of every one that cannot: it shows the status alone.
#[tokio::test]
async fn unsubscribing_is_answered_the_same_for_all() {
    for site in sites().await {
        let click = [("List-Unsubscribe", "One-Click")];
        let live = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let done = site.post(&format!("/p/{live}"), &click).await;
        assert_eq!(site.post(&format!("/p/{live}"), &click).await, done);
        let nothing = site.post("/p/pnonsense", &click).await;
        assert_eq!((done.status, nothing.status), (200, 404));
        for (which, token) in dead(&site).await {
            let expected = if which == ENDS { &done } else { &nothing };
            assert_eq!(site.post(&format!("/p/{token}"), &click).await, *expected, "{which}");
        }
        let account = site.fresh(id(0, 7)).await;
        assert_eq!(site.post(&format!("/p/{account}"), &click).await, nothing);
    }
}

#[tokio::test]
async fn addresses_are_answered_the_same() {
    for site in sites().await {
        let mut first: Option<[Reply; 2]> = None;
        // Known, in other letters, again too soon, withdrawn, objected, restricted, erased, only kept, a further address, unknown.
        let addresses = [
            "anna@example.org",
            "ANNA@example.org",
            "anna@example.org",
            "bernd@example.org",
            "dora@example.org",
            "emil@example.org",
            "fritz@example.org",
            "karl@example.org",
            "anna@work.example",
            "nobody@example.org",
            "nobody@example.org",
            "käthe@example.org",
        ];
        for email in addresses {
            let replies =
                [site.post(FORM, &typed(email)).await, site.post("/p/link", &[("email", email)]).await];
            assert_eq!(replies.each_ref().map(|reply| reply.status), [303, 303], "{email}");
            let first = first.get_or_insert_with(|| replies.clone());
            assert_eq!(&replies, first, "{email}");
        }
        assert_eq!(site.count::<sign_up::Entity>().await, addresses.len());
        // What is no address is the same for all too.
        let wrong = site.post("/p/link", &[("email", "anna@")]).await;
        assert_eq!((wrong.status, wrong.body.matches("name@example.org").count()), (422, 1));
        assert!(wrong.body.contains("value=\"anna@\""));
    }
}
