//! Only the act that a page offers declares or ends anything; whatever else is sent shows the page again and leaves no trace.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use entity::{
    consent,
    enums::{Channel, ConsentStatus},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use zweck::domain::signups;

use super::{PagesState, post, sites, values};
use crate::{
    signups::{newsletter, sign_up, tokens},
    support::{
        dump::{dump, number},
        world::id,
    },
    writes::done,
};

fn raw(path: &str, kind: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("accept-language", "en").header("content-type", kind);
    request.body(Body::from(body.to_owned())).unwrap()
}

fn multipart(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let part = |(name, value): &(&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts: String = fields.iter().map(part).collect();
    raw(path, "multipart/form-data; boundary=x", &format!("{parts}--x--\r\n"))
}

/// Everything that can be sent to a link that declares, but for what its button sends.
fn strange(path: &str, act: &str, mark: &str) -> Vec<(Request<Body>, u16)> {
    let other = if act == "confirm" { "renew" } else { "confirm" };
    let mut all: Vec<(Request<Body>, u16)> = [
        vec![],
        vec![("x", "y")],
        vec![("shown", mark)],
        vec![("action", ""), ("shown", mark)],
        vec![("action", other), ("shown", mark)],
        vec![("action", "CONFIRM"), ("shown", mark)],
        vec![("action", "withdraw"), ("purpose", "newsletter")],
        vec![("action", "none"), ("purpose", "direct_marketing")],
        vec![("action", "fresh")],
        vec![("action", "request"), ("kind", "ACCESS")],
        vec![("choice", "newsletter"), ("version-newsletter", "2026-1")],
        vec![("action", act), ("action", "none"), ("shown", mark)],
        vec![("action", "none"), ("action", act), ("shown", mark)],
        vec![("action", act), ("shown", mark), ("shown", "0")],
        vec![("action", act), ("shown", "0")],
        vec![("action", act), ("shown", "")],
    ]
    .into_iter()
    .map(|fields| (post(path, &fields), 422))
    .collect();
    all.push((multipart(path, &[("action", act), ("shown", mark)]), 422));
    all.push((multipart(path, &[("action", act)]), 422));
    all.push((raw(path, "application/x-www-form-urlencoded", "\0\u{1}action=confirm"), 422));
    // What mail programs send to unsubscribe is no fault of theirs.
    all.push((multipart(path, &[("List-Unsubscribe", "One-Click")]), 200));
    all.push((post(path, &[("List-Unsubscribe", "One-Click")]), 200));
    all.push((post(path, &[("List-Unsubscribe", "One-Click"), ("action", act), ("shown", mark)]), 200));
    // No form at all.
    all.push((raw(path, "text/plain", &format!("action={act}")), 415));
    all.push((raw(path, "application/json", &format!("{{\"action\":\"{act}\"}}")), 415));
    all
}

/// Sends all of it and looks that nothing is written, be it a value, a use or an entry of the log.
async fn unmoved(site: &PagesState, token: &str, act: &str) {
    let path = format!("/p/{token}");
    let page = site.get(&path).await;
    let mark = values(page.body.split("<form method=\"post\">").last().unwrap(), "value")[0].to_owned();
    let before = dump(&site.test.app.db.reader).await;
    for _ in 0..2 {
        assert_eq!(site.get(&path).await, page);
        let head = Request::head(&path).body(Body::empty()).unwrap();
        assert_eq!(site.send(head).await.status, 200);
    }
    for (request, status) in strange(&path, act, &mark) {
        let what = format!("{request:?}");
        let reply = site.send(request).await;
        assert_eq!(reply.status, status, "{what}");
        if status != 415 {
            assert!(reply.body.contains("Nothing has been declared"), "{what}: {}", reply.body);
            assert!(reply.body.contains("role=\"alert\"") && reply.body.contains(&mark), "{what}");
        }
    }
    assert_eq!(dump(&site.test.app.db.reader).await, before);
    // The button of the page, though, does what it says.
    let pressed = site.post(&path, &[("shown", &mark), ("action", act)]).await;
    assert_eq!((pressed.status, pressed.location()), (303, "/p/confirmed"));
    assert_eq!(site.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_confirmation_is_the_press_of_its_button() {
    for site in sites().await {
        sign_up(&site.test, &newsletter("new@example.org", site.test.app.now())).await.unwrap();
        let token = tokens(&site.test).await.remove(0);
        unmoved(&site, &token, "confirm").await;
        let confirmed = "SELECT COUNT(*) FROM consent_event WHERE kind = 'CONFIRMED'";
        assert_eq!(number(&site.test.app.db.reader, confirmed).await, 1);
    }
}

#[tokio::test]
async fn a_renewal_is_the_press_of_its_button() {
    for site in sites().await {
        let test = &site.test;
        sign_up(test, &newsletter("loyal@example.org", test.app.now())).await.unwrap();
        test.clock.advance(TimeDelta::minutes(1));
        let token = tokens(test).await.remove(0);
        let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
        let due = crate::signups::consents_of(test, contact).await.remove(0).review_due_at.unwrap();
        test.clock.advance(due - test.app.now());
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 1);
        let token = tokens(test).await.remove(1);
        unmoved(&site, &token, "renew").await;
        let renewed = "SELECT COUNT(*) FROM consent_event WHERE kind = 'RENEWED'";
        assert_eq!(number(&test.app.db.reader, renewed).await, 1);
    }
}

/// Of a link of one purpose, and of the account, what the page does not offer is not done.
#[tokio::test]
async fn what_the_page_does_not_offer_is_not_done() {
    for site in sites().await {
        let preference = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let account = site.fresh(id(0, 1)).await;
        for token in [preference, account] {
            let path = format!("/p/{token}");
            let before = dump(&site.test.app.db.reader).await;
            for fields in [
                vec![],
                vec![("action", "confirm")],
                vec![("action", "renew")],
                vec![("action", "everything"), ("purpose", "newsletter")],
                vec![("action", "object"), ("purpose", "newsletter")],
                vec![("action", "withdraw"), ("purpose", "existing_customer_mail")],
                vec![("action", "withdraw"), ("purpose", "nonsense")],
                vec![("action", "object"), ("purpose", "security_audit")],
                vec![("action", "none"), ("purpose", "newsletter")],
                vec![("action", "withdraw"), ("purpose", "newsletter"), ("purpose", "event_invitations")],
                vec![("action", "object"), ("action", "withdraw"), ("purpose", "newsletter")],
            ] {
                // What was done before is not told of again.
                let reply = site.post(&format!("{path}?done=withdrawn"), &fields).await;
                assert_eq!(reply.status, 422, "{fields:?}");
                assert!(reply.body.contains("Nothing was changed") && !reply.body.contains("is recorded"));
            }
            assert_eq!(dump(&site.test.app.db.reader).await, before);
        }
        // A use that is none of the mail's, and no advertising, is not on this page.
        let other = site.preference(id(0, 10), "newsletter", "jan@example.org").await;
        let fields = [("action", "object"), ("purpose", "business_contact")];
        assert_eq!(site.post(&format!("/p/{other}"), &fields).await.status, 422);
    }
}

/// "None to withdraw" is no event: of what never was nothing is written, and the answer is the same.
#[tokio::test]
async fn of_consents_that_never_were_nothing_is_written() {
    for site in sites().await {
        let (test, client) = (&site.test, site.client());
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let withdraw = async |token: &str, purpose: &str| {
            let fields = [("action", "withdraw"), ("purpose", purpose)];
            let reply = site.post(&format!("/p/{token}"), &fields).await;
            assert_eq!((reply.status, reply.location()), (303, "?done=withdrawn"), "{purpose}");
        };
        // Jan has no consent to any of these.
        let jan = site.preference(id(0, 10), "phone_marketing", "jan@example.org").await;
        let none = consent::Entity::find().filter(consent::Column::ContactId.eq(id(0, 10)));
        let had = none.all(&test.app.db.reader).await.unwrap();
        assert!(had.iter().all(|row| row.purpose_code == "newsletter"), "{had:?}");
        // Consents with their events; and the noes to addresses.
        let kept = async || {
            let mut all = dump(&test.app.db.reader).await;
            let mut of = |names: [&str; 2]| names.map(|name| all.remove(name).unwrap());
            (of(["consent", "consent_event"]), of(["suppression", "objection"]))
        };
        let before = kept().await;
        withdraw(&jan, "phone_marketing").await;
        withdraw(&jan, "event_invitations").await;
        let blocked = kept().await;
        assert_eq!(blocked.0, before.0);
        assert_ne!(blocked.1, before.1);
        for _ in 0..2 {
            assert_eq!(
                site.post(&format!("/p/{jan}"), &[("List-Unsubscribe", "One-Click")]).await.status,
                200
            );
            assert_eq!(kept().await.0, before.0);
        }
        // What was given ends on its channel, once; the other channel was never given.
        let anna = site.preference(id(0, 1), "event_invitations", "anna@example.org").await;
        withdraw(&anna, "event_invitations").await;
        let ended = kept().await;
        assert_ne!(ended.0, before.0);
        withdraw(&anna, "event_invitations").await;
        assert_eq!(site.post(&format!("/p/{anna}"), &[("List-Unsubscribe", "One-Click")]).await.status, 200);
        assert_eq!(kept().await.0, ended.0);
        let rows = consent::Entity::find()
            .filter(consent::Column::ContactId.eq(id(0, 1)))
            .filter(consent::Column::PurposeCode.eq("event_invitations"));
        let rows = rows.all(&test.app.db.reader).await.unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.channel, row.status), (Channel::Phone, ConsentStatus::Withdrawn));
        // No advertising at all is an objection, and withdraws what there is.
        let fields = [("action", "none"), ("purpose", "direct_marketing")];
        let rows = "SELECT COUNT(*) FROM consent";
        let consents = number(&test.app.db.reader, rows).await;
        assert_eq!(site.post(&format!("/p/{anna}"), &fields).await.location(), "?done=none");
        assert_eq!(number(&test.app.db.reader, rows).await, consents);
        let gone = client.data(&desk, &format!("{{ contact(id: \"{}\") {{ consents {{ nodes {{ status }} }} objections {{ purpose {{ code }} }} }} }}", id(0, 1))).await;
        let nodes = gone["contact"]["consents"]["nodes"].as_array().unwrap();
        assert!(nodes.iter().all(|node| node["status"] == "WITHDRAWN"), "{gone}");
        // A consent that waits for the person is one to be withdrawn.
        let staff = test.caller("marketing", "consent_management").await;
        // A later word of the person than its no.
        test.clock.advance(TimeDelta::minutes(1));
        let ask = json!({ "contactId": id(0, 10), "purpose": "event_invitations", "language": "de", "form": "fair",
                          "declaredAt": test.app.now() });
        done(&client, &staff, "requestConsent", ask, "consent { id }").await;
        test.clock.advance(TimeDelta::minutes(1));
        withdraw(&jan, "event_invitations").await;
        let token = tokens(test).await.pop().unwrap();
        assert_eq!(site.get(&format!("/p/{token}")).await.status, 404);
    }
}
