//! Noes and addresses that change: what comes to a record is closed by what the list says and by what the person said.

use serde_json::{Value, json};

use super::{contact, sees, yes};
use crate::{
    reads::{World, worlds},
    support::{
        app::TestApp,
        client::{Caller, Client},
    },
    writes::{Staff, done, mutate, refusal},
};

/// Who reads for advertising that rests on no consent, by mail and by letter, and who writes.
struct Desk {
    /// The database is there as long as this is.
    _test: TestApp,
    client: Client,
    staff: Staff,
    mail: Caller,
    letters: Caller,
    partner: Caller,
    calls: Caller,
}

impl Desk {
    async fn of(World { test, client }: World) -> Self {
        Self {
            client,
            staff: Staff::of(&test).await,
            mail: test.caller("marketing", "existing_customer_mail").await,
            letters: test.caller("marketing", "direct_mail").await,
            partner: test.caller("partner", "newsletter").await,
            calls: test.caller("marketing", "phone_marketing").await,
            _test: test,
        }
    }

    /// A record that may be advertised to for `purpose`.
    async fn customer(&self, purpose: &str, mut values: Value) -> String {
        values["ground"] = json!({ "purpose": purpose, "reference": "order" });
        contact(&self.client, &self.staff.desk, values).await
    }

    async fn write(&self, name: &str, input: Value) -> Value {
        done(&self.client, &self.staff.desk, name, input, "__typename").await
    }

    /// Records an objection of a contact; its id.
    async fn object(&self, input: Value) -> String {
        let made = done(&self.client, &self.staff.desk, "recordObjection", input, "objection { id }").await;
        made["objection"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The open blocks of a contact: kind, purpose and id.
    async fn blocks(&self, contact: &str) -> Vec<(String, String, String)> {
        let query = format!(
            "{{ contact(id: \"{contact}\") {{ blocks {{ id kind channel endedAt purpose {{ code }} }} }} }}"
        );
        let found = self.client.data(&self.staff.desk, &query).await;
        let blocks = found["contact"]["blocks"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        blocks
            .filter(|block| block["endedAt"].is_null())
            .map(|block| (text(&block["kind"]), text(&block["purpose"]["code"]), text(&block["id"])))
            .collect()
    }

    async fn mailed(&self, contacts: &[&String]) -> Vec<bool> {
        self.seen(&self.mail, contacts).await
    }

    async fn seen(&self, caller: &Caller, contacts: &[&String]) -> Vec<bool> {
        let contacts: Vec<String> = contacts.iter().map(|contact| (*contact).clone()).collect();
        sees(&self.client, caller, &contacts).await
    }
}

const MAIL: &str = "existing_customer_mail";

fn named(name: &str, email: &str) -> Value {
    json!({ "givenName": name, "familyName": name, "email": email })
}

#[tokio::test]
async fn a_family_name_in_several_words_is_one_household() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        for (number, (one, other)) in [
            ("von Berg", "VON  BERG"),
            ("Müller-Lüdenscheidt", "Müller Lüdenscheidt"),
            ("O'Brien", "O\u{2019}Brien"),
            ("Müller", "Müller"),
        ]
        .into_iter()
        .enumerate()
        {
            let lives = |given: &str, family: &str| {
                json!({ "givenName": given, "familyName": family, "street": format!("Gasse {}", number + 1),
                    "postalCode": "10115", "city": "Berlin" })
            };
            let ada = desk.customer("direct_mail", lives("Ada", one)).await;
            let carl = desk.customer("direct_mail", lives("Carl", other)).await;
            let stranger = desk.customer("direct_mail", lives("Sam", "Fremd")).await;
            desk.object(json!({ "contactId": ada, "purpose": "direct_mail" })).await;
            let seen = desk.seen(&desk.letters, &[&ada, &carl, &stranger]).await;
            assert_eq!(seen, [false, false, true], "{one}");
        }
    }
}

#[tokio::test]
async fn a_town_is_no_letter_box() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        for place in [json!({ "city": "Stuttgart" }), json!({ "postalCode": "70173" })] {
            let of = |email: &str, name: &str| {
                let mut values = place.clone();
                values["email"] = json!(email);
                values["familyName"] = json!(name);
                values
            };
            let said =
                desk.customer(MAIL, of(&format!("a{}@example.org", place.to_string().len()), "Müller")).await;
            let same = desk.customer(MAIL, of("b@example.org", "Müller")).await;
            desk.object(json!({ "contactId": said, "purpose": MAIL })).await;
            assert_eq!(desk.mailed(&[&said, &same]).await, [false, true], "{place}");
            desk.customer(MAIL, of("c@example.org", "Müller")).await;
        }
    }
}

