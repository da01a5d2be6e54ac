//! What comes by the link of a mail ends what it can be meant for: again, beside other noes, at the mailbox that got the mail; and no
//! more than that.

use axum::{body::Body, http::Request};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use super::{contact, sees, yes};
use crate::{
    pages::{PagesState, sites},
    support::client::{Caller, Client},
    writes::{Staff, done},
};

const OLDER: &str = "2026-10-01T10:00:00Z";

/// One database with those who read and write in it.
struct Office {
    site: PagesState,
    client: Client,
    staff: Staff,
}

impl Office {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for site in sites().await {
            let (client, staff) = (site.client(), Staff::of(&site.test).await);
            all.push(Self { site, client, staff });
        }
        all
    }

    async fn under(&self, purpose: &str) -> Caller {
        self.site.test.caller("marketing", purpose).await
    }

    /// A customer who may be mailed to and written to.
    async fn customer(&self, given_name: &str, email: &str, more: Value) -> String {
        let mut values =
            json!({ "givenName": given_name, "familyName": given_name.repeat(2), "email": email });
        values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = contact(&self.client, &self.staff.desk, values).await;
        for purpose in ["existing_customer_mail", "direct_mail"] {
            let input = json!({ "contactId": made, "purpose": purpose, "reference": "order" });
            done(&self.client, &self.staff.desk, "recordGround", input, "ground { id }").await;
        }
        made
    }

    async fn sees(&self, purpose: &str, contacts: &[&String]) -> Vec<bool> {
        let contacts: Vec<String> = contacts.iter().map(|contact| (*contact).clone()).collect();
        sees(&self.client, &self.under(purpose).await, &contacts).await
    }

    /// A yes now.
    async fn yes(&self, contact: &str, purpose: &str, channel: &str) {
        self.wait();
        let at = self.site.test.app.now().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        yes(&self.client, &self.staff.consent, contact, (purpose, channel), &at).await;
        self.wait();
    }

    fn wait(&self) {
        self.site.test.clock.advance(TimeDelta::seconds(1));
    }

    /// The path of the link in the mails of a purpose to a contact.
    async fn link(&self, contact: &str, purpose: &str) -> String {
        let query = format!("{{ contact(id: \"{contact}\") {{ preferenceUrl }} }}");
        let url =
            self.client.data(&self.under(purpose).await, &query).await["contact"]["preferenceUrl"].clone();
        url.as_str().unwrap().strip_prefix("https://crm.example").unwrap().to_owned()
    }

    async fn click(&self, path: &str) -> u16 {
        self.wait();
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let reply = self.site.send(request.body(Body::from("List-Unsubscribe=One-Click")).unwrap()).await;
        self.wait();
        reply.status
    }

    /// What the desk reads of a record: its consents with their events, objections and blocks.
    async fn read(&self, contact: &str) -> Value {
        let query = format!(
            "{{ contact(id: \"{contact}\") {{ consents {{ nodes {{ purpose {{ code }} channel status events {{ kind }} }} }} \
             objections {{ purpose {{ code }} channel }} \
             blocks {{ id purpose {{ code }} channel endedAt }} }} }}"
        );
        self.client.data(&self.staff.desk, &query).await["contact"].clone()
    }

    /// The events of all consents of a record.
    async fn events(&self, contact: &str) -> Vec<String> {
        let read = self.read(contact).await;
        let nodes = read["consents"]["nodes"].as_array().unwrap().clone();
        let of = |node: &Value| {
            let head = format!(
                "{} {}",
                node["purpose"]["code"].as_str().unwrap(),
                node["channel"].as_str().unwrap()
            );
            let events = node["events"].as_array().unwrap().clone();
            events.into_iter().map(move |event| format!("{head} {}", event["kind"].as_str().unwrap()))
        };
        let mut all: Vec<String> = nodes.iter().flat_map(of).collect();
        all.sort();
        all
    }

    /// The blocks of a record that stand.
    async fn blocks(&self, contact: &str) -> Vec<String> {
        let read = self.read(contact).await;
        let standing = read["blocks"].as_array().unwrap().iter().filter(|block| block["endedAt"].is_null());
        let told = standing.map(|block| {
            format!("{} {}", block["purpose"]["code"].as_str().unwrap(), block["channel"].as_str().unwrap())
        });
        let mut all: Vec<String> = told.collect();
        all.sort();
        all
    }

    async fn lift(&self, contact: &str, purpose: &str) {
        let read = self.read(contact).await;
        let mut blocks = read["blocks"].as_array().unwrap().iter();
        let block = blocks.rfind(|block| block["purpose"]["code"] == purpose).unwrap();
        let input = json!({ "blockId": block["id"] });
        done(&self.client, &self.staff.desk, "liftBlock", input, "block { endedAt }").await;
    }
}

