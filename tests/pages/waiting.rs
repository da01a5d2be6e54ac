//! Several sign-ups of one mailbox: one mail of a kind in a period, and none of the sign-ups is lost.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{link, mail, sign_up};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{
    app::App,
    audit::{self, Author},
    auth::oidc::Issuers,
    config::public_pages::PublicPages,
    crypto::{link_tokens, master_keys::MasterKeys},
    db::Db,
    domain::signups,
    jobs,
    policy::PolicyHandle,
};

use super::{PagesState, Reply, sites, values};
use crate::{
    signups::{newsletter, sign_up},
    support::{app::pages, dump::number, smtp::Smtp, world::id},
    writes::done,
};

const FORM: &str = "/p/signup/newsletter";
const EMAIL: &str = "nina@example.org";

/// Signs up by the form, some time after the last.
async fn typed(site: &PagesState, email: &str, purpose: &str) -> DateTime<Utc> {
    site.test.clock.advance(TimeDelta::minutes(1));
    let version = format!("version-{purpose}");
    let fields = [("language", "en"), ("choice", purpose), (&version, "2026-1"), ("email", email)];
    let sent = site.post(FORM, &fields).await;
    assert_eq!((sent.status, sent.location()), (303, "/p/signup/newsletter/sent"));
    site.test.app.now()
}

/// What a button of the page sends: the last is that for everything.
fn button(page: &Reply, number: usize) -> Vec<(&'static str, String)> {
    assert_eq!(page.status, 200);
    let forms = page.body.split("<form method=\"post\">").skip(1);
    let marks: Vec<String> = forms.map(|form| values(form, "value")[0].to_owned()).collect();
    let mark = marks.get(number).unwrap_or_else(|| marks.last().unwrap()).clone();
    vec![("shown", mark), ("action", "confirm".to_owned())]
}

const ALL: usize = usize::MAX;

/// Opens the link and presses a button.
async fn press(site: &PagesState, token: &str, number: usize) -> Reply {
    let page = site.get(&format!("/p/{token}")).await;
    let fields = button(&page, number);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    site.post(&format!("/p/{token}"), &fields).await
}

/// Under which purposes of these marketing reads the mailbox.
async fn in_force(site: &PagesState, email: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for purpose in ["newsletter", "event_invitations"] {
        let marketing = site.test.caller("marketing", purpose).await;
        let data = site.client().data(&marketing, "{ contacts(first: 100) { nodes { email } } }").await;
        if data.to_string().to_lowercase().contains(email) {
            found.push(purpose);
        }
    }
    found
}

/// The events of the mailbox: kind, declared, where, version of the text, in their order.
async fn events(site: &PagesState, contact: Uuid, purpose: &str) -> Vec<Value> {
    let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
    let query = format!(
        "{{ contact(id: \"{contact}\") {{ consents {{ nodes {{ purpose {{ code }} events {{ kind declaredAt source evidence text {{ version }} }} }} }} }} }}"
    );
    let data = site.client().data(&desk, &query).await;
    let nodes = data["contact"]["consents"]["nodes"].as_array().unwrap().clone();
    let node = nodes.into_iter().find(|node| node["purpose"]["code"] == purpose).unwrap();
    node["events"].as_array().unwrap().clone()
}

