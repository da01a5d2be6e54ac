//! Sign-ups: asked for by a person, confirmed by a mailed link, once; nothing told of who is known.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent, contact,
    enums::{ConsentStatus, LinkKind},
    link, mail, sign_up,
};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{
    audit::{self, Author},
    auth::{actor::Actor, credential::Credential},
    base::error::{Code, Error},
    crypto::link_tokens,
    domain::{
        objections::{self, NewObjection},
        signups::{self, Choice, MagicLinkTarget, SignUp},
    },
};

use crate::{
    reads::worlds,
    support::{
        app::TestApp,
        dump::{dump, number},
        world::id,
    },
    writes::{done, mutate, refusal},
};

/// A sign-up to the newsletter.
pub fn newsletter(address: &str, at: DateTime<Utc>) -> SignUp {
    SignUp {
        contact_id: None,
        address: address.to_owned(),
        given_name: Some("Saatgut".to_owned()),
        family_name: None,
        language: "de".to_owned(),
        source: "newsletter".to_owned(),
        choices: vec![Choice { purpose: "newsletter".to_owned(), text_version: None }],
        notice_version: Some("2026-1".to_owned()),
        signed_up_at: at,
    }
}

/// Signs up in a transaction of its own, as a page does.
pub async fn sign_up(test: &TestApp, new: &SignUp) -> Result<(), Error> {
    let mut tx = audit::begin(&test.app, Author::command(&test.app, "page", None)).await?;
    signups::sign_up(&mut tx, &test.app, new).await?;
    tx.commit().await
}

/// Tokens of the links of mails that are to be sent, the oldest first.
pub async fn tokens(test: &TestApp) -> Vec<String> {
    let ring = audit::installation_keys(&test.app).await.unwrap();
    let mails = mail::Entity::find().order_by_asc(mail::Column::Id).all(&test.app.db.reader).await.unwrap();
    let sent = mails.into_iter().filter(|mail| mail.period.is_some());
    sent.map(|mail| link_tokens::one_time_token(ring, mail.link_id).unwrap()).collect()
}

/// Every consent to the newsletter of the contact.
pub async fn consents_of(test: &TestApp, contact: Uuid) -> Vec<consent::Model> {
    let rows =
        consent::Entity::find().order_by_asc(consent::Column::Id).all(&test.app.db.reader).await.unwrap();
    rows.into_iter().filter(|row| row.contact_id == contact && row.purpose_code == "newsletter").collect()
}

#[tokio::test]
async fn a_sign_up_becomes_a_consent_once_by_its_link() {
    for world in worlds().await {
        let test = &world.test;
        let at = test.app.now();
        test.clock.advance(TimeDelta::minutes(1));
        sign_up(test, &newsletter("New.Person@Example.org", at)).await.unwrap();
        let [token] = <[String; 1]>::try_from(tokens(test).await).unwrap();
        let pending = signups::pending(&test.app, &token).await.unwrap().unwrap();
        let [offer] = pending.offers.as_slice() else { panic!("{pending:?}") };
        assert_eq!((offer.language.as_str(), offer.purpose.as_str()), ("de", "newsletter"));
        assert_eq!((offer.version.as_str(), offer.signed_up_at), ("2026-1", Some(at)));
        assert!(offer.text.len() > 40, "the text in full");
        test.clock.advance(TimeDelta::hours(1));
        let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), None);
        assert_eq!(signups::pending(&test.app, &token).await.unwrap(), None);
        let [consent] = <[consent::Model; 1]>::try_from(consents_of(test, contact).await).unwrap();
        assert_eq!(consent.status, ConsentStatus::Granted);
        assert_eq!(consent.bound_address.as_deref(), Some("new.person@example.org"));
        assert_eq!(consent.confirmed_at, Some(test.app.now()));
        assert!(consent.expires_at.is_some() && consent.review_due_at < consent.expires_at);
        let row = contact::Entity::find_by_id(contact).one(&test.app.db.reader).await.unwrap().unwrap();
        assert_eq!(row.email.as_deref(), Some("New.Person@Example.org"));
        assert_eq!(row.given_name.as_deref(), Some("Saatgut"));
        assert!(sign_up::Entity::find().one(&test.app.db.reader).await.unwrap().is_none());
        let used = link::Entity::find().one(&test.app.db.reader).await.unwrap().unwrap();
        assert_eq!((used.used_at, used.contact_id), (Some(test.app.now()), Some(contact)));
    }
}