/// Said of the phone, it says nothing of mails.
#[tokio::test]
async fn one_click_counts_beside_an_objection_on_another_channel() {
    for office in Office::all().await {
        let anna = office.customer("Anna", "pair@example.org", json!({})).await;
        let otto = office.customer("Otto", "pair@example.org", json!({})).await;
        for purpose in ["existing_customer_mail", "direct_marketing"] {
            let input = json!({ "contactId": anna, "purpose": purpose, "channel": "PHONE" });
            done(&office.client, &office.staff.consent, "recordObjection", input, "objection { id }").await;
        }
        assert_eq!(office.sees("existing_customer_mail", &[&anna, &otto]).await, [true, true]);
        let path = office.link(&anna, "existing_customer_mail").await;
        // The page does not say either that it is ended.
        let page = office.site.get(&format!("{path}?lang=en")).await;
        assert!(
            page.body.contains("Object: Mail to existing customers")
                && !page.body.contains("You have objected")
        );
        assert_eq!(office.click(&path).await, 200);
        assert_eq!(office.sees("existing_customer_mail", &[&anna, &otto]).await, [false, false]);
        assert_eq!(office.read(&otto).await["objections"], json!([]));
    }
}

/// Each click ends what others at the mailbox said yes to in between, and declares nothing twice.
#[tokio::test]
async fn one_click_again_ends_a_yes_of_somebody_else_in_between() {
    for office in Office::all().await {
        let anna = office.customer("Anna", "pair@example.org", json!({})).await;
        let otto = office.customer("Otto", "pair@example.org", json!({})).await;
        for contact in [&anna, &otto] {
            yes(&office.client, &office.staff.consent, contact, ("newsletter", "EMAIL"), OLDER).await;
        }
        let path = office.link(&anna, "newsletter").await;
        for _ in 0..2 {
            assert_eq!(office.click(&path).await, 200);
            assert_eq!(office.sees("newsletter", &[&anna, &otto]).await, [false, false]);
            office.yes(&otto, "newsletter", "EMAIL").await;
            assert_eq!(office.sees("newsletter", &[&anna, &otto]).await, [false, true]);
        }
        assert_eq!(office.click(&path).await, 200);
        assert_eq!(office.sees("newsletter", &[&anna, &otto]).await, [false, false]);
        // Nothing changed for Anna after the first time.
        assert_eq!(office.events(&anna).await, ["newsletter EMAIL GRANTED", "newsletter EMAIL WITHDRAWN"]);
        assert_eq!(office.events(&otto).await, ["newsletter EMAIL GRANTED"; 3]);
        // What she says yes to herself is ended by the next.
        office.yes(&anna, "newsletter", "EMAIL").await;
        assert_eq!(office.click(&path).await, 200);
        assert_eq!(office.sees("newsletter", &[&anna, &otto]).await, [false, false]);
        assert_eq!(office.events(&anna).await.len(), 4);
    }
}

