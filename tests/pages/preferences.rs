//! What the link of any mail may do: withdraw and object, at once, and nothing that tells who it is.

use axum::{body::Body, http::Request};
use entity::{consent_event, enums::LinkKind, mail, objection};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use super::{PagesState, Reply, sites};
use crate::support::{client::Caller, world::id};

/// What a caller reads of the contact.
async fn read(site: &PagesState, caller: &Caller, number: u128) -> Value {
    let query = format!("{{ contact(id: \"{}\") {{ givenName }} }}", id(0, number));
    site.client().data(caller, &query).await["contact"].clone()
}

/// Sources of all events and objections.
async fn sources(site: &PagesState) -> Vec<String> {
    let db = &site.test.app.db.reader;
    let events = consent_event::Entity::find().all(db).await.unwrap();
    let objections = objection::Entity::find().all(db).await.unwrap();
    let events = events.into_iter().filter_map(|event| event.source);
    events.chain(objections.into_iter().filter_map(|objection| objection.source)).collect()
}

fn one_click(path: &str, multipart: bool) -> Request<Body> {
    let (kind, body) = if multipart {
        let part = "Content-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click";
        ("multipart/form-data; boundary=x", format!("--x\r\n{part}\r\n--x--\r\n"))
    } else {
        ("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click".to_owned())
    };
    Request::post(path).header("content-type", kind).body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn the_page_tells_what_holds_and_not_who_it_is() {
    for site in sites().await {
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let page = site.get(&format!("/p/{token}")).await;
        assert_eq!(page.status, 200);
        for private in ["Anna", "Köhler", "anna@", "23125", "Stuttgart", "1984", "likes tea", "2026", &token]
        {
            assert!(!page.body.contains(private), "{private}");
        }
        assert!(page.body.contains("Withdraw consent: Newsletter"));
        assert!(page.body.contains("Withdraw consent: Event invitations"));
        // Of others it tells not how they stand, and they can be ended all the same.
        assert!(page.body.contains("Withdraw consent: Phone marketing"));
        assert!(page.body.contains("Object: Mail to existing customers"));
        // What is no advertising and does not concern the person, and what no person has a say in.
        for other in ["Business contact", "Security audit", "Customer care", "Consent management"] {
            assert!(!page.body.contains(other), "{other}");
        }
        let german = site.get(&format!("/p/{token}?lang=de")).await;
        assert!(german.body.contains("Einwilligung widerrufen: Newsletter"));
    }
}

/// Whoever writes mails for one purpose knows the links of their readers.
#[tokio::test]
async fn a_link_tells_how_its_own_purpose_stands_and_no_other() {
    for site in sites().await {
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let path = format!("/p/{token}?lang=en");
        let before = site.get(&path).await;
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        for change in [
            format!(
                "withdrawConsent(input: {{ contactId: \"{}\", purpose: \"event_invitations\" }})",
                id(0, 1)
            ),
            format!(
                "recordObjection(input: {{ contactId: \"{}\", purpose: \"existing_customer_mail\" }})",
                id(0, 1)
            ),
        ] {
            let answer = site.client().ask(&desk, &format!("mutation {{ {change} {{ __typename }} }}")).await;
            assert!(answer["errors"].is_null(), "{answer}");
        }
        assert_eq!(site.get(&path).await, before);
        let withdrawal = format!(
            "mutation {{ withdrawConsent(input: {{ contactId: \"{}\", purpose: \"newsletter\" }}) {{ __typename }} }}",
            id(0, 1)
        );
        site.client().ask(&desk, &withdrawal).await;
        assert_ne!(site.get(&path).await.body, before.body);
    }
}

#[tokio::test]
async fn a_link_goes_on_to_work_when_two_records_become_one() {
    for site in sites().await {
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let made = "mutation { createContact(input: { givenName: \"Anna\", source: { name: \"call\" } }) { contact { id } } }";
        let made = site.client().data(&desk, made).await["createContact"]["contact"]["id"].clone();
        let merge = format!(
            "mutation {{ mergeContacts(input: {{ contactId: {made}, duplicateId: \"{}\" }}) {{ contact {{ id email }} }} }}",
            id(0, 1)
        );
        let merged = site.client().data(&desk, &merge).await;
        assert_eq!(merged["mergeContacts"]["contact"]["email"], "anna@example.org");
        let marketing = site.test.caller("marketing", "newsletter").await;
        let read = async || {
            let query = format!("{{ contact(id: {made}) {{ givenName }} }}");
            site.client().data(&marketing, &query).await["contact"].clone()
        };
        assert!(read().await.is_object());
        assert_eq!(site.get(&format!("/p/{token}?lang=en")).await.status, 200);
        assert_eq!(site.send(one_click(&format!("/p/{token}"), false)).await.status, 200);
        assert_eq!(read().await, Value::Null);
        // Under another mailbox it opens nothing.
        let other = site.preference(id(0, 1), "newsletter", "somebody@example.org").await;
        assert_eq!(site.get(&format!("/p/{other}?lang=en")).await.status, 404);
    }
}

#[tokio::test]
async fn a_withdrawal_is_one_click_and_holds_on_the_next_read() {
    for site in sites().await {
        let marketing = site.test.caller("marketing", "newsletter").await;
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let path = format!("/p/{token}");
        assert_eq!(read(&site, &marketing, 1).await, json!({ "givenName": "Anna" }));
        let form = [("purpose", "newsletter"), ("action", "withdraw")];
        let done = site.post(&format!("{path}?lang=en"), &form).await;
        assert_eq!((done.status, done.location()), (303, "?lang=en&done=withdrawn"));
        assert_eq!(read(&site, &marketing, 1).await, Value::Null);
        let page = site.get(&format!("{path}?lang=en&done=withdrawn")).await;
        assert!(page.body.contains("Your withdrawal is recorded and holds at once."));
        assert!(!page.body.contains("Withdraw consent: Newsletter"));
        assert!(page.body.contains("Withdraw consent: Event invitations"));
        assert_eq!(sources(&site).await, ["preference page"]);
    }
}

#[tokio::test]
async fn an_objection_ends_what_rests_on_no_consent() {
    for site in sites().await {
        let marketing = site.test.caller("marketing", "existing_customer_mail").await;
        let token = site.preference(id(0, 10), "newsletter", "jan@example.org").await;
        assert_ne!(read(&site, &marketing, 10).await, Value::Null);
        let form = [("purpose", "existing_customer_mail"), ("action", "object")];
        assert_eq!(site.post(&format!("/p/{token}"), &form).await.location(), "?done=objected");
        assert_eq!(read(&site, &marketing, 10).await, Value::Null);
        let page = site.get(&format!("/p/{token}?lang=en&done=objected")).await;
        assert!(page.body.contains("Your objection is recorded and holds at once."));
        let own = site.preference(id(0, 10), "existing_customer_mail", "jan@example.org").await;
        let page = site.get(&format!("/p/{own}?lang=en")).await;
        assert!(page.body.contains("You have objected"));
        assert!(!page.body.contains("Object: Mail to existing customers"));
    }
}

#[tokio::test]
async fn no_advertising_at_all_is_one_click_too() {
    for site in sites().await {
        let token = site.preference(id(0, 10), "newsletter", "jan@example.org").await;
        let form = [("purpose", "direct_marketing"), ("action", "none")];
        assert_eq!(site.post(&format!("/p/{token}"), &form).await.location(), "?done=none");
        for purpose in ["newsletter", "event_invitations", "existing_customer_mail", "direct_mail"] {
            let marketing = site.test.caller("marketing", purpose).await;
            assert_eq!(read(&site, &marketing, 10).await, Value::Null, "{purpose}");
        }
        let page = site.get(&format!("/p/{token}?lang=en&done=none")).await;
        assert!(page.body.contains("You have objected to all advertising."));
        assert!(!page.body.contains("value=\"none\"") && !page.body.contains("Withdraw consent: Newsletter"));
        assert!(sources(&site).await.iter().all(|source| source == "preference page"));
    }
}

#[tokio::test]
async fn mail_programs_unsubscribe_with_one_post() {
    for site in sites().await {
        let newsletter = site.test.caller("marketing", "newsletter").await;
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let done = site.send(one_click(&format!("/p/{token}"), false)).await;
        assert_eq!((done.status, done.header("content-type")), (200, "text/plain; charset=utf-8"));
        assert!(done.header("set-cookie").is_empty() && done.location().is_empty());
        assert_eq!(read(&site, &newsletter, 1).await, Value::Null);
        assert_eq!(sources(&site).await, ["one-click unsubscribe"]);

        // A use without consent ends by an objection; sent as multipart.
        let customers = site.test.caller("marketing", "existing_customer_mail").await;
        let token = site.preference(id(0, 10), "existing_customer_mail", "jan@example.org").await;
        assert_ne!(read(&site, &customers, 10).await, Value::Null);
        assert_eq!(site.send(one_click(&format!("/p/{token}"), true)).await, done);
        assert_eq!(read(&site, &customers, 10).await, Value::Null);
        assert_ne!(read(&site, &newsletter, 10).await, Value::Null);

        // Where the purpose is neither, every consent for e-mail ends.
        let token = site.preference(id(0, 10), "customer_care", "jan@example.org").await;
        assert_eq!(site.send(one_click(&format!("/p/{token}"), false)).await, done);
        assert_eq!(read(&site, &newsletter, 10).await, Value::Null);

        // What is no link ends nothing, and says so: a mail program shows the status alone.
        assert_eq!(site.send(one_click("/p/pnonsense", true)).await.status, 404);

        // An address that was corrected since: the link shows nothing, and still ends what it was mailed for.
        let token = site.preference(id(0, 4), "event_invitations", "dora.before@example.org").await;
        assert_eq!(site.get(&format!("/p/{token}")).await.status, 404);
        assert_eq!(site.send(one_click(&format!("/p/{token}"), false)).await, done);
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let query =
            format!("{{ contact(id: \"{}\") {{ blocks {{ purpose {{ code }} channel }} }} }}", id(0, 4));
        let blocks = site.client().data(&desk, &query).await["contact"]["blocks"].clone();
        assert_eq!(
            blocks,
            serde_json::json!([{ "purpose": { "code": "event_invitations" }, "channel": "EMAIL" }])
        );
    }
}

/// A link of a confirmation is no link to unsubscribe by, and a program that tries confirms nothing.
#[tokio::test]
async fn one_click_confirms_nothing() {
    let site = sites().await.remove(0);
    let typed = [("choice", "newsletter"), ("version-newsletter", "2026-1"), ("email", "new@example.org")];
    assert_eq!(site.post("/p/signup/newsletter", &typed).await.status, 303);
    let path = format!("/p/{}", crate::signups::tokens(&site.test).await.pop().unwrap());
    assert_eq!(site.send(one_click(&path, false)).await.status, 200);
    assert_eq!(site.get(&path).await.status, 200);
}

#[tokio::test]
async fn what_is_no_button_of_the_page_changes_nothing() {
    let site = sites().await.remove(0);
    let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
    let (before, requests) = (sources(&site).await, site.count::<entity::privacy_request::Entity>().await);
    for form in [
        vec![],
        vec![("action", "withdraw")],
        vec![("purpose", "newsletter")],
        vec![("purpose", "newsletter"), ("action", "grant")],
        vec![("purpose", "newsletter"), ("action", "none")],
        vec![("purpose", "direct_marketing"), ("action", "withdraw")],
        vec![("purpose", "customer_care"), ("action", "object")],
        vec![("purpose", "administration"), ("action", "object")],
        vec![("purpose", "<script>"), ("action", "withdraw")],
        vec![("action", "request"), ("kind", "ACCESS")],
    ] {
        let refused: Reply = site.post(&format!("/p/{token}"), &form).await;
        assert_eq!(refused.status, 422, "{form:?}");
        assert!(refused.body.contains("Nothing was changed") && refused.body.contains("Your choices"));
        assert!(!refused.body.contains("<script>"));
    }
    assert_eq!(sources(&site).await, before);
    assert_eq!(site.count::<entity::privacy_request::Entity>().await, requests);
}

#[tokio::test]
async fn what_only_the_person_may_see_comes_by_mail() {
    for site in sites().await {
        let token = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let asked = site.post(&format!("/p/{token}"), &[("action", "fresh")]).await;
        assert_eq!((asked.status, asked.location()), (303, "?done=fresh"));
        // Asked again too soon no mail is sent, and the answer is the same.
        assert_eq!(site.post(&format!("/p/{token}"), &[("action", "fresh")]).await, asked);
        let mails = mail::Entity::find().all(&site.test.app.db.reader).await.unwrap();
        let sent: Vec<_> = mails.iter().filter(|mail| mail.period.is_some()).collect();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].kind, sent[0].contact_id), (LinkKind::Fresh, Some(id(0, 1))));
        assert_eq!(
            (sent[0].recipient.as_deref(), sent[0].language.as_str()),
            (Some("anna@example.org"), "en")
        );
    }
}