#[tokio::test]
async fn what_a_form_may_not_say_is_told_with_its_place() {
    for world in worlds().await {
        let test = &world.test;
        let now = test.app.now();
        let good = newsletter("a.b@example.org", now);
        let of = |purpose: &str, version: Option<&str>| SignUp {
            choices: vec![Choice { purpose: purpose.to_owned(), text_version: version.map(str::to_owned) }],
            ..good.clone()
        };
        let bad = [
            (SignUp { address: "no address".to_owned(), ..good.clone() }, "input.email"),
            (SignUp { address: "a@b.example\r\nBcc: c@d.example".to_owned(), ..good.clone() }, "input.email"),
            (SignUp { given_name: Some("a\r\nb".to_owned()), ..good.clone() }, "input.givenName"),
            (SignUp { language: "fr".to_owned(), ..good.clone() }, "input.language"),
            (SignUp { source: String::new(), ..good.clone() }, "input.form"),
            (SignUp { choices: Vec::new(), ..good.clone() }, "input.purpose"),
            (of("direct_marketing", None), "input.purpose"),
            (of("customer_care", None), "input.purpose"),
            (of("phone_marketing", None), "input.purpose"),
            (of("nonsense", None), "input.purpose"),
            (of("newsletter", Some("1999-1")), "input.textVersion"),
            (newsletter("a.b@example.org", now + TimeDelta::seconds(1)), "input.declaredAt"),
            (newsletter("a.b@example.org", now - TimeDelta::days(8)), "input.declaredAt"),
        ];
        for (new, place) in bad {
            let refused = sign_up(test, &new).await.unwrap_err();
            assert_eq!((refused.code, refused.input_path.as_deref()), (Code::BadUserInput, Some(place)));
        }
        sign_up(test, &good).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_who_confirm_at_once_one_does() {
    for world in worlds().await {
        let test = &world.test;
        sign_up(test, &newsletter("once@example.org", test.app.now())).await.unwrap();
        test.clock.advance(TimeDelta::minutes(1));
        let token = tokens(test).await.remove(0);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (app, token) = (test.app.clone(), token.clone());
                tokio::spawn(async move { signups::confirm(&app, &token, "r").await.unwrap() })
            })
            .collect();
        let mut found = Vec::new();
        for task in tasks {
            found.extend(task.await.unwrap());
        }
        let [contact] = found.as_slice() else { panic!("{found:?}") };
        let consents = consents_of(test, *contact).await;
        assert_eq!(consents.len(), 1);
        let confirmed = format!(
            "SELECT COUNT(*) FROM consent_event WHERE kind = 'CONFIRMED' AND actor = 'subject:{contact}'"
        );
        assert_eq!(number(&test.app.db.reader, &confirmed).await, 1);
    }
}