#[tokio::test]
async fn one_click_again_ends_what_was_lifted_for_somebody_else() {
    for office in Office::all().await {
        let anna = office.customer("Anna", "pair@example.org", json!({})).await;
        let otto = office.customer("Otto", "pair@example.org", json!({})).await;
        let path = office.link(&anna, "existing_customer_mail").await;
        assert_eq!(office.click(&path).await, 200);
        office.lift(&otto, "existing_customer_mail").await;
        assert_eq!(office.sees("existing_customer_mail", &[&anna, &otto]).await, [false, true]);
        assert_eq!(office.click(&path).await, 200);
        assert_eq!(office.sees("existing_customer_mail", &[&anna, &otto]).await, [false, false]);
        let objections = office.read(&anna).await["objections"].clone();
        let meant = json!([{ "purpose": { "code": "existing_customer_mail" }, "channel": "EMAIL" }]);
        assert_eq!(objections, meant, "one declaration");
        // Who objected to all of it on every channel has said this too.
        let all = json!({ "contactId": anna, "purpose": "existing_customer_mail" });
        let eva = office.customer("Eva", "eva@example.org", json!({})).await;
        let wide = json!({ "contactId": eva, "purpose": "existing_customer_mail" });
        let path = office.link(&eva, "existing_customer_mail").await;
        for input in [all, wide] {
            done(&office.client, &office.staff.consent, "recordObjection", input, "objection { id }").await;
        }
        assert_eq!(office.click(&path).await, 200);
        assert_eq!(office.read(&eva).await["objections"].as_array().unwrap().len(), 1);
    }
}

/// Who shares a telephone or a letter box with somebody is not called or written to any more, and still mailed to.
#[tokio::test]
async fn a_shared_line_or_letter_box_closes_nothing_else_of_others() {
    let home = json!({ "phone": "+49 30 5550 100", "street": "Ringweg 4", "postalCode": "10115", "city": "Berlin",
        "familyName": "Muster" });
    for office in Office::all().await {
        let pa = office.customer("Pa", "pa@example.org", home.clone()).await;
        let ma = office.customer("Ma", "ma@example.org", home.clone()).await;
        for contact in [&pa, &ma] {
            for channel in ["EMAIL", "PHONE"] {
                yes(&office.client, &office.staff.consent, contact, ("event_invitations", channel), OLDER)
                    .await;
            }
        }
        // A click in a mail is about the mailbox.
        assert_eq!(office.click(&office.link(&pa, "existing_customer_mail").await).await, 200);
        assert_eq!(office.sees("existing_customer_mail", &[&pa, &ma]).await, [false, true]);
        assert_eq!(office.sees("direct_mail", &[&pa, &ma]).await, [true, true]);
        assert_eq!(office.blocks(&ma).await, Vec::<String>::new());
        // An objection to all advertising ends all of it for Pa; of Ma what leads to the same line and letter box.
        let input = json!({ "contactId": pa, "purpose": "direct_marketing" });
        done(&office.client, &office.staff.consent, "recordObjection", input, "objection { id }").await;
        office.wait();
        let shared =
            ["direct_marketing PHONE", "direct_marketing POST", "direct_marketing SMS"].map(str::to_owned);
        assert_eq!(office.blocks(&ma).await, shared);
        for (purpose, seen) in
            [("existing_customer_mail", true), ("direct_mail", false), ("event_invitations", true)]
        {
            assert_eq!(office.sees(purpose, &[&pa, &ma]).await, [false, seen], "{purpose}");
        }
        let read = format!("{{ contact(id: \"{ma}\") {{ email phone }} }}");
        let told =
            office.client.data(&office.under("event_invitations").await, &read).await["contact"].clone();
        assert_eq!(told, json!({ "email": "ma@example.org", "phone": null }));
        // Who comes to the line later finds the same.
        let kid = office.customer("Kid", "kid@example.org", home.clone()).await;
        assert_eq!(office.blocks(&kid).await, shared);
        assert_eq!(office.sees("existing_customer_mail", &[&kid]).await, [true]);
        assert_eq!(office.sees("direct_mail", &[&kid]).await, [false]);
        assert_eq!(zweck::domain::consents::reconcile(&office.site.test.app).await.unwrap().repaired, 0);
    }
}

