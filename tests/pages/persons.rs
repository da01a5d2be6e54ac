//! Whose record it is, where several persons read one mailbox: who signs up declares for itself, and a switch for nobody else.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    PagesState,
    mailbox::{anna, answer, ben, consent, link, person, read},
    sites,
};
use crate::{
    signups::{newsletter, sign_up, tokens},
    support::dump::number,
    writes::done,
};

/// Signs up by a name and confirms; the contact.
async fn confirm(site: &PagesState, given: Option<&str>, family: Option<&str>) -> String {
    site.test.clock.advance(TimeDelta::hours(25));
    let new = zweck::domain::signups::SignUp {
        given_name: given.map(str::to_owned),
        family_name: family.map(str::to_owned),
        ..newsletter("Family@example.org", site.test.app.now())
    };
    sign_up(&site.test, &new).await.unwrap();
    site.test.clock.advance(TimeDelta::minutes(1));
    let token = tokens(&site.test).await.pop().unwrap();
    zweck::domain::signups::confirm(&site.test.app, &token, "r").await.unwrap().unwrap().to_string()
}

async fn records(site: &PagesState) -> i64 {
    number(&site.test.app.db.reader, "SELECT COUNT(*) FROM contact WHERE email_key = 'family@example.org'")
        .await
}

#[tokio::test]
async fn who_signs_up_declares_for_itself() {
    for site in sites().await {
        let (anna, ben) = (anna(&site).await, ben(&site).await);
        assert_eq!(confirm(&site, Some("BEN"), Some("Muster")).await, ben);
        assert_eq!(read(&site, &anna).await["consents"]["nodes"], json!([]));
        assert_eq!(read(&site, &ben).await["consents"]["nodes"][0]["status"], "GRANTED");
        // The given name tells which.
        assert_eq!(confirm(&site, Some("Anna"), None).await, anna);
        assert_eq!(records(&site).await, 2);
        // Whoever is neither, or does not say, gets a record of its own; the same the next time.
        let clara = confirm(&site, Some("Clara"), Some("Muster")).await;
        let nobody = confirm(&site, None, None).await;
        let either = confirm(&site, None, Some("Muster")).await;
        assert_eq!(records(&site).await, 5);
        assert_eq!(confirm(&site, Some("Clara"), Some("Muster")).await, clara);
        assert_eq!(confirm(&site, None, None).await, nobody);
        assert_eq!(confirm(&site, None, Some("Muster")).await, either);
        assert_eq!(records(&site).await, 5);
        for own in [&anna, &ben, &clara, &nobody, &either] {
            let kept = read(&site, own).await;
            assert_eq!(kept["consents"]["nodes"].as_array().unwrap().len(), 1, "{kept}");
        }
    }
}

/// The first of a mailbox has no say for the second, though nobody else has a record yet.
#[tokio::test]
async fn the_second_person_does_not_declare_for_the_first() {
    for site in sites().await {
        let anna = anna(&site).await;
        let ben = confirm(&site, Some("Ben"), Some("Muster")).await;
        assert_ne!(ben, anna);
        assert_eq!(read(&site, &anna).await["consents"]["nodes"], json!([]));
        // Who reads alone there needs no name.
        let other = sites().await.remove(0);
        let alone = self::anna(&other).await;
        assert_eq!(confirm(&other, None, None).await, alone);
    }
}

/// A link opens what was signed up to by its own name, and the other name's mail follows.
#[tokio::test]
async fn two_who_sign_up_at_once_answer_each_for_itself() {
    for site in sites().await {
        let mut links = Vec::new();
        for given in ["Anna", "Ben"] {
            site.test.clock.advance(TimeDelta::minutes(1));
            let typed = [
                ("language", "en"),
                ("choice", "newsletter"),
                ("version-newsletter", "2026-1"),
                ("email", "family@example.org"),
                ("givenName", given),
            ];
            assert_eq!(site.post("/p/signup/newsletter", &typed).await.status, 303);
            links.push(tokens(&site.test).await.pop().unwrap());
        }
        assert_ne!(links[0], links[1]);
        let mut contacts = Vec::new();
        site.test.clock.advance(TimeDelta::hours(25));
        for token in &links {
            assert_eq!(site.get(&format!("/p/{token}")).await.body.matches("Signed up on").count(), 1);
            let contact = zweck::domain::signups::confirm(&site.test.app, token, "r").await.unwrap().unwrap();
            contacts.push(contact.to_string());
        }
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let mut names = Vec::new();
        for contact in &contacts {
            let query = format!("{{ contact(id: \"{contact}\") {{ givenName }} }}");
            names.push(site.client().data(&desk, &query).await["contact"]["givenName"].clone());
        }
        assert_eq!(names, [json!("Anna"), json!("Ben")]);
    }
}

