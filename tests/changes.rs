//! Who follows learns of every consent that begins or ends, in the order of the commits, and of no other.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use zweck::{
    domain::{consents, purposes},
    policy::Sources,
};

use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, Client, problems},
        dump::number,
        world::id,
    },
    writes::{Staff, done, mutate, newsletter, person, refusal},
};

/// One page of what changed, once all that is committed has its place.
async fn page(client: &Client, caller: &Caller, after: Option<&str>, first: u32) -> Value {
    client.numbered().await;
    page_now(client, caller, after, first).await
}

/// One page of what changed as it is.
async fn page_now(client: &Client, caller: &Caller, after: Option<&str>, first: u32) -> Value {
    let query = "query($after: String, $first: Int) { consentChanges(first: $first, after: $after) {
        nodes { id contactId channel kind at contact { id } purpose { code } } pageInfo { hasNextPage endCursor } } }";
    let answer = client.ask_with(caller, query, json!({ "after": after, "first": first })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"]["consentChanges"].clone()
}

/// Somebody who follows: what it was told, and its last cursor.
#[derive(Default)]
pub struct Follower {
    pub told: Vec<Value>,
    cursor: Option<String>,
}

impl Follower {
    /// Asks for what is new, and gives it in short: `GRANTED 7 EMAIL`.
    pub async fn news(&mut self, client: &Client, caller: &Caller) -> Vec<String> {
        client.numbered().await;
        self.news_now(client, caller).await
    }

    /// The same of what has its place already.
    pub async fn news_now(&mut self, client: &Client, caller: &Caller) -> Vec<String> {
        let mut news = Vec::new();
        loop {
            let page = page_now(client, caller, self.cursor.as_deref(), 3).await;
            for node in page["nodes"].as_array().unwrap() {
                news.push(short(node));
                self.told.push(node.clone());
            }
            if let Some(cursor) = page["pageInfo"]["endCursor"].as_str() {
                self.cursor = Some(cursor.to_owned());
            }
            if page["pageInfo"]["hasNextPage"] == false {
                return news;
            }
        }
    }

    /// Contact and channel of what holds, by what was told.
    pub fn holding(&self) -> BTreeSet<(String, String)> {
        let mut holding = BTreeSet::new();
        for node in &self.told {
            let text = |name: &str| node[name].as_str().unwrap().to_owned();
            let consent = (text("contactId"), text("channel"));
            // Never twice the same.
            match node["kind"].as_str().unwrap() {
                "GRANTED" => assert!(holding.insert(consent), "{node} again"),
                _ => assert!(holding.remove(&consent), "{node} of what was not told"),
            }
        }
        holding
    }
}

fn short(node: &Value) -> String {
    let contact = node["contactId"].as_str().unwrap();
    let known = (1..12).find(|number| person(*number) == contact);
    let name = known.map_or_else(|| "other".to_owned(), |number| number.to_string());
    format!("{} {name} {}", node["kind"].as_str().unwrap(), node["channel"].as_str().unwrap())
}

/// A world whose feed tells what holds in it.
pub async fn followed() -> Vec<World> {
    let worlds = worlds().await;
    for world in &worlds {
        // Anna and Jan, and three to events: before there was anybody to follow.
        assert_eq!(consents::backfill_changes(&world.test.app).await.unwrap(), 5);
        assert_eq!(consents::backfill_changes(&world.test.app).await.unwrap(), 0);
    }
    worlds
}