/// A person who ends everything has not withdrawn what it never gave.
#[tokio::test]
async fn nothing_is_written_of_consents_that_never_were() {
    for office in Office::all().await {
        let anna = office.customer("Anna", "anna.alone@example.org", json!({})).await;
        yes(&office.client, &office.staff.consent, &anna, ("newsletter", "EMAIL"), OLDER).await;
        let path = office.link(&anna, "newsletter").await;
        let press = async |purpose, action| {
            office.wait();
            let reply = office.site.post(&path, &[("purpose", purpose), ("action", action)]).await;
            assert_eq!(reply.status, 303, "{purpose} {action}");
            office.wait();
        };
        press("event_invitations", "withdraw").await;
        assert_eq!(office.events(&anna).await, ["newsletter EMAIL GRANTED"]);
        assert_eq!(office.blocks(&anna).await, ["event_invitations EMAIL", "event_invitations PHONE"]);
        for _ in 0..2 {
            press("direct_marketing", "none").await;
            press("event_invitations", "withdraw").await;
            press("newsletter", "withdraw").await;
            let events = ["newsletter EMAIL GRANTED", "newsletter EMAIL WITHDRAWN"];
            assert_eq!(office.events(&anna).await, events);
        }
        assert_eq!(office.read(&anna).await["objections"].as_array().unwrap().len(), 1);
        // A yes of before begins nothing, also with an address that comes later. One of after does.
        let input = json!({ "contactId": anna, "phone": "+49 30 5550 200" });
        done(&office.client, &office.staff.desk, "updateContact", input, "contact { id }").await;
        for (purpose, channel) in
            [("event_invitations", "EMAIL"), ("event_invitations", "PHONE"), ("phone_marketing", "PHONE")]
        {
            yes(&office.client, &office.staff.consent, &anna, (purpose, channel), OLDER).await;
            assert_eq!(office.sees(purpose, &[&anna]).await, [false], "{purpose} {channel}");
        }
        office.yes(&anna, "phone_marketing", "PHONE").await;
        assert_eq!(office.sees("phone_marketing", &[&anna]).await, [true]);
        assert_eq!(zweck::domain::consents::reconcile(&office.site.test.app).await.unwrap().repaired, 0);
    }
}

/// The block alone stands where there was no objection beside the withdrawal.
#[tokio::test]
async fn what_was_never_given_stays_ended_when_an_address_comes() {
    for office in Office::all().await {
        let anna = office.customer("Anna", "anna.alone@example.org", json!({})).await;
        yes(&office.client, &office.staff.consent, &anna, ("newsletter", "EMAIL"), OLDER).await;
        let path = office.link(&anna, "newsletter").await;
        office.wait();
        let form = [("purpose", "event_invitations"), ("action", "withdraw")];
        assert_eq!(office.site.post(&path, &form).await.status, 303);
        office.wait();
        let input = json!({ "contactId": anna, "phone": "+49 30 5550 300" });
        done(&office.client, &office.staff.desk, "updateContact", input, "contact { id }").await;
        yes(&office.client, &office.staff.consent, &anna, ("event_invitations", "PHONE"), OLDER).await;
        assert_eq!(office.sees("event_invitations", &[&anna]).await, [false]);
        office.yes(&anna, "event_invitations", "PHONE").await;
        assert_eq!(office.sees("event_invitations", &[&anna]).await, [true]);
    }
}

/// What a person ended without ever having given it is its word for every address that it gets, and against whoever has that.
#[tokio::test]
async fn what_was_never_given_is_ended_for_each_address_that_comes() {
    const CALLS: (&str, &str) = ("event_invitations", "PHONE");
    for office in Office::all().await {
        for (number, first) in [(1, None), (2, Some("+49 30 5550 410"))] {
            let anna = office.customer("Anna", &format!("anna{number}@example.org"), json!({})).await;
            let set = async |phone: &str| {
                let input = json!({ "contactId": anna, "phone": phone });
                done(&office.client, &office.staff.desk, "updateContact", input, "contact { id }").await;
            };
            if let Some(first) = first {
                set(first).await;
            }
            yes(&office.client, &office.staff.consent, &anna, ("newsletter", "EMAIL"), OLDER).await;
            let path = office.link(&anna, "newsletter").await;
            office.wait();
            let form = [("purpose", "event_invitations"), ("action", "withdraw")];
            assert_eq!(office.site.post(&path, &form).await.status, 303);
            office.wait();
            for next in 0..2 {
                let phone = format!("+49 30 5550 4{number}{next}5");
                let mail = format!("otto{number}{next}@example.org");
                let otto = office.customer("Otto", &mail, json!({ "phone": phone })).await;
                set(&phone).await;
                for contact in [&anna, &otto] {
                    yes(&office.client, &office.staff.consent, contact, CALLS, OLDER).await;
                }
                assert_eq!(office.sees(CALLS.0, &[&anna, &otto]).await, [false, false], "{number} {next}");
                // It is a block for Otto, and no word of his.
                assert!(office.read(&otto).await["objections"].as_array().unwrap().is_empty());
            }
            // A later yes answers it: the address that comes then is not closed.
            office.wait();
            office.yes(&anna, CALLS.0, CALLS.1).await;
            assert_eq!(office.sees(CALLS.0, &[&anna]).await, [true], "{number}");
            let phone = format!("+49 30 5550 4{number}90");
            let otto = office
                .customer("Otto", &format!("otto{number}@example.org"), json!({ "phone": phone }))
                .await;
            yes(&office.client, &office.staff.consent, &otto, CALLS, OLDER).await;
            set(&phone).await;
            assert_eq!(office.sees(CALLS.0, &[&otto]).await, [true], "{number}");
        }
        assert_eq!(zweck::domain::consents::reconcile(&office.site.test.app).await.unwrap().repaired, 0);
    }
}