#[tokio::test]
async fn a_link_ends_and_looks_like_one_that_never_was() {
    for world in worlds().await {
        let test = &world.test;
        sign_up(test, &newsletter("slow@example.org", test.app.now())).await.unwrap();
        let token = tokens(test).await.remove(0);
        test.clock.advance(TimeDelta::hours(48) - TimeDelta::seconds(1));
        assert!(signups::pending(&test.app, &token).await.unwrap().is_some());
        test.clock.advance(TimeDelta::seconds(1));
        let never = format!("m{}", "A".repeat(43));
        for token in [token.as_str(), &never, "", "p", "m"] {
            assert_eq!(signups::pending(&test.app, token).await.unwrap(), None);
            assert_eq!(signups::confirm(&test.app, token, "r").await.unwrap(), None);
            assert_eq!(signups::open_magic_link(&test.app, token).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_known_contact_keeps_its_row_and_gets_the_consent() {
    for world in worlds().await {
        let test = &world.test;
        let contacts = "SELECT COUNT(*) FROM contact";
        let before = number(&test.app.db.reader, contacts).await;
        let gina =
            SignUp { given_name: Some("GINA".to_owned()), ..newsletter("GINA@example.org", test.app.now()) };
        sign_up(test, &gina).await.unwrap();
        test.clock.advance(TimeDelta::minutes(1));
        let token = tokens(test).await.remove(0);
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), Some(id(0, 7)));
        assert_eq!(number(&test.app.db.reader, contacts).await, before);
        let consent = consents_of(test, id(0, 7)).await.remove(0);
        assert_eq!(
            (consent.status, consent.bound_address.as_deref()),
            (ConsentStatus::Granted, Some("gina@example.org"))
        );
        // Nothing of the contact is changed by what somebody typed into a form.
        let row = contact::Entity::find_by_id(id(0, 7)).one(&test.app.db.reader).await.unwrap().unwrap();
        assert_eq!(
            (row.email.as_deref(), row.given_name.as_deref()),
            (Some("gina@example.org"), Some("Gina"))
        );
    }
}

fn asked(email: &str, at: &str) -> Value {
    json!({ "email": email, "givenName": "Saatgut", "purpose": "newsletter", "language": "en", "form": "site",
            "declaredAt": at, "noticeVersion": "2026-1" })
}

const CONSENT: &str = "consent { id status }";

#[tokio::test]
async fn a_form_of_a_partner_learns_nothing() {
    for world in worlds().await {
        let test = &world.test;
        let partner = test.caller("partner", "newsletter").await;
        let desk = test.caller("marketing", "consent_management").await;
        let withdrawn = json!({ "contactId": id(0, 3), "purpose": "newsletter" });
        done(&world.client, &desk, "withdrawConsent", withdrawn, CONSENT).await;
        // Made with the first link.
        audit::installation_keys(&test.app).await.unwrap();
        let rows = async || {
            let mut counts = Vec::new();
            for table in ["sign_up", "link", "mail", "audit_entry", "contact", "consent", "consent_event"] {
                counts.push(number(&test.app.db.reader, &format!("SELECT COUNT(*) FROM {table}")).await);
            }
            counts
        };
        let query =
            "mutation($i: RequestConsentInput!) { requestConsent(input: $i) { consent { id status } } }";
        let (mut answers, mut grown) = (Vec::new(), Vec::new());
        // Consenting, unknown, withdrawn since, objecting, erased, and one that came a moment ago.
        for email in [
            "anna@example.org",
            "nobody@example.org",
            "clara@example.org",
            "dora@example.org",
            "fritz@example.org",
            "nobody@example.org",
        ] {
            let before = rows().await;
            let body = json!({ "query": query, "variables": { "i": asked(email, "2026-11-02T09:00:00Z") } });
            test.clock.advance(TimeDelta::seconds(1));
            answers.push(world.client.send(&partner, body, &[]).await);
            grown.push(
                rows().await.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<_>>(),
            );
        }
        assert_eq!(answers[0], (200, "{\"data\":{\"requestConsent\":{\"consent\":null}}}".to_owned()));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(grown.iter().all(|grown| *grown == [1, 1, 1, 1, 0, 0, 0]), "{grown:?}");
        let mails =
            mail::Entity::find().order_by_asc(mail::Column::Id).all(&test.app.db.reader).await.unwrap();
        let faults: Vec<_> = mails.iter().map(|mail| mail.fault.as_deref()).collect();
        assert_eq!(faults, [None, None, Some("ENDED_SINCE"), None, None, Some("TOO_SOON")]);
        // By id it learns nothing either.
        let by_id = json!({ "contactId": id(0, 1), "purpose": "newsletter", "language": "en", "form": "site", "declaredAt": "2026-11-02T09:00:00Z" });
        let refused = mutate(&world.client, &partner, "requestConsent", &by_id, CONSENT).await;
        assert_eq!(refusal(&refused, "requestConsent"), "FORBIDDEN_FIELD");
        let other = json!({ "email": "a@example.org", "purpose": "event_invitations", "language": "en", "form": "site", "declaredAt": "2026-11-02T09:00:00Z" });
        let refused = mutate(&world.client, &partner, "requestConsent", &other, CONSENT).await;
        assert_eq!(refusal(&refused, "requestConsent"), "FORBIDDEN");
    }
}

#[tokio::test]
async fn after_a_withdrawal_only_a_newer_sign_up_counts() {
    for world in worlds().await {
        let test = &world.test;
        let staff = test.caller("marketing", "consent_management").await;
        let client = &world.client;
        let ask = |number: u128, at: &str| json!({ "contactId": id(0, number), "purpose": "newsletter", "language": "de", "form": "fair", "declaredAt": at });
        let end =
            json!({ "contactId": id(0, 1), "purpose": "newsletter", "declaredAt": "2026-11-01T12:00:00Z" });
        done(client, &staff, "withdrawConsent", end, CONSENT).await;
        for at in ["2026-11-01T11:00:00Z", "2026-11-01T12:00:00Z"] {
            let refused = mutate(client, &staff, "requestConsent", &ask(1, at), CONSENT).await;
            assert_eq!(refusal(&refused, "requestConsent"), "CONFLICT");
        }
        let made = done(client, &staff, "requestConsent", ask(1, "2026-11-01T13:00:00Z"), CONSENT).await;
        assert_eq!(made["consent"]["status"], "PENDING");
        let token = tokens(test).await.remove(0);
        assert_eq!(consents_of(test, id(0, 1)).await[0].status, ConsentStatus::Pending);
        // Withdrawn once more before the link is opened: what was asked for before that is over, whatever lies in the mailbox.
        test.clock.advance(TimeDelta::minutes(1));
        done(client, &staff, "withdrawConsent", json!({ "consentId": made["consent"]["id"] }), CONSENT).await;
        test.clock.advance(TimeDelta::minutes(1));
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), None);
        assert_eq!(consents_of(test, id(0, 1)).await[0].status, ConsentStatus::Withdrawn);
        // An objection to the group counts as well.
        let objection = json!({ "contactId": id(0, 7), "purpose": "direct_marketing", "declaredAt": "2026-11-02T08:00:00Z" });
        done(client, &staff, "recordObjection", objection, "objection { id }").await;
        let refused =
            mutate(client, &staff, "requestConsent", &ask(7, "2026-11-02T07:00:00Z"), CONSENT).await;
        assert_eq!(refusal(&refused, "requestConsent"), "CONFLICT");
        done(client, &staff, "requestConsent", ask(7, "2026-11-02T08:30:00Z"), CONSENT).await;
        let token = tokens(test).await.remove(1);
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), Some(id(0, 7)));
        let marketing = test.caller("marketing", "newsletter").await;
        let seen = client.data(&marketing, &format!("{{ contact(id: \"{}\") {{ email }} }}", id(0, 7))).await;
        assert_eq!(seen["contact"]["email"], "gina@example.org");
        // Nobody else's to ask for, and nobody is none.
        for number in [6, 99] {
            let refused =
                mutate(client, &staff, "requestConsent", &ask(number, "2026-11-02T08:30:00Z"), CONSENT).await;
            assert_eq!(refusal(&refused, "requestConsent"), "NOT_FOUND");
        }
        let both = json!({ "contactId": id(0, 7), "purpose": "newsletter", "language": "de", "form": "fair", "declaredAt": "2026-11-02T08:30:00Z", "givenName": "x" });
        let refused = mutate(client, &staff, "requestConsent", &both, CONSENT).await;
        assert_eq!(refusal(&refused, "requestConsent"), "FORBIDDEN_FIELD");
    }
}