#[tokio::test]
async fn every_way_a_consent_begins_or_ends_is_told() {
    for world in followed().await {
        let (client, test) = (&world.client, &world.test);
        let staff = Staff::of(test).await;
        let partner = test.caller("partner", "newsletter").await;
        let mut feed = Follower::default();
        let minute = || test.clock.advance(TimeDelta::minutes(1));
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 1 EMAIL", "GRANTED 10 EMAIL"]);
        let cursor = feed.cursor.clone();
        assert_eq!(feed.news(client, &partner).await, [""; 0]);
        assert_eq!(feed.cursor, cursor, "an empty page leaves the cursor as it was");
        let seven = person(7);
        let record = |at: String| newsletter(7, &at);
        let now = || test.app.now().to_rfc3339();
        let purpose = |purpose: &str| json!({ "contactId": seven, "purpose": purpose });

        done(client, &staff.consent, "recordConsent", record(now()), "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL"]);
        let last = feed.told.last().unwrap();
        assert_eq!(last["contact"]["id"], json!(seven));
        assert_eq!(last["purpose"]["code"], "newsletter");
        assert_eq!(last["at"], json!(test.app.now().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)));
        // What was said already is no change, nor is anything else of the contact.
        done(client, &staff.consent, "recordConsent", record(now()), "__typename").await;
        done(
            client,
            &staff.desk,
            "updateContact",
            json!({ "contactId": seven, "givenName": "Regina" }),
            "__typename",
        )
        .await;
        assert_eq!(feed.news(client, &partner).await, [""; 0]);

        minute();
        done(client, &staff.consent, "withdrawConsent", purpose("newsletter"), "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["ENDED 7 EMAIL"]);
        assert_eq!(feed.told.last().unwrap()["contact"], Value::Null);
        // A withdrawal of what is withdrawn, and of what was never given.
        done(client, &staff.consent, "withdrawConsent", purpose("newsletter"), "__typename").await;
        done(
            client,
            &staff.consent,
            "withdrawConsent",
            json!({ "contactId": person(8), "purpose": "newsletter" }),
            "__typename",
        )
        .await;
        assert_eq!(feed.news(client, &partner).await, [""; 0]);

        for objected in ["newsletter", "direct_marketing"] {
            minute();
            done(client, &staff.consent, "recordConsent", record(now()), "__typename").await;
            assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL"], "{objected}");
            minute();
            let made =
                done(client, &staff.consent, "recordObjection", purpose(objected), "objection { id }").await;
            assert_eq!(feed.news(client, &partner).await, ["ENDED 7 EMAIL"], "{objected}");
            // Taken back later it has ended the consent all the same.
            minute();
            done(
                client,
                &staff.consent,
                "endObjection",
                json!({ "objectionId": made["objection"]["id"] }),
                "__typename",
            )
            .await;
            assert_eq!(feed.news(client, &partner).await, [""; 0], "{objected}");
        }
        minute();
        done(client, &staff.consent, "recordConsent", record(now()), "__typename").await;
        minute();
        let at = now();
        let mut objection = purpose("newsletter");
        objection["declaredAt"] = json!(at);
        let made = done(client, &staff.consent, "recordObjection", objection, "objection { id }").await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL", "ENDED 7 EMAIL"]);
        // One that ended when it began never held.
        let end = json!({ "objectionId": made["objection"]["id"], "endedAt": at });
        done(client, &staff.consent, "endObjection", end, "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL"]);

        let restrict = json!({ "contactId": seven, "limb": "A", "reason": "disputed" });
        done(client, &staff.desk, "restrictContact", restrict, "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["ENDED 7 EMAIL"]);
        minute();
        done(
            client,
            &staff.desk,
            "liftRestriction",
            json!({ "contactId": seven, "informedAt": now() }),
            "__typename",
        )
        .await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL"]);

        let moved = json!({ "contactId": seven, "email": "gina@elsewhere.example" });
        done(client, &staff.desk, "updateContact", moved, "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["ENDED 7 EMAIL"]);
        minute();
        done(client, &staff.consent, "recordConsent", record(now()), "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 7 EMAIL"]);

        // Two that are one: what was told of the one that goes is ended, also though nothing is there any more.
        let merge = json!({ "contactId": person(1), "duplicateId": seven, "take": [] });
        done(client, &staff.desk, "mergeContacts", merge, "__typename").await;
        let news = feed.news(client, &partner).await;
        assert!(news.contains(&"ENDED 7 EMAIL".to_owned()), "{news:?}");
        // Whether that of Anna holds, whose address is another, the reads say.
        assert_eq!(feed.holding(), visible(client, &partner, &[("email", "EMAIL")]).await);

        // By time: with nothing having to run no more is read, and by the job it is told, once, with its own instant.
        minute();
        let mut ending = record(now());
        ending["contactId"] = json!(person(8));
        let end = test.app.now() + TimeDelta::hours(1);
        ending["expiresAt"] = json!(end.to_rfc3339());
        done(client, &staff.consent, "recordConsent", ending, "__typename").await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 8 EMAIL"]);
        test.clock.advance(TimeDelta::hours(2));
        let status = format!(
            "{{ contact(id: \"{}\") {{ consents {{ nodes {{ status reviewDue expiresAt purpose {{ code }} }} }} }} }}",
            person(8)
        );
        let before = client.data(&staff.dpo, &status).await;
        let (one, other) = tokio::join!(consents::expire(&test.app), consents::expire(&test.app));
        // That of Clara is over too, but not what her events say: the job opens nothing.
        assert_eq!(one.unwrap() + other.unwrap(), 1);
        assert_eq!(consents::expire(&test.app).await.unwrap(), 0);
        assert_eq!(client.data(&staff.dpo, &status).await, before);
        assert_eq!(feed.news(client, &partner).await, ["ENDED 8 EMAIL"]);
        assert_eq!(
            feed.told.last().unwrap()["at"],
            json!(end.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        );
        assert_eq!(feed.holding(), visible(client, &partner, &[("email", "EMAIL")]).await);
        // Of those who never consented nothing was ever told.
        let strangers = format!(
            "SELECT COUNT(*) FROM consent_change WHERE contact_id NOT IN (SELECT contact_id FROM consent) AND contact_id <> {}",
            literal(&test.url, &seven)
        );
        assert_eq!(number(&test.app.db.writer, &strangers).await, 0);
    }
}