/// Case 13 as it was measured, from form to mail to page, and what must become of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sign_up_of_a_day_is_lost() {
    for site in sites().await {
        let Some(smtp) = Smtp::start() else { return };
        let mails = async || {
            site.test.run_jobs(Some(&smtp)).await;
            smtp.mails()
        };
        let first = typed(&site, EMAIL, "newsletter").await;
        assert_eq!(mails().await.len(), 1);
        let again = typed(&site, "NINA@Example.org", "newsletter").await;
        assert_eq!(mails().await.len(), 1, "the same once more");
        let events_at = typed(&site, EMAIL, "event_invitations").await;
        let sent = mails().await;
        let [sent] = sent.as_slice() else { panic!("{sent:?}") };
        let token = sent.token();
        let page = site.get(&format!("/p/{token}")).await;
        for told in [
            "More than one sign-up",
            "I consent to being sent a newsletter",
            "being invited to events",
            "Signed up on 2 November 2026, 09:02 UTC; text version 2026-1",
            "Signed up on 2 November 2026, 09:03 UTC; text version 2026-1",
            "aria-label=\"Confirm only this: Newsletter\"",
            "aria-label=\"Confirm only this: Event invitations\"",
            "Confirm all",
        ] {
            assert!(page.body.contains(told), "{told}: {}", page.body);
        }
        assert_eq!(in_force(&site, EMAIL).await, [] as [&str; 0]);
        assert_eq!(press(&site, &token, ALL).await.location(), "/p/confirmed");
        assert_eq!(in_force(&site, EMAIL).await, ["newsletter", "event_invitations"]);
        let contact = link::Entity::find().all(&site.test.app.db.reader).await.unwrap();
        let [used] = contact.as_slice() else { panic!("links that nobody was sent: {contact:?}") };
        let contact = used.contact_id.unwrap();
        let row = mail::Entity::find().one(&site.test.app.db.reader).await.unwrap().unwrap();
        for (purpose, at) in [("newsletter", again), ("event_invitations", events_at)] {
            let events = events(&site, contact, purpose).await;
            let [asked, confirmed] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((&asked["kind"], &confirmed["kind"]), (&json!("REQUESTED"), &json!("CONFIRMED")));
            assert_eq!(asked["declaredAt"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap(), at);
            for event in [asked, confirmed] {
                assert_eq!(
                    (&event["source"], &event["text"]["version"]),
                    (&json!("form newsletter"), &json!("2026-1"))
                );
            }
            assert_eq!(confirmed["evidence"], format!("mail {}", row.id));
        }
        assert_eq!(site.count::<sign_up::Entity>().await, 0);

        typed(&site, EMAIL, "event_invitations").await;
        let link = site.preference(contact, "newsletter", EMAIL).await;
        assert_eq!(site.post(&format!("/p/{link}"), &[("List-Unsubscribe", "One-Click")]).await.status, 200);
        assert_eq!(in_force(&site, EMAIL).await, ["event_invitations"]);
        typed(&site, EMAIL, "newsletter").await;
        assert_eq!(mails().await.len(), 1, "not before its time");
        site.test.clock.advance(first + TimeDelta::hours(24) - site.test.app.now() - TimeDelta::seconds(1));
        assert_eq!(mails().await.len(), 1, "not before its time");
        site.test.clock.advance(TimeDelta::seconds(1));
        let sent = mails().await;
        let [_, late] = sent.as_slice() else { panic!("{sent:?}") };
        assert!(
            late.text.contains("- Newsletter") && late.text.contains("- Event invitations"),
            "{}",
            late.text
        );
        assert_eq!(late.value("Date"), Some("Tue, 03 Nov 2026 09:01:00 +0000"));
        assert!(late.text.contains("5 November 2026, 09:01 (UTC)"), "{}", late.text);
        assert_eq!(press(&site, &late.token(), ALL).await.location(), "/p/confirmed");
        assert_eq!(in_force(&site, EMAIL).await, ["newsletter", "event_invitations"]);
        assert_eq!(site.count::<sign_up::Entity>().await, 0);
        // Nothing is left to be mailed about.
        site.test.clock.advance(TimeDelta::days(3));
        assert_eq!(mails().await.len(), 2);
    }
}

/// What belongs together has a button of its own: nobody must take all to have one (Recital 43).
#[tokio::test]
async fn one_of_several_is_confirmed_by_itself_and_the_rest_goes_on_to_wait() {
    for site in sites().await {
        typed(&site, EMAIL, "newsletter").await;
        typed(&site, EMAIL, "event_invitations").await;
        let token = crate::signups::tokens(&site.test).await.remove(0);
        assert_eq!(press(&site, &token, 1).await.location(), "/p/confirmed");
        assert_eq!(in_force(&site, EMAIL).await, ["event_invitations"]);
        let page = site.get(&format!("/p/{token}")).await;
        assert!(page.body.contains("a newsletter") && !page.body.contains("being invited to events"));
        assert_eq!(press(&site, &token, 0).await.location(), "/p/confirmed");
        assert_eq!(in_force(&site, EMAIL).await, ["newsletter", "event_invitations"]);
        assert_eq!(site.get(&format!("/p/{token}")).await.status, 404);
        let contacts = "SELECT COUNT(*) FROM contact WHERE email_key = 'nina@example.org'";
        assert_eq!(number(&site.test.app.db.reader, contacts).await, 1);
    }
}