#[tokio::test]
async fn what_nobody_confirms_vanishes() {
    for world in worlds().await {
        let test = &world.test;
        sign_up(test, &newsletter("gone@example.org", test.app.now())).await.unwrap();
        signups::send_magic_link(&test.app, "anna@example.org", "de", "r").await.unwrap();
        test.clock.advance(TimeDelta::hours(50));
        test.run_jobs(None).await;
        let rows = dump(&test.app.db.reader).await;
        assert_eq!((rows["sign_up"].len(), rows["link"].len(), rows["mail"].len()), (1, 1, 1));
        assert!(!rows["link"][0].contains("gone@"), "the address of a link that has ended");
        test.clock.advance(TimeDelta::days(5));
        test.run_jobs(None).await;
        let rows = dump(&test.app.db.reader).await;
        assert!(rows["sign_up"].is_empty() && rows["link"].is_empty() && rows["mail"].is_empty());
        assert!(!format!("{rows:?}").contains("gone@"));
        let left = "SELECT COUNT(DISTINCT subject_id) FROM subject_key";
        assert_eq!(number(&test.app.db.reader, left).await, 1, "those of the installation");
        let told = rows["audit_entry"].iter().filter(|row| row.contains("deleteSignUps")).count();
        assert_eq!(told, 1);
        test.run_jobs(None).await;
        assert_eq!(dump(&test.app.db.reader).await["audit_entry"].len(), rows["audit_entry"].len());
    }
}