/// An id as each database writes it.
fn literal(url: &str, id: &str) -> String {
    if url.starts_with("postgres") { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
}

/// Contact and channel that reads show: a field of the channel is there.
async fn visible(client: &Client, caller: &Caller, fields: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let names: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
    let query = format!("{{ contacts(first: 1000) {{ nodes {{ id {} }} }} }}", names.join(" "));
    let data = client.data(caller, &query).await;
    let mut visible = BTreeSet::new();
    for node in data["contacts"]["nodes"].as_array().unwrap() {
        for (field, channel) in fields {
            if !node[*field].is_null() {
                visible.insert((node["id"].as_str().unwrap().to_owned(), (*channel).to_owned()));
            }
        }
    }
    visible
}

/// Whatever happens, in whatever order: who follows from the beginning knows at each moment what a read would show.
#[tokio::test]
async fn random_histories_told_are_what_reads_show() {
    for world in followed().await {
        let (client, test) = (&world.client, &world.test);
        let mut seed = 11u64;
        let mut any = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below
        };
        let staff = Staff::of(test).await;
        let followers = [
            (test.caller("partner", "newsletter").await, vec![("email", "EMAIL")]),
            (
                test.caller("marketing", "event_invitations").await,
                vec![("email", "EMAIL"), ("phone", "PHONE")],
            ),
        ];
        let mut feeds = [Follower::default(), Follower::default()];
        let (mut objections, mut changes) = (Vec::new(), 0);
        let mut contacts: Vec<String> = Vec::new();
        for round in 0..140 {
            test.clock.advance(TimeDelta::minutes(7));
            if contacts.len() < 4 {
                let input = json!({ "familyName": "Zufall", "email": format!("z{}@example.org", any(3)), "phone": format!("+49 30 {}", 100 + any(3)), "source": { "name": "letter" } });
                let made = done(client, &staff.desk, "createContact", input, "contact { id }").await;
                contacts.push(made["contact"]["id"].as_str().unwrap().to_owned());
            }
            let contact = contacts[any(contacts.len())].clone();
            let purpose = ["newsletter", "event_invitations"][any(2)];
            let group = [purpose, "direct_marketing"][any(2)];
            let channel = if purpose == "newsletter" { "EMAIL" } else { ["EMAIL", "PHONE"][any(2)] };
            // Some come in late.
            let at = (test.app.now() - TimeDelta::minutes([0, 0, 0, 10, 40][any(5)])).to_rfc3339();
            let (caller, name, input) = match any(16) {
                0..6 => {
                    let mut input = json!({ "contactId": contact, "purpose": purpose, "channel": channel, "textVersion": "2026-1",
                        "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" });
                    if any(3) == 0 {
                        input["expiresAt"] = json!((test.app.now() + TimeDelta::minutes(30)).to_rfc3339());
                    }
                    (&staff.consent, "recordConsent", input)
                }
                6..8 => (
                    &staff.consent,
                    "withdrawConsent",
                    json!({ "contactId": contact, "purpose": purpose, "declaredAt": at }),
                ),
                8 => (
                    &staff.consent,
                    "withdrawConsent",
                    json!({ "contactId": contact, "purpose": "direct_marketing" }),
                ),
                9 => (
                    &staff.consent,
                    "recordObjection",
                    json!({ "contactId": contact, "purpose": group, "declaredAt": at }),
                ),
                10 if !objections.is_empty() => {
                    let (id, at): (Value, Value) = objections.swap_remove(any(objections.len()));
                    let input = if any(2) == 0 {
                        json!({ "objectionId": id, "endedAt": at })
                    } else {
                        json!({ "objectionId": id })
                    };
                    (&staff.consent, "endObjection", input)
                }
                11 => (
                    &staff.desk,
                    "restrictContact",
                    json!({ "contactId": contact, "limb": "A", "reason": "disputed" }),
                ),
                12 | 13 => (
                    &staff.desk,
                    "liftRestriction",
                    json!({ "contactId": contact, "informedAt": test.app.now().to_rfc3339() }),
                ),
                14 if any(2) == 0 => (
                    &staff.desk,
                    "updateContact",
                    json!({ "contactId": contact, "email": format!("z{}@example.org", any(3)) }),
                ),
                14 => (
                    &staff.desk,
                    "updateContact",
                    json!({ "contactId": contact, "phone": format!("+49 30 {}", 100 + any(3)) }),
                ),
                _ => {
                    let other = contacts[any(contacts.len())].clone();
                    if other != contact {
                        contacts.retain(|known| *known != other);
                    }
                    (
                        &staff.desk,
                        "mergeContacts",
                        json!({ "contactId": contact, "duplicateId": other, "take": [] }),
                    )
                }
            };
            let payload =
                if name == "recordObjection" { "objection { id objectedAt }" } else { "__typename" };
            let answer = mutate(client, caller, name, &input, payload).await;
            assert!(!answer.to_string().contains("INTERNAL"), "{name} {input}: {answer}");
            let made = &answer["data"][name]["objection"];
            if made.is_object() {
                objections.push((made["id"].clone(), made["objectedAt"].clone()));
            }
            consents::expire(&test.app).await.unwrap();
            for ((caller, fields), feed) in followers.iter().zip(&mut feeds) {
                changes += feed.news(client, caller).await.len();
                let shown = visible(client, caller, fields).await;
                assert_eq!(feed.holding(), shown, "round {round}: {name} {input}: {answer}");
            }
        }
        assert!(changes > 40, "only {changes} changes");
        assert_eq!(consents::backfill_changes(&test.app).await.unwrap(), 0, "nothing is left to be told");
        // But for the seeds, whose events say less than their state.
        let differing = consents::rebuild(&test.app, "cli:test", true).await.unwrap().differing;
        let seeded = |id: &uuid::Uuid| id.to_string().starts_with("01990000-");
        assert!(differing.iter().all(seeded), "{differing:?}");
    }
}