/// Whoever presses a button declares what stood on the page, whatever others have typed in meanwhile.
#[tokio::test]
async fn what_came_in_after_the_page_was_opened_is_not_declared() {
    for site in sites().await {
        typed(&site, EMAIL, "newsletter").await;
        let token = crate::signups::tokens(&site.test).await.remove(0);
        let path = format!("/p/{token}");
        let seen = button(&site.get(&path).await, ALL);
        let seen: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (*name, value.as_str())).collect();
        typed(&site, EMAIL, "event_invitations").await;
        // Which did not know what is asked by now.
        let bare = site.post(&path, &[("action", "confirm")]).await;
        assert_eq!(bare.status, 422);
        assert!(
            bare.body.contains("has changed since you opened this page") && bare.body.contains("Confirm all")
        );
        let wrong = site.post(&path, &[("action", "confirm"), ("shown", "0123456789abcdef")]).await;
        assert_eq!(wrong, bare);
        assert_eq!(in_force(&site, EMAIL).await, [] as [&str; 0]);
        assert_eq!(site.post(&path, &seen).await.location(), "/p/confirmed");
        assert_eq!(in_force(&site, EMAIL).await, ["newsletter"]);
        assert!(site.get(&path).await.body.contains("being invited to events"));
    }
}

#[tokio::test]
async fn however_often_somebody_asks_the_page_and_the_record_stay_short() {
    for site in sites().await {
        for _ in 0..20 {
            typed(&site, EMAIL, "newsletter").await;
            typed(&site, EMAIL, "event_invitations").await;
        }
        let mails =
            mail::Entity::find().order_by_asc(mail::Column::Id).all(&site.test.app.db.reader).await.unwrap();
        assert_eq!(mails.iter().filter(|mail| mail.period.is_some()).count(), 1);
        let token = crate::signups::tokens(&site.test).await.remove(0);
        let page = site.get(&format!("/p/{token}")).await;
        assert_eq!(page.body.matches("<section").count(), 2);
        assert_eq!(press(&site, &token, ALL).await.status, 303);
        assert_eq!((site.count::<sign_up::Entity>().await, site.count::<link::Entity>().await), (0, 1));
        assert_eq!(site.count::<mail::Entity>().await, 1);
        let events =
            "SELECT COUNT(*) FROM consent_event WHERE kind = 'CONFIRMED' AND source = 'form newsletter'";
        assert_eq!(number(&site.test.app.db.reader, events).await, 2);
    }
}

/// The person says no before the mail has gone: it does not go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ended_or_answered_before_its_mail_is_not_mailed_about() {
    for site in sites().await {
        let Some(smtp) = Smtp::start() else { return };
        let at = typed(&site, "gina@example.org", "newsletter").await;
        site.test.clock.advance(TimeDelta::seconds(1));
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let objection = json!({ "contactId": id(0, 7), "purpose": "direct_marketing" });
        done(&site.client(), &desk, "recordObjection", objection, "objection { id }").await;
        site.test.run_jobs(Some(&smtp)).await;
        assert_eq!(smtp.mails().len(), 0);
        let row = site.test.mails().await.remove(0);
        assert_eq!((row.fault.as_deref(), row.recipient, row.period), (Some("NOTHING_WAITS"), None, None));
        assert!(site.test.app.now() > at);
        let token =
            link_tokens::one_time_token(audit::installation_keys(&site.test.app).await.unwrap(), row.link_id)
                .unwrap();
        assert_eq!(site.get(&format!("/p/{token}")).await.status, 404);
    }
}