#[tokio::test]
async fn a_fresh_link_opens_for_a_while_and_for_its_address() {
    for world in worlds().await {
        let test = &world.test;
        signups::send_magic_link(&test.app, "Anna@Example.org", "de", "r").await.unwrap();
        test.clock.advance(TimeDelta::seconds(1));
        signups::send_magic_link(&test.app, "fritz@example.org", "de", "r").await.unwrap();
        signups::send_magic_link_to_contact(&test.app, id(0, 7), None, "r").await.unwrap();
        assert!(signups::send_magic_link(&test.app, "no address", "de", "r").await.is_err());
        let tokens = <[String; 2]>::try_from(tokens(test).await).unwrap();
        for _ in 0..2 {
            assert_eq!(
                signups::open_magic_link(&test.app, &tokens[0]).await.unwrap(),
                Some(MagicLinkTarget::Record(id(0, 1)))
            );
        }
        assert_eq!(
            signups::open_magic_link(&test.app, &tokens[1]).await.unwrap(),
            Some(MagicLinkTarget::Record(id(0, 7)))
        );
        // It neither confirms nor asks anything.
        assert_eq!(signups::confirm(&test.app, &tokens[0], "r").await.unwrap(), None);
        assert_eq!(signups::pending(&test.app, &tokens[0]).await.unwrap(), None);
        let support = test.caller("support", "customer_care").await;
        let moved = json!({ "contactId": id(0, 1), "email": "other@example.org" });
        done(&world.client, &support, "updateContact", moved, "contact { id }").await;
        assert_eq!(signups::open_magic_link(&test.app, &tokens[0]).await.unwrap(), None);
        test.clock.advance(TimeDelta::hours(1));
        assert_eq!(signups::open_magic_link(&test.app, &tokens[1]).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_renewal_is_asked_for_once_and_made_by_the_person_alone() {
    for world in worlds().await {
        let test = &world.test;
        sign_up(test, &newsletter("loyal@example.org", test.app.now())).await.unwrap();
        test.clock.advance(TimeDelta::minutes(1));
        let token = tokens(test).await.remove(0);
        let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
        let granted = consents_of(test, contact).await.remove(0);
        let due = granted.review_due_at.unwrap();
        test.clock.advance(due - test.app.now() - TimeDelta::seconds(1));
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 0);
        test.clock.advance(TimeDelta::seconds(1));
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 1);
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 0);
        let asked = consents_of(test, contact).await.remove(0);
        assert_eq!((asked.status, asked.expires_at), (ConsentStatus::Granted, granted.expires_at));
        let token = tokens(test).await.remove(1);
        let pending = signups::pending(&test.app, &token).await.unwrap().unwrap();
        assert_eq!((pending.kind, pending.offers[0].language.as_str()), (LinkKind::Renew, "de"));
        test.clock.advance(TimeDelta::hours(1));
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), Some(contact));
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), None);
        let renewed = consents_of(test, contact).await.remove(0);
        assert_eq!(renewed.granted_at, Some(test.app.now()));
        assert!(renewed.expires_at > granted.expires_at && renewed.review_due_at > Some(test.app.now()));
        // Asked anew when the review is due anew, and not after a withdrawal.
        test.clock.advance(renewed.review_due_at.unwrap() - test.app.now());
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 1);
        let token = tokens(test).await.remove(2);
        let staff = test.caller("marketing", "consent_management").await;
        let withdrawn = json!({ "contactId": contact, "purpose": "newsletter" });
        done(&world.client, &staff, "withdrawConsent", withdrawn, CONSENT).await;
        assert_eq!(signups::pending(&test.app, &token).await.unwrap(), None);
        assert_eq!(signups::confirm(&test.app, &token, "r").await.unwrap(), None);
        assert_eq!(consents_of(test, contact).await[0].status, ConsentStatus::Withdrawn);
    }
}