#[tokio::test]
async fn who_follows_is_told_of_its_own_purpose_alone() {
    for world in followed().await {
        let (client, test) = (&world.client, &world.test);
        client.numbered().await;
        let total = "{ consentChanges { totalCount nodes { purpose { code } } } }";
        let codes = |data: &Value| -> BTreeSet<String> {
            let nodes = data["consentChanges"]["nodes"].as_array().unwrap();
            nodes.iter().map(|node| node["purpose"]["code"].as_str().unwrap().to_owned()).collect()
        };
        for (role, purpose, count, expected) in [
            ("partner", "newsletter", 2, vec!["newsletter"]),
            ("marketing", "event_invitations", 3, vec!["event_invitations"]),
            ("marketing", "phone_marketing", 0, vec![]),
            ("marketing", "existing_customer_mail", 0, vec![]),
            ("privacy_desk", "rights_fulfilment", 5, vec!["event_invitations", "newsletter"]),
        ] {
            let data = client.data(&test.caller(role, purpose).await, total).await;
            assert_eq!(data["consentChanges"]["totalCount"], json!(count), "{role} {purpose}");
            assert_eq!(codes(&data).into_iter().collect::<Vec<_>>(), expected, "{role} {purpose}");
        }
        for (role, purpose) in
            [("support", "customer_care"), ("partner", "customer_care"), ("auditor", "security_audit")]
        {
            let answer = client.ask(&test.caller(role, purpose).await, total).await;
            assert_eq!(problems(&answer), ["FORBIDDEN Query.consentChanges"], "{role} {purpose}");
        }
        // A cursor belongs to a purpose, not to the token that got it.
        let (one, next) =
            (test.caller("partner", "newsletter").await, test.caller("partner", "newsletter").await);
        let first = page(client, &one, None, 1).await;
        let cursor = first["pageInfo"]["endCursor"].as_str();
        let rest = page(client, &next, cursor, 9).await;
        assert_eq!(rest["nodes"].as_array().unwrap().len(), 1);
        // A server that starts again, and another policy.
        let again = Client::over(test.app.clone());
        purposes::reload(&test.app, "cli:test", Ok(renewing())).await.unwrap();
        assert_eq!(page(&again, &next, cursor, 9).await, rest);
        let other = test.caller("marketing", "event_invitations").await;
        let query = "query($after: String) { consentChanges(after: $after) { nodes { id } } }";
        let answer = client.ask_with(&other, query, json!({ "after": cursor })).await;
        assert_eq!(problems(&answer), ["BAD_USER_INPUT -"]);
    }
}