/// What a person took back was about the addresses of then.
#[tokio::test]
async fn a_lifted_block_hides_no_older_no_of_another_address() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        let at = |month: u32| format!("2026-{month:02}-01T10:00:00Z");
        desk.object(json!({ "email": "y@example.org", "purpose": MAIL, "declaredAt": at(1) })).await;
        let a = desk.customer(MAIL, named("Ada", "x@example.org")).await;
        let b = desk.customer(MAIL, named("Ben", "x@example.org")).await;
        desk.object(json!({ "email": "x@example.org", "purpose": MAIL, "declaredAt": at(2) })).await;
        assert_eq!(desk.mailed(&[&a, &b]).await, [false, false]);
        for (_, _, block) in desk.blocks(&a).await {
            desk.write("liftBlock", json!({ "blockId": block })).await;
        }
        assert_eq!(desk.mailed(&[&a, &b]).await, [true, false]);
        let c = desk.customer(MAIL, named("Cem", "c@example.org")).await;
        desk.write("updateContact", json!({ "contactId": a, "email": "y@example.org" })).await;
        assert_eq!(desk.mailed(&[&a, &b, &c]).await, [false, false, true], "the new address has a no");
        desk.write("addContactPoint", json!({ "contactId": c, "kind": "EMAIL", "email": "y@example.org" }))
            .await;
        assert_eq!(desk.mailed(&[&a, &b, &c]).await, [false, false, false]);
    }
}

#[tokio::test]
async fn who_takes_back_an_objection_opens_its_channel_alone() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        let a = desk.customer(MAIL, named("Ada", "both@example.org")).await;
        let b = desk.customer(MAIL, named("Ben", "both@example.org")).await;
        desk.object(json!({ "contactId": b, "purpose": MAIL })).await;
        let phone = desk.object(json!({ "contactId": a, "purpose": MAIL, "channel": "PHONE" })).await;
        assert_eq!(desk.mailed(&[&a, &b]).await, [false, false]);
        desk.write("endObjection", json!({ "objectionId": phone })).await;
        assert_eq!(desk.mailed(&[&a, &b]).await, [false, false], "the mailbox was closed by somebody else");
        // A block that ended when it began would never have held.
        let (_, _, block) = desk.blocks(&a).await.remove(0);
        let query = format!("{{ contact(id: \"{a}\") {{ blocks {{ id since }} }} }}");
        let since = desk.client.data(&desk.staff.desk, &query).await;
        let since = since["contact"]["blocks"][0]["since"].clone();
        let input = json!({ "blockId": block, "endedAt": since });
        let refused = mutate(&desk.client, &desk.staff.desk, "liftBlock", &input, "__typename").await;
        assert_eq!(refusal(&refused, "liftBlock"), "BAD_USER_INPUT");
        // With the objection of all channels everything is open again, for this record.
        let all = desk.object(json!({ "contactId": a, "purpose": MAIL })).await;
        desk.write("endObjection", json!({ "objectionId": all })).await;
        assert_eq!(desk.mailed(&[&a, &b]).await, [true, false]);
    }
}

#[tokio::test]
async fn a_new_name_is_looked_up_for_every_letter_box() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        let box_of = json!({ "street": "Fern 3", "postalCode": "10999", "city": "Berlin" });
        let mut said = box_of.clone();
        said["familyName"] = json!("Neu");
        let said = desk.customer("direct_mail", said).await;
        desk.object(json!({ "contactId": said, "purpose": "direct_mail" })).await;
        let other = desk
            .customer("direct_mail", json!({ "familyName": "Alt", "street": "Nah 1", "postalCode": "10115" }))
            .await;
        let mut point = box_of;
        point["contactId"] = json!(other);
        point["kind"] = json!("POSTAL");
        desk.write("addContactPoint", point).await;
        assert_eq!(desk.seen(&desk.letters, &[&said, &other]).await, [false, true]);
        desk.write("updateContact", json!({ "contactId": other, "familyName": "Neu" })).await;
        assert_eq!(desk.seen(&desk.letters, &[&said, &other]).await, [false, false]);
    }
}