#[tokio::test]
async fn who_objects_is_not_asked_for_a_renewal() {
    for world in worlds().await {
        let test = &world.test;
        sign_up(test, &newsletter("tired@example.org", test.app.now())).await.unwrap();
        test.clock.advance(TimeDelta::minutes(1));
        let token = tokens(test).await.remove(0);
        let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
        let due = consents_of(test, contact).await.remove(0).review_due_at.unwrap();
        test.clock.advance(due - test.app.now());
        let staff = test.caller("marketing", "consent_management").await;
        let objection = json!({ "contactId": contact, "purpose": "direct_marketing" });
        done(&world.client, &staff, "recordObjection", objection, "objection { id }").await;
        assert_eq!(signups::request_renewals(&test.app).await.unwrap(), 0);
        assert_eq!(tokens(test).await.len(), 1);
    }
}

#[tokio::test]
async fn staff_record_a_renewal_with_its_proof_and_of_what_holds_alone() {
    for world in worlds().await {
        let test = &world.test;
        let staff = test.caller("marketing", "consent_management").await;
        let client = &world.client;
        let renewal = |consent: Uuid, at: &str, proof: &str| json!({ "consentId": consent, "textVersion": "2026-1", "language": "de", "proof": proof, "declaredAt": at, "source": "fair", "evidence": "paper 7" });
        let payload = "consent { status grantedAt expiresAt events { kind evidence address } }";
        // One that holds, and one that has expired.
        for consent in [id(1, 700), id(1, 300)] {
            let new = renewal(consent, "2026-11-02T08:00:00Z", "signed_paper");
            let made = done(client, &staff, "renewConsent", new, payload).await;
            let made = &made["consent"];
            assert_eq!(
                (&made["status"], &made["grantedAt"]),
                (&json!("GRANTED"), &json!("2026-11-02T08:00:00Z"))
            );
            assert_eq!(made["expiresAt"], "2028-11-02T08:00:00Z");
            let events = made["events"].as_array().unwrap();
            assert!(
                events.iter().any(|event| event["kind"] == "RENEWED" && event["evidence"] == "paper 7"),
                "{made}"
            );
        }
        for (consent, at, proof, code) in [
            (id(1, 200), "2026-11-02T08:00:00Z", "signed_paper", "CONFLICT"),
            (id(1, 700), "2026-11-02T10:00:00Z", "signed_paper", "BAD_USER_INPUT"),
            (id(1, 700), "2026-11-02T08:30:00Z", "double_opt_in", "BAD_USER_INPUT"),
            (id(1, 600), "2026-11-02T08:00:00Z", "signed_paper", "NOT_FOUND"),
            (id(9, 1), "2026-11-02T08:00:00Z", "signed_paper", "NOT_FOUND"),
        ] {
            let refused =
                mutate(client, &staff, "renewConsent", &renewal(consent, at, proof), "consent { id }").await;
            assert_eq!(refusal(&refused, "renewConsent"), code);
        }
    }
}

#[tokio::test]
async fn links_follow_a_merge_and_open_nothing_of_another_address() {
    for world in worlds().await {
        let test = &world.test;
        let staff = test.caller("marketing", "consent_management").await;
        let ask = json!({ "contactId": id(0, 8), "purpose": "newsletter", "language": "de", "form": "fair", "declaredAt": "2026-11-02T08:00:00Z" });
        done(&world.client, &staff, "requestConsent", ask, CONSENT).await;
        test.clock.advance(TimeDelta::seconds(1));
        signups::send_magic_link_to_contact(&test.app, id(0, 8), None, "r").await.unwrap();
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let merge = json!({ "contactId": id(0, 7), "duplicateId": id(0, 8) });
        done(&world.client, &desk, "mergeContacts", merge, "contact { id }").await;
        let tokens = tokens(test).await;
        assert_eq!(signups::open_magic_link(&test.app, &tokens[1]).await.unwrap(), None);
        // The link proves who reads the mails of that address, which is no primary one any more.
        let confirmed = signups::confirm(&test.app, &tokens[0], "r").await.unwrap().unwrap();
        assert!(confirmed != id(0, 7) && confirmed != id(0, 8));
        assert_eq!(consents_of(test, confirmed).await[0].bound_address.as_deref(), Some("hans@example.org"));
    }
}