/// Eight write at once, and one follows all the while: it is told each change once, in the order of the ids, and misses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_follows_while_others_write_misses_nothing() {
    for world in worlds().await {
        let (test, running) = (Arc::new(world.test), Arc::new(AtomicUsize::new(8)));
        let staff = Arc::new(Staff::of(&test).await);
        let mut writers = Vec::new();
        for writer in 0..8u64 {
            let input = json!({ "familyName": "Viel", "email": format!("v{writer}@example.org"), "source": { "name": "letter" } });
            let made = done(&world.client, &staff.desk, "createContact", input, "contact { id }").await;
            let (client, test) = (world.client.clone(), test.clone());
            let (staff, running) = (staff.clone(), running.clone());
            let contact = made["contact"]["id"].clone();
            writers.push(tokio::spawn(async move {
                for round in 0..12 {
                    test.clock.advance(TimeDelta::milliseconds(1));
                    let at = test.app.now().to_rfc3339();
                    let (name, input) = if round % 2 == 0 {
                        let mut input = newsletter(1, &at);
                        input["contactId"] = contact.clone();
                        ("recordConsent", input)
                    } else {
                        ("withdrawConsent", json!({ "contactId": contact, "purpose": "newsletter" }))
                    };
                    done(&client, &staff.consent, name, input, "__typename").await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
            }));
        }
        let partner = test.caller("partner", "newsletter").await;
        let (mut feed, mut polls) = (Follower::default(), 0);
        loop {
            let over = running.load(Ordering::SeqCst) == 0;
            feed.news(&world.client, &partner).await;
            polls += 1;
            if over {
                break;
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let ids = |nodes: &[Value]| -> Vec<String> {
            nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
        };
        let told = ids(&feed.told);
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len());
        let mut whole = Follower::default();
        whole.news(&world.client, &partner).await;
        assert_eq!(told, ids(&whole.told));
        assert_eq!(told.len(), 8 * 12, "each was a change, after {polls} polls");
        assert!(feed.holding().is_empty());
    }
}

/// The shipped policy with a second version of the text, which demands a new declaration within three months.
fn renewing() -> Sources {
    let mut sources = Sources::embedded();
    for language in ["de", "en"] {
        let old = sources.texts[&format!("newsletter/{language}/2026-1.txt")].clone();
        sources.texts.insert(format!("newsletter/{language}/2026-2.txt"), format!("{old}\nAlso offers."));
    }
    sources
        .purposes
        .push_str("\n[[text]]\npurpose = \"newsletter\"\nversion = \"2026-2\"\nrenew_within = \"P3M\"\n");
    sources
}

const DUE: &str = "{ consents(filter: { reviewDue: true, purpose: { eq: \"newsletter\" } }, orderBy: [{ field: ID, direction: ASC }]) { nodes {
    reviewDue status reviewDueAt expiresAt contact { id } text { version } events { kind text { version language } expiresAt } } } }";