/// A mail that waits long keeps its sign-up alive for as long as its link holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_leaves_what_waits() {
    for site in sites().await {
        let Some(smtp) = Smtp::start() else { return };
        let test = &site.test;
        let db = Db::connect(&test.url, 2).await.unwrap();
        let policy = PolicyHandle::new(test.app.policy.current());
        let app = App::new(db, policy, test.clock.clone(), MasterKeys::new([7; 32]), Issuers::default());
        let app = app.with_pages(PublicPages { mail_hours: 168, ..pages() });
        let round = async || jobs::run_once(&app, Some(&smtp.mailer())).await.unwrap();
        let begin = async |at| {
            let mut tx = audit::begin(&app, Author::command(&app, "page", None)).await.unwrap();
            signups::sign_up(&mut tx, &app, &newsletter("patient@example.org", at)).await.unwrap();
            tx.commit().await.unwrap();
        };
        let now = test.app.now();
        begin(now).await;
        round().await;
        test.clock.advance(TimeDelta::minutes(1));
        let contact = signups::confirm(&app, &smtp.mails()[0].token(), "r").await.unwrap();
        assert!(contact.is_some());
        test.clock.advance(TimeDelta::minutes(1));
        begin(test.app.now()).await;
        test.clock.advance(TimeDelta::hours(168));
        round().await;
        test.clock.advance(TimeDelta::hours(47));
        round().await;
        let mails = smtp.mails();
        assert_eq!(mails.len(), 2);
        assert!(signups::pending(&app, &mails[1].token()).await.unwrap().is_some());
        test.clock.advance(TimeDelta::hours(1));
        round().await;
        assert_eq!(sign_up::Entity::find().all(&app.db.reader).await.unwrap(), []);
    }
}

/// What staff asked of one record is not declared by another of the same mailbox, and is not lost either.
#[tokio::test]
async fn each_record_of_a_mailbox_gets_its_own() {
    for site in sites().await {
        let (test, client) = (&site.test, site.client());
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let made = json!({ "givenName": "Georg", "email": "gina@example.org", "source": { "name": "call" } });
        let made = done(&client, &desk, "createContact", made, "contact { id }").await;
        let other: Uuid = made["contact"]["id"].as_str().unwrap().parse().unwrap();
        typed(&site, "gina@example.org", "newsletter").await;
        test.clock.advance(TimeDelta::minutes(1));
        let staff = test.caller("marketing", "consent_management").await;
        let ask = json!({ "contactId": other, "purpose": "event_invitations", "language": "de", "form": "fair",
                          "declaredAt": test.app.now() });
        done(&client, &staff, "requestConsent", ask, "consent { id }").await;
        let tokens = crate::signups::tokens(test).await;
        let pages = [0, 1].map(|at| format!("/p/{}", tokens[at]));
        assert!(!site.get(&pages[0]).await.body.contains("being invited to events"));
        // Who typed no name may be either: it declares for none of both.
        let own = signups::confirm(&test.app, &tokens[0], "r").await.unwrap().unwrap();
        assert!(![id(0, 7), other].contains(&own));
        let due: Vec<_> = test.mails().await.into_iter().filter_map(|mail| mail.due_at).collect();
        assert_eq!(due[1] - due[0], TimeDelta::hours(24), "when the time of the first is over");
        test.clock.advance(TimeDelta::hours(24));
        assert_eq!(signups::confirm(&test.app, &tokens[1], "r").await.unwrap(), Some(other));
        let found = "SELECT COUNT(*) FROM consent_event WHERE kind = 'CONFIRMED'";
        assert_eq!(number(&test.app.db.reader, found).await, 2);
    }
}

/// Two links of one mailbox, mailed a day apart, open the same: whoever comes second finds nothing, and nobody becomes two contacts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_links_confirmed_at_once_one_makes_the_contact() {
    for site in sites().await {
        let test = &site.test;
        for round in 0..8 {
            let email = format!("twice.{round}@example.org");
            let before = crate::signups::tokens(test).await.len();
            sign_up(test, &newsletter(&email, test.app.now())).await.unwrap();
            test.clock.advance(TimeDelta::hours(24));
            sign_up(test, &newsletter(&email, test.app.now())).await.unwrap();
            let tokens = crate::signups::tokens(test).await.split_off(before);
            let [one, other] = tokens.as_slice() else { panic!("{}", tokens.len()) };
            let (one, other) =
                tokio::join!(signups::confirm(&test.app, one, "r"), signups::confirm(&test.app, other, "r"));
            assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(other.unwrap().is_some()), 1);
            let made = format!("SELECT COUNT(*) FROM contact WHERE email_key = '{email}'");
            assert_eq!(number(&test.app.db.reader, &made).await, 1, "{email}");
        }
    }
}