/// Holds a change of the person before its commit while the person's older link is pressed: what is committed first decides, whenever
/// the page began to look (PostgreSQL; SQLite has one writer).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_that_is_under_way_ends_a_sign_up_that_is_older() {
    for world in worlds().await {
        let test = &world.test;
        let db = &test.app.db.writer;
        if sea_orm::ConnectionTrait::get_database_backend(db) != sea_orm::DbBackend::Postgres {
            continue;
        }
        // Gina has no consent to the newsletter yet; Anna is asked to renew hers.
        for (number, address) in [(7, "gina@example.org"), (1, "anna@example.org")] {
            let before = tokens(test).await.len();
            sign_up(test, &newsletter(address, test.app.now())).await.unwrap();
            let token = tokens(test).await.remove(before);
            test.clock.advance(TimeDelta::minutes(1));
            let policy = test.app.policy.current();
            let staff = Credential {
                actor_id: "token:t".to_owned(),
                roles: vec!["marketing".to_owned()],
                purposes: vec!["consent_management".to_owned()],
                fields: None,
                expires_at: test.app.now() + TimeDelta::days(1),
                recipient: None,
            };
            let actor = Actor::new(policy, &staff, Some("consent_management"), "r".to_owned()).unwrap();
            let mut tx = audit::begin(&test.app, Author::from(&actor)).await.unwrap();
            let objection = NewObjection {
                contact_id: Some(id(0, number)),
                address: None,
                purpose: "direct_marketing".to_owned(),
                channel: None,
                at: None,
                source: None,
            };
            assert_eq!(objections::record(&mut tx, &actor, &objection).await.unwrap().len(), 1);
            let (app, pressed) = (test.app.clone(), token.clone());
            let pressing = tokio::spawn(async move { signups::confirm(&app, &pressed, "r").await.unwrap() });
            // It has come as far as the lock of the contact, and waits there.
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while number_of(test, waits).await == 0 {
                assert!(!pressing.is_finished(), "it does not wait for the contact");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            tx.commit().await.unwrap();
            assert_eq!(pressing.await.unwrap(), None);
            assert_eq!(signups::pending(&test.app, &token).await.unwrap(), None);
            let confirmed = format!(
                "SELECT COUNT(*) FROM consent_event e JOIN consent c ON c.id = e.consent_id \
                 WHERE e.kind = 'CONFIRMED' AND c.contact_id = '{}'",
                id(0, number)
            );
            assert_eq!(number_of(test, &confirmed).await, 0);
        }
    }
}

async fn number_of(test: &TestApp, sql: &str) -> i64 {
    number(&test.app.db.reader, sql).await
}

#[tokio::test]
async fn without_pages_nothing_is_asked() {
    for world in worlds().await {
        let test = &world.test;
        let db = zweck::db::Db::connect(&test.url, 2).await.unwrap();
        let policy = zweck::policy::PolicyHandle::new(crate::policy::shipped().await);
        let keys = zweck::crypto::master_keys::MasterKeys::new([7; 32]);
        let issuers = zweck::auth::oidc::Issuers::default();
        let app = std::sync::Arc::new(zweck::app::App::new(db, policy, test.clock.clone(), keys, issuers));
        let client = crate::support::client::Client::over(app.clone());
        let partner = test.caller("partner", "newsletter").await;
        let input = asked("anna@example.org", "2026-11-02T09:00:00Z");
        let refused = mutate(&client, &partner, "requestConsent", &input, CONSENT).await;
        assert_eq!(refusal(&refused, "requestConsent"), "CONFLICT");
        assert_eq!(signups::request_renewals(&app).await.unwrap(), 0);
    }
}
