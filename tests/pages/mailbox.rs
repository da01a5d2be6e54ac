//! A fresh link to a mailbox of several records: nothing of any of them, until the person tells something that it knows.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use zweck::domain::signups;

use super::{PagesState, Reply, sites};
use crate::{
    signups::tokens,
    support::{dump::number, world::id},
    writes::done,
};

const MAILBOX: &str = "family@example.org";

/// A person of the mailbox with a customer number; the id of its record.
pub async fn person(site: &PagesState, names: [&str; 2], code: &str, customer: &str) -> String {
    let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
    let phone = format!("+49 30 23125 {}", customer.len() * 7 + code.len());
    let input = json!({ "givenName": names[0], "familyName": names[1], "email": MAILBOX, "postalCode": code,
        "city": "Musterstadt", "phone": phone, "notes": format!("likes {customer}"), "source": { "name": "shop" } });
    let made = done(&site.client(), &desk, "createContact", input, "contact { id }").await;
    let contact = made["contact"]["id"].as_str().unwrap().to_owned();
    let number = contact.replace('-', "");
    let id = match site.test.app.db.backend() {
        sea_orm::DbBackend::Postgres => format!("'{contact}'"),
        _ => format!("x'{number}'"),
    };
    let sql = format!("UPDATE provenance SET external_id = '{customer}' WHERE contact_id = {id}");
    site.test.app.db.writer.execute_unprepared(&sql).await.unwrap();
    contact
}

pub async fn anna(site: &PagesState) -> String {
    person(site, ["Anna", "Muster"], "70173", "K-1001").await
}

pub async fn ben(site: &PagesState) -> String {
    person(site, ["Ben", "Muster"], "80331", "K-1002").await
}

/// Has the newsletter consented to by a person.
pub async fn consent(site: &PagesState, contact: &str) -> String {
    let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
    let at = site.test.app.now().to_rfc3339();
    let input = json!({ "contactId": contact, "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
        "language": "en", "proof": "signed_paper", "declaredAt": at, "source": "fair" });
    let made = done(&site.client(), &desk, "recordConsent", input, "consent { id }").await;
    made["consent"]["id"].as_str().unwrap().to_owned()
}

/// The path of a fresh link, asked for by the address a day after the last.
pub async fn link(site: &PagesState) -> String {
    site.test.clock.advance(TimeDelta::hours(25));
    assert_eq!(site.post("/p/link", &[("email", MAILBOX)]).await.location(), "/p/link/sent");
    format!("/p/{}", tokens(&site.test).await.pop().unwrap())
}

pub async fn answer(site: &PagesState, path: &str, text: &str) -> Reply {
    site.post(path, &[("action", "open"), ("answer", text)]).await
}

/// What the desk reads of a record.
pub async fn read(site: &PagesState, contact: &str) -> Value {
    let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
    let query = format!(
        "{{ contact(id: \"{contact}\") {{ consents {{ nodes {{ status events {{ kind source }} }} }} objections {{ purpose {{ code }} channel }} \
         blocks {{ purpose {{ code }} channel }} }} }}"
    );
    site.client().data(&desk, &query).await["contact"].clone()
}