#[tokio::test]
async fn a_new_text_demands_a_new_declaration_by_the_person() {
    for world in followed().await {
        let (client, test) = (&world.client, &world.test);
        let app = &test.app;
        let staff = Staff::of(test).await;
        for number in [1, 10] {
            let input = json!({ "contactId": person(number), "purpose": "newsletter" });
            done(client, &staff.consent, "withdrawConsent", input, "__typename").await;
        }
        for number in [7, 8, 9] {
            let mut input = newsletter(number, "2026-11-01T10:00:00Z");
            input["language"] = json!(if number == 8 { "en" } else { "de" });
            if number == 9 {
                input["expiresAt"] = json!("2027-01-10T00:00:00Z");
            }
            done(client, &staff.consent, "recordConsent", input, "__typename").await;
        }
        assert_eq!(consents::require_renewals(app).await.unwrap(), 0, "no text demands any");
        assert_eq!(client.data(&staff.dpo, DUE).await["consents"]["nodes"], json!([]));
        test.clock.advance(TimeDelta::hours(1));
        purposes::reload(app, "cli:test", Ok(renewing())).await.unwrap();
        test.clock.advance(TimeDelta::hours(1));
        // Of the seeds the state is not what their events say: they are left as they are.
        let (one, other) = tokio::join!(consents::require_renewals(app), consents::require_renewals(app));
        let demanded = one.unwrap() + other.unwrap();
        assert_eq!(demanded, 3);
        assert_eq!(consents::require_renewals(app).await.unwrap(), 0, "each is asked once");
        let count = "SELECT COUNT(*) FROM consent_event WHERE kind = 'REQUESTED'";
        assert_eq!(number(&app.db.writer, count).await, i64::try_from(demanded).unwrap());
        let due = client.data(&staff.dpo, DUE).await;
        let of = |number: u128| {
            let nodes = due["consents"]["nodes"].as_array().unwrap();
            nodes.iter().find(|node| node["contact"]["id"] == json!(person(number))).unwrap().clone()
        };
        for (number, language, end) in [
            (7, "de", "2027-02-02T10:00:00Z"),
            (8, "en", "2027-02-02T10:00:00Z"),
            (9, "de", "2027-01-10T00:00:00Z"),
        ] {
            let node = of(number);
            assert_eq!((&node["reviewDue"], &node["status"]), (&json!(true), &json!("GRANTED")), "{node}");
            assert_eq!(node["reviewDueAt"], "2026-11-02T11:00:00Z", "{node}");
            assert_eq!(node["expiresAt"], end, "{node}");
            // What it was given to stays; what is asked for is the new text in its language.
            assert_eq!(node["text"]["version"], "2026-1", "{node}");
            let events = node["events"].as_array().unwrap();
            let asked = events.iter().find(|event| event["kind"] == "REQUESTED").unwrap();
            assert_eq!(asked["text"], json!({ "version": "2026-2", "language": language }), "{node}");
        }
        // The person's word to the new text ends the demand; one to the old text, come in late, is asked for again.
        test.clock.advance(TimeDelta::hours(1));
        let now = app.now().to_rfc3339();
        for (number, version) in [(7, "2026-2"), (8, "2026-1")] {
            let mut input = newsletter(number, &now);
            input["textVersion"] = json!(version);
            let payload = "consent { status reviewDue expiresAt }";
            let given = done(client, &staff.consent, "recordConsent", input, payload).await;
            let expected =
                json!({ "status": "GRANTED", "reviewDue": false, "expiresAt": "2028-11-02T12:00:00Z" });
            assert_eq!(given["consent"], expected);
        }
        assert_eq!(consents::require_renewals(app).await.unwrap(), 1);
        assert_eq!(consents::require_renewals(app).await.unwrap(), 0);
        // The period over, those that were not renewed end, and those who follow are told.
        let partner = test.caller("partner", "newsletter").await;
        let mut feed = Follower::default();
        feed.news(client, &partner).await;
        test.clock.advance(TimeDelta::days(92));
        let partner = test.caller("partner", "newsletter").await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        assert_eq!(
            visible(client, &partner, &[("email", "EMAIL")]).await,
            BTreeSet::from([(person(7), "EMAIL".to_owned())])
        );
        assert_eq!(
            client.data(&desk, DUE).await["consents"]["nodes"],
            json!([]),
            "what has ended is not due"
        );
        consents::expire(app).await.unwrap();
        feed.news(client, &partner).await;
        assert_eq!(feed.holding(), BTreeSet::from([(person(7), "EMAIL".to_owned())]));
        // To an old text long after the period: it ends at once.
        let staff = Staff::of(test).await;
        done(client, &staff.consent, "recordConsent", newsletter(8, &app.now().to_rfc3339()), "__typename")
            .await;
        assert_eq!(feed.news(client, &partner).await, ["GRANTED 8 EMAIL"]);
        test.clock.advance(TimeDelta::minutes(1));
        assert_eq!(consents::require_renewals(app).await.unwrap(), 1);
        assert_eq!(feed.news(client, &partner).await, ["ENDED 8 EMAIL"]);
        assert_eq!(consents::expire(app).await.unwrap(), 1);
        assert_eq!(feed.news(client, &partner).await, [""; 0]);
        assert_eq!(consents::require_renewals(app).await.unwrap(), 0);
        let differing = consents::rebuild(app, "cli:test", true).await.unwrap().differing;
        assert!(differing.iter().all(|known| known.to_string().starts_with("01990000-")), "{differing:?}");
    }
}