/// The mail went to the mailbox, whatever became of the record since.
#[tokio::test]
async fn a_link_ends_the_mails_to_the_mailbox_that_got_it() {
    for office in Office::all().await {
        for (number, purpose) in [(1, "existing_customer_mail"), (2, "newsletter"), (3, "customer_care")] {
            let (old, new) = (format!("old{number}@example.org"), format!("new{number}@example.org"));
            let anna = office.customer("Anna", &old, json!({})).await;
            let otto = office.customer("Otto", &old, json!({})).await;
            for contact in [&anna, &otto] {
                yes(&office.client, &office.staff.consent, contact, ("newsletter", "EMAIL"), OLDER).await;
            }
            let uuid = anna.parse().unwrap();
            let path = format!("/p/{}", office.site.preference(uuid, purpose, &old).await);
            let before = format!("/p/{}", office.site.old_preference(uuid, purpose, &old).await);
            for path in [&path, &before] {
                assert_eq!(office.site.get(path).await.status, 200);
            }
            if purpose == "existing_customer_mail" {
                assert_eq!(office.link(&anna, purpose).await, path);
            }
            let input = json!({ "contactId": anna, "email": new });
            done(&office.client, &office.staff.desk, "updateContact", input, "contact { id }").await;
            office.yes(&anna, "newsletter", "EMAIL").await;
            // Nothing is shown any more.
            for path in [&path, &before] {
                assert_eq!(office.site.get(path).await.status, 404);
            }
            let ended = if purpose == "customer_care" { "newsletter" } else { purpose };
            assert_eq!(office.sees(ended, &[&anna, &otto]).await, [true, true]);
            // Links of before name no mailbox: they end the mails to the person alone.
            assert_eq!(office.click(&before).await, 200);
            assert_eq!(office.sees(ended, &[&anna, &otto]).await, [false, true], "{purpose}");
            assert_eq!(office.click(&path).await, 200);
            assert_eq!(office.sees(ended, &[&anna, &otto]).await, [false, false], "{purpose}");
            let other = if ended == "newsletter" { "existing_customer_mail" } else { "newsletter" };
            assert_eq!(office.sees(other, &[&otto]).await, [true], "{purpose}");
            // Otto has declared nothing, and Anna nothing twice.
            assert_eq!(office.events(&otto).await, ["newsletter EMAIL GRANTED"]);
            assert_eq!(office.read(&otto).await["objections"], json!([]));
            let withdrawn =
                office.events(&anna).await.iter().filter(|event| event.ends_with("WITHDRAWN")).count();
            let objected = office.read(&anna).await["objections"].as_array().unwrap().len();
            assert_eq!((withdrawn, objected), if ended == "newsletter" { (1, 0) } else { (0, 1) });
            // A record that comes later finds it.
            let late =
                contact(&office.client, &office.staff.desk, json!({ "givenName": "Late", "email": old }))
                    .await;
            yes(&office.client, &office.staff.consent, &late, (ended_consent(ended), "EMAIL"), OLDER).await;
            assert!(office.blocks(&late).await.iter().any(|block| block.starts_with(ended)), "{purpose}");
        }
        assert_eq!(zweck::domain::consents::reconcile(&office.site.test.app).await.unwrap().repaired, 0);
    }
}

/// Something that is consented to, whatever is ended.
fn ended_consent(ended: &str) -> &str {
    if ended == "existing_customer_mail" { "event_invitations" } else { ended }
}