#[tokio::test]
async fn nothing_is_told_of_any_record_nor_how_many_there_are() {
    for site in sites().await {
        let (anna, _) = (anna(&site).await, ben(&site).await);
        consent(&site, &anna).await;
        let path = link(&site).await;
        let two = site.get(&path).await;
        assert_eq!(two.status, 200);
        for private in [
            "Anna",
            "Ben",
            "Muster<",
            "Musterstadt",
            "K-100",
            "70173",
            "80331",
            "23125",
            "likes",
            MAILBOX,
            "2026",
        ] {
            assert!(!two.body.contains(private), "{private}: {}", two.body);
        }
        assert!(
            two.body.contains("Goes to this address")
                && two.body.contains("No longer to this address: Newsletter")
        );
        assert!(!two.body.contains("Phone marketing") && !two.body.contains("Customer care"));
        // A third record, and one that is kept elsewhere with the mailbox as a further address, change no byte.
        let third = person(&site, ["Clara", "Muster"], "70173", "K-1003").await;
        assert_eq!(site.get(&path).await, two);
        assert_eq!(site.get(&link(&site).await).await, two);
        // Nor does it matter by whose preference page the link was asked for.
        site.test.clock.advance(TimeDelta::hours(25));
        let fresh = site.fresh(third.parse().unwrap()).await;
        assert_eq!(site.get(&format!("/p/{fresh}")).await, two);
        // No paper is handed out, and nothing is unsubscribed from.
        assert_eq!(site.get(&format!("/p/{fresh}?consent={}&as=record", id(1, 100))).await.status, 404);
        let click = [("List-Unsubscribe", "One-Click")];
        assert_eq!(site.post(&format!("/p/{fresh}"), &click).await.status, 404);
        let german = site.get(&format!("/p/{fresh}?lang=de")).await;
        assert!(german.body.contains("Ihre Kundennummer oder Ihre Postleitzahl"));
    }
}

/// A mailbox that is the further one of somebody else proves nobody either.
#[tokio::test]
async fn a_further_address_makes_a_mailbox_that_of_several() {
    for site in sites().await {
        anna(&site).await;
        let path = link(&site).await;
        assert!(site.get(&path).await.body.contains("Anna Muster"));
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let input = json!({ "contactId": id(0, 7), "kind": "EMAIL", "email": MAILBOX });
        done(&site.client(), &desk, "addContactPoint", input, "contact { id }").await;
        // The link that was mailed before asks as well.
        let page = site.get(&path).await;
        assert!(!page.body.contains("Anna") && page.body.contains("Open my page"));
        let path = link(&site).await;
        assert_eq!(site.get(&path).await, page);
        // Who has it as a further one is not shown by it what is kept.
        assert_eq!(answer(&site, &path, "7777").await.status, 422);
        assert_eq!(answer(&site, &path, "K-1001").await.location(), "?done=opened");
        assert!(site.get(&path).await.body.contains("Anna Muster"));
    }
}

#[tokio::test]
async fn what_the_person_knows_opens_its_own_record_for_this_link_alone() {
    for site in sites().await {
        let (anna, ben) = (anna(&site).await, ben(&site).await);
        let (first, second) = (consent(&site, &anna).await, consent(&site, &ben).await);
        for (told, name, other, [own, others]) in [
            ("70173", "Anna Muster", "Ben", [&first, &second]),
            (" k 1001 ", "Anna Muster", "Ben", [&first, &second]),
            ("80331", "Ben Muster", "Anna", [&second, &first]),
            ("K1002", "Ben Muster", "Anna", [&second, &first]),
        ] {
            let path = link(&site).await;
            let opened = answer(&site, &path, told).await;
            assert_eq!((opened.status, opened.location()), (303, "?done=opened"), "{told}");
            let page = site.get(&format!("{path}?done=opened")).await;
            assert!(page.body.contains(name) && !page.body.contains(other), "{told}");
            assert!(page.body.contains("This is your own page."));
            // Its papers, and nobody else's.
            assert_eq!(site.get(&format!("{path}?consent={own}&as=record")).await.status, 200);
            assert_eq!(site.get(&format!("{path}?consent={others}&as=record")).await.status, 404);
            assert_eq!(site.get(&format!("{path}?consent={others}&as=receipt")).await.status, 404);
            // What is done on it is done for this record.
            let form = [("action", "request"), ("kind", "ACCESS")];
            assert_eq!(site.post(&path, &form).await.location(), "?done=request");
        }
        // The next link asks again.
        let path = link(&site).await;
        assert!(!site.get(&path).await.body.contains("Muster<"));
        let opened = "SELECT COUNT(*) FROM audit_entry WHERE action = 'openRecord' AND contact_id IS NOT NULL AND actor LIKE 'subject:%'";
        assert_eq!(number(&site.test.app.db.reader, opened).await, 4);
        let requests = "SELECT COUNT(DISTINCT contact_id) FROM privacy_request WHERE kind = 'ACCESS' AND status = 'RECEIVED' \
                        AND created_at > (SELECT MIN(created_at) FROM link)";
        assert_eq!(number(&site.test.app.db.reader, requests).await, 2);
    }
}