/// The no is the person's: an address that the person gets is closed for every record of it.
#[tokio::test]
async fn a_no_follows_its_person_to_an_address_that_comes() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        for (way, mailbox) in
            [("corrected", "new1@example.org"), ("added", "new2@example.org"), ("merged", "new3@example.org")]
        {
            let said = desk.customer(MAIL, named("Xenia", &format!("old-{way}@example.org"))).await;
            let consent = yes(
                &desk.client,
                &desk.staff.consent,
                &said,
                ("newsletter", "EMAIL"),
                "2026-09-01T10:00:00Z",
            )
            .await;
            desk.write("withdrawConsent", json!({ "consentId": consent })).await;
            desk.object(json!({ "contactId": said, "purpose": MAIL })).await;
            // The same person a second time, and somebody else who reads there too.
            let same = desk.customer(MAIL, named("Xenia", mailbox)).await;
            let other = desk.customer(MAIL, named("Theo", mailbox)).await;
            yes(&desk.client, &desk.staff.consent, &same, ("newsletter", "EMAIL"), "2026-09-02T10:00:00Z")
                .await;
            assert_eq!(desk.mailed(&[&said, &same, &other]).await, [false, true, true], "{way}");
            match way {
                "corrected" => {
                    desk.write("updateContact", json!({ "contactId": said, "email": mailbox })).await
                }
                "added" => {
                    desk.write(
                        "addContactPoint",
                        json!({ "contactId": said, "kind": "EMAIL", "email": mailbox }),
                    )
                    .await
                }
                _ => {
                    let third = desk.customer(MAIL, named("Xenia", mailbox)).await;
                    desk.write("mergeContacts", json!({ "contactId": third, "duplicateId": said })).await
                }
            };
            assert_eq!(desk.mailed(&[&same, &other]).await, [false, false], "{way}");
            assert_eq!(desk.seen(&desk.partner, &[&same]).await, [false], "{way}");
            let (kinds, objections) = (desk.blocks(&other).await, {
                let query = format!("{{ contact(id: \"{other}\") {{ objections {{ id }} }} }}");
                desk.client.data(&desk.staff.desk, &query).await["contact"]["objections"].clone()
            });
            assert!(kinds.iter().all(|(kind, ..)| kind == "BLOCK") && !kinds.is_empty(), "{way}: {kinds:?}");
            assert_eq!(objections, json!([]), "{way}: the other person declared nothing");
        }
    }
}

/// The same word closes the same, by whatever door.
#[tokio::test]
async fn every_door_takes_a_word_for_the_same() {
    for world in worlds().await {
        let desk = Desk::of(world).await;
        // Who withdraws from all advertising means what rests on no consent too.
        let a = desk.customer(MAIL, named("Ada", "a@example.org")).await;
        desk.write("withdrawConsent", json!({ "contactId": a, "purpose": "direct_marketing" })).await;
        assert_eq!(desk.mailed(&[&a]).await, [false]);
        let b = desk.customer(MAIL, named("Ben", "b@example.org")).await;
        desk.write("withdrawConsent", json!({ "email": "B@example.org", "purpose": "direct_marketing" }))
            .await;
        assert_eq!(desk.mailed(&[&b]).await, [false]);
        // An objection that comes as a request ends advertising at once.
        let c = desk.customer(MAIL, named("Cem", "c@example.org")).await;
        let request = json!({ "contactId": c, "kind": "OBJECTION", "purpose": "direct_marketing" });
        let opened = done(&desk.client, &desk.staff.desk, "openRequest", request, "request { status }").await;
        assert_eq!(opened["request"]["status"], "RECEIVED");
        assert_eq!(desk.mailed(&[&c]).await, [false]);
        // By the mailbox of one person: on every channel that leads to the person.
        let number = "+49 30 5550100";
        let of = |name: &str, email: &str| {
            let mut values = named(name, email);
            values["phone"] = json!(number);
            values
        };
        let d = contact(&desk.client, &desk.staff.desk, of("Dora", "d@example.org")).await;
        let e = contact(&desk.client, &desk.staff.desk, of("Emil", "e@example.org")).await;
        for who in [&d, &e] {
            yes(&desk.client, &desk.staff.consent, who, ("phone_marketing", "PHONE"), "2026-09-02T10:00:00Z")
                .await;
        }
        assert_eq!(desk.seen(&desk.calls, &[&d, &e]).await, [true, true]);
        desk.write("recordObjection", json!({ "email": "d@example.org", "purpose": "direct_marketing" }))
            .await;
        assert_eq!(desk.seen(&desk.calls, &[&d, &e]).await, [false, false]);
        // An address that does not lead to the channel is told.
        for channel in ["PHONE", "SMS", "POST"] {
            let input = json!({ "email": "d@example.org", "purpose": MAIL, "channel": channel });
            let refused =
                mutate(&desk.client, &desk.staff.desk, "recordObjection", &input, "__typename").await;
            assert_eq!(refusal(&refused, "recordObjection"), "BAD_USER_INPUT");
            assert_eq!(refused["errors"][0]["extensions"]["inputPath"], "input.channel");
        }
        // What is no advertising is kept for no address.
        let input = json!({ "email": "nobody@example.org", "purpose": "business_contact" });
        let unknown = mutate(&desk.client, &desk.staff.desk, "recordObjection", &input, "__typename").await;
        assert_eq!(refusal(&unknown, "recordObjection"), "NOT_FOUND");
        desk.customer("business_contact", named("Nora", "nobody@example.org")).await;
    }
}