#[tokio::test]
async fn a_switch_ends_for_the_mailbox_and_declares_for_nobody_else() {
    for site in sites().await {
        let (anna, ben) = (anna(&site).await, ben(&site).await);
        consent(&site, &anna).await;
        consent(&site, &ben).await;
        let path = link(&site).await;
        let histories = async || [read(&site, &anna).await, read(&site, &ben).await];
        let before = histories().await;
        let form = [("action", "stop"), ("purpose", "newsletter")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        let page = site.get(&format!("{path}?done=stopped")).await;
        assert!(
            page.body.contains("Blocked for this address")
                && page.body.contains("holds for this address at once")
        );
        assert!(!page.body.contains("Goes to this address"));
        for (now, then) in histories().await.iter().zip(&before) {
            assert_eq!((&now["consents"], &now["objections"]), (&then["consents"], &json!([])));
            assert_eq!(now["blocks"], json!([{ "purpose": { "code": "newsletter" }, "channel": "EMAIL" }]));
        }
        let marketing = site.test.caller("marketing", "newsletter").await;
        for contact in [&anna, &ben] {
            let query = format!("{{ contact(id: \"{contact}\") {{ email }} }}");
            assert_eq!(site.client().data(&marketing, &query).await["contact"], json!(null));
        }
        // Said again it is said already; and all of it, by who acts for no record.
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        let form = [("action", "none"), ("purpose", "direct_marketing")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        for (now, then) in histories().await.iter().zip(&before) {
            assert_eq!((&now["consents"], &now["objections"]), (&then["consents"], &json!([])));
        }
        let by_link = "SELECT COUNT(*) FROM audit_entry WHERE action = 'carryBlock' AND actor LIKE 'link:%'";
        assert!(number(&site.test.app.db.reader, by_link).await >= 4);
        // On the own page it is no word of the person either.
        assert_eq!(answer(&site, &path, "K-1002").await.location(), "?done=opened");
        let own = site.get(&path).await;
        assert!(own.body.contains("You have consented; not used at present"));
        assert!(!own.body.contains("You have objected") && !own.body.contains("<strong>Withdrawn"));
        // What is no button of the page does nothing.
        let path = link(&site).await;
        for fields in [
            vec![("action", "withdraw"), ("purpose", "newsletter")],
            vec![("action", "stop"), ("purpose", "customer_care")],
            vec![("action", "stop"), ("purpose", "phone_marketing")],
            vec![("action", "stop"), ("purpose", "direct_marketing")],
            vec![("action", "request"), ("kind", "ACCESS")],
            vec![("action", "fresh")],
            vec![("action", "open")],
            vec![("action", "open"), ("answer", "K-1001"), ("answer", "K-1002")],
            vec![("answer", "K-1001")],
        ] {
            let page = site.post(&path, &fields).await;
            assert_eq!(page.status, 422, "{fields:?}");
            assert!(
                page.body.contains("Nothing was changed") && !page.body.contains("Muster<"),
                "{fields:?}"
            );
        }
    }
}

/// The same person twice: what the mailbox says is the word of that person, on both records.
#[tokio::test]
async fn of_one_person_with_two_records_both_end() {
    for site in sites().await {
        let first = anna(&site).await;
        site.test.clock.advance(TimeDelta::minutes(1));
        let second = person(&site, ["Anna", "Muster"], "70173", "K-2001").await;
        consent(&site, &first).await;
        consent(&site, &second).await;
        let path = link(&site).await;
        assert!(!site.get(&path).await.body.contains("Anna"));
        // The postal code is that of both.
        assert_eq!(answer(&site, &path, "70173").await.status, 422);
        let form = [("action", "stop"), ("purpose", "newsletter")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        for record in [&first, &second] {
            let kept = read(&site, record).await;
            assert_eq!(kept["consents"]["nodes"][0]["status"], "WITHDRAWN", "{kept}");
            assert_eq!(
                kept["consents"]["nodes"][0]["events"][1],
                json!({ "kind": "WITHDRAWN", "source": "preference page" })
            );
        }
        let form = [("action", "none"), ("purpose", "direct_marketing")];
        assert_eq!(site.post(&path, &form).await.location(), "?done=stopped");
        let objection = json!([{ "purpose": { "code": "direct_marketing" }, "channel": "EMAIL" }]);
        assert_eq!(read(&site, &second).await["objections"], objection);
        // Of consents that never were nothing is written.
        let events =
            "SELECT COUNT(*) FROM consent WHERE purpose_code = 'event_invitations' AND status = 'WITHDRAWN'";
        assert_eq!(number(&site.test.app.db.reader, events).await, 0);
        assert_eq!(answer(&site, &path, "K-2001").await.location(), "?done=opened");
        assert!(site.get(&path).await.body.contains("Anna Muster"));
        // Who signs up again opens the oldest of its records.
        assert_eq!(confirm(&site, Some("Anna"), Some("Muster")).await, first);
        assert_eq!(confirm(&site, None, None).await, first);
        // Once they are one, the link that had opened one asks again, and the next opens what there is.
        let path = link(&site).await;
        assert_eq!(answer(&site, &path, "K-2001").await.location(), "?done=opened");
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let merge = json!({ "contactId": first, "duplicateId": second });
        done(&site.client(), &desk, "mergeContacts", merge, "contact { id }").await;
        assert!(site.get(&path).await.body.contains("Open my page"));
        assert!(site.get(&link(&site).await).await.body.contains("Anna Muster"));
    }
}