#[tokio::test]
async fn wrong_unknown_and_shared_answers_look_alike_and_are_bounded() {
    for site in sites().await {
        anna(&site).await;
        ben(&site).await;
        person(&site, ["Clara", "Muster"], "70173", "71").await;
        let path = link(&site).await;
        let before = site.get(&path).await;
        // Nothing to be compared is no try.
        for nothing in ["", "  ", "-/-"] {
            let page = answer(&site, &path, nothing).await;
            assert_eq!(page.status, 422);
            assert!(page.body.contains("Enter your customer number or your postal code."));
        }
        // Of two, of nobody, of somebody who is not of this mailbox, a name, one so short that it is guessed.
        let mut first: Option<Reply> = None;
        for told in ["70173", "99999", "1177", "Annamuster"] {
            let page = answer(&site, &path, told).await;
            assert_eq!(page.status, 422);
            assert!(
                page.body.contains("No page can be opened by that.") && !page.body.contains(told),
                "{told}"
            );
            assert_eq!(&page, first.get_or_insert_with(|| page.clone()), "{told}");
        }
        assert_eq!(site.get(&path).await, before);
        let last = answer(&site, &path, "71").await;
        assert_eq!(last.status, 422);
        assert!(
            last.body.contains("This link opens no page any more.") && !last.body.contains("name=\"answer\"")
        );
        // What is right comes too late; what was not asked is not done.
        for told in ["K-1001", "80331", "99999"] {
            let page = answer(&site, &path, told).await;
            assert_eq!(page.status, 422);
            assert!(page.body.contains("Nothing was changed") && !page.body.contains("Muster<"));
        }
        assert_eq!(
            signups::open_record(&site.test.app, &path[3..], "80331", "r").await.unwrap(),
            Some(signups::RecordAttempt::Closed)
        );
        let count = async |sql: &str| number(&site.test.app.db.reader, sql).await;
        let wrong = "SELECT COUNT(*) FROM audit_entry WHERE action = 'tellWrong'";
        assert_eq!(count(wrong).await, 5);
        assert_eq!(count(&format!("{wrong} AND contact_id IS NULL AND actor = 'page'")).await, 5);
        assert_eq!(count("SELECT COUNT(*) FROM link WHERE tries = 5").await, 1);
        assert_eq!(count("SELECT COUNT(*) FROM link WHERE opened_id IS NOT NULL").await, 0);
        // The switches go on to work, and the next link asks anew.
        let form = [("action", "none"), ("purpose", "direct_marketing")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        assert!(site.get(&path).await.body.contains("This address is blocked for all advertising."));
        let path = link(&site).await;
        assert_eq!(answer(&site, &path, "80331").await.location(), "?done=opened");
        site.test.clock.advance(TimeDelta::minutes(61));
        assert_eq!(site.get(&path).await.status, 404);
        assert_eq!(answer(&site, &path, "80331").await.status, 404);
    }
}

/// Twenty at once: as many are compared as may be, on however many servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tries_at_once_are_counted_each() {
    for site in sites().await {
        anna(&site).await;
        ben(&site).await;
        let path = link(&site).await;
        let tries = (0..20).map(async |at| {
            let told = format!("wrong{at}");
            signups::open_record(&site.test.app, &path[3..], &told, "r").await.unwrap()
        });
        let all = futures_util::future::join_all(tries).await;
        assert_eq!(all.iter().filter(|tried| **tried == Some(signups::RecordAttempt::Wrong)).count(), 5);
        assert_eq!(all.iter().filter(|tried| **tried == Some(signups::RecordAttempt::Closed)).count(), 15);
    }
}