/// What the worklist is filtered by must be readable in full, and is never told otherwise.
#[tokio::test]
async fn worklists_are_filtered_by_what_is_due() {
    for world in worlds().await {
        let (client, test) = (&world.client, &world.test);
        let staff = Staff::of(test).await;
        let query = |filter: &str| {
            format!("{{ consents(filter: {filter}) {{ totalCount nodes {{ id reviewDue }} }} }}")
        };
        let all = client.data(&staff.dpo, &query("{}")).await["consents"]["totalCount"].as_i64().unwrap();
        let due = client.data(&staff.dpo, &query("{ reviewDue: true }")).await;
        // Anna's to events, by phone: granted, and its review has come.
        assert_eq!(due["consents"]["nodes"], json!([{ "id": id(1, 101).to_string(), "reviewDue": true }]));
        let others = client.data(&staff.dpo, &query("{ reviewDue: false }")).await;
        assert_eq!(others["consents"]["totalCount"].as_i64().unwrap(), all - 1);
        let none = client
            .data(&staff.dpo, &query("{ and: [{ reviewDue: false }, { not: { reviewDue: false } }] }"))
            .await;
        assert_eq!(none["consents"]["totalCount"], 0);
        let overdue = client
            .data(&staff.dpo, "{ privacyRequests(filter: { overdue: true }, orderBy: [{ field: DUE_AT, direction: ASC }]) { nodes { overdue dueAt } } }")
            .await;
        assert_eq!(
            overdue["privacyRequests"]["nodes"],
            json!([{ "overdue": true, "dueAt": "2026-10-13T09:00:00Z" }, { "overdue": true, "dueAt": "2026-11-01T09:00:00Z" }])
        );
        let partner = test.caller("partner", "newsletter").await;
        let answer = client.ask(&partner, &query("{ reviewDue: true }")).await;
        assert!(problems(&answer)[0].starts_with("FORBIDDEN"), "{answer}");
        let faulty = client.ask(&staff.dpo, &query("{ reviewDue: { eq: true } }")).await;
        assert_eq!(problems(&faulty), ["BAD_USER_INPUT -"], "{faulty}");
    }
}

#[tokio::test]
async fn a_merge_of_what_is_gone_is_refused_and_tells_nothing() {
    for world in followed().await {
        let staff = Staff::of(&world.test).await;
        let before = number(&world.test.app.db.writer, "SELECT COUNT(*) FROM consent_change").await;
        let merge = json!({ "contactId": person(1), "duplicateId": person(6), "take": [] });
        let answer = mutate(&world.client, &staff.desk, "mergeContacts", &merge, "__typename").await;
        assert_eq!(refusal(&answer, "mergeContacts"), "NOT_FOUND");
        assert_eq!(number(&world.test.app.db.writer, "SELECT COUNT(*) FROM consent_change").await, before);
    }
}
