//! A no reaches whoever read for its purpose: a duty by every door, told by a file that discloses nobody, open until acknowledged.

use std::fs;

use axum::{body::Body, http::Request};
use chrono::{SecondsFormat, TimeDelta};
use entity::{recipient_use, stop};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait};
use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{
    audit::{self, Author, LockMode},
    base::identities::{Kind, Reader},
    domain::{access_tokens::NewToken, stops::StopReport, suppressions::address_digest},
    exchange::{
        exports::{self, StopFormat},
        imports::{self, ConsentImport, ObjectionImport, ReadOptions},
    },
    graphql::Pipeline,
};

use crate::{
    pages::{PagesState, sites},
    support::{
        app::TestApp,
        client::{Caller, Client, problems},
        process,
    },
    writes::{Staff, done, mutate, refusal},
};

const LIST: &str = "{ contacts(first: 3) { nodes { id email } } }";
const IDS: &str = "{ contacts(first: 3) { nodes { id } } }";
const ACTOR: &str = "cli:test";

/// A token of `recipient`.
pub async fn token_of(test: &TestApp, recipient: Uuid, (role, purpose): (&str, &str)) -> Caller {
    let new = NewToken {
        name: "partner".to_owned(),
        roles: vec![role.to_owned()],
        purposes: vec![purpose.to_owned()],
        fields: None,
        expires_at: test.app.now() + TimeDelta::days(366),
        recipient_id: Some(recipient),
    };
    Caller { token: test.make_token(new).await.unwrap().1, purpose: purpose.to_owned() }
}

struct Office<'s> {
    site: &'s PagesState,
    client: Client,
    staff: Staff,
    house: Uuid,
    /// Sends the newsletter, as `house`.
    partner: Caller,
}

impl<'s> Office<'s> {
    async fn of(site: &'s PagesState) -> Self {
        let house = site.test.recipient().await;
        Self {
            site,
            client: site.client(),
            staff: Staff::of(&site.test).await,
            house,
            partner: token_of(&site.test, house, ("partner", "newsletter")).await,
        }
    }

    async fn record(&self, name: &str, email: &str) -> String {
        let input = json!({ "givenName": "Kim", "familyName": name, "email": email, "phone": "+49 30 23125 901",
            "source": { "name": "fair" } });
        let made = done(&self.client, &self.staff.desk, "createContact", input, "contact { id }").await;
        made["contact"]["id"].as_str().unwrap().to_owned()
    }

    /// A yes to the newsletter; the id of the consent.
    async fn yes(&self, contact: &str, purpose: &str, channel: &str) -> String {
        let at = self.site.test.app.now().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let input = json!({ "contactId": contact, "purpose": purpose, "channel": channel, "textVersion": "2026-1",
            "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" });
        let made = done(&self.client, &self.staff.consent, "recordConsent", input, "consent { id }").await;
        made["consent"]["id"].as_str().unwrap().to_owned()
    }

    async fn withdraw(&self, input: Value) {
        done(&self.client, &self.staff.consent, "withdrawConsent", input, "consent { id }").await;
    }

    async fn object(&self, input: Value) {
        done(&self.client, &self.staff.consent, "recordObjection", input, "objections { id }").await;
    }

    async fn read(&self, caller: &Caller) {
        self.client.data(caller, IDS).await;
    }

    /// Duties of a contact: recipient is the house, purpose, channel, whether with an address.
    async fn owed(&self, contact: &str) -> Vec<String> {
        let all = stop::Entity::find().all(&self.site.test.app.db.reader).await.unwrap();
        let of = all.into_iter().filter(|stop| stop.contact_id.to_string() == contact);
        let mut told: Vec<String> = of
            .map(|stop| {
                assert_eq!(stop.recipient_id, self.house);
                let channel = stop.channel.map_or("-".to_owned(), |channel| format!("{channel:?}"));
                let address = if stop.address_sha256.is_some() { "address" } else { "-" };
                let open = if stop.acknowledged_at.is_some() { " done" } else { "" };
                format!("{} {channel} {address}{open}", stop.purpose_code)
            })
            .collect();
        told.sort();
        told
    }

    async fn file(&self, format: StopFormat) -> (StopReport, String) {
        let mut out = Vec::new();
        let told = exports::stops(&self.site.test.app, ACTOR, self.house, format, &mut out).await.unwrap();
        (told, String::from_utf8(out).unwrap())
    }

    async fn acknowledge(&self, batch: Uuid) -> Result<u64, zweck::base::error::Error> {
        exports::acknowledge(&self.site.test.app, ACTOR, self.house, batch).await
    }
}

/// The lines of a file of one CSV, without its head.
fn lines(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn sha(email: &str) -> String {
    address_digest(Kind::Mailbox, &Reader::default().email_key(email)).unwrap()
}

const DOORS: [&str; 8] = [
    "withdraw by id",
    "withdraw by contact",
    "withdraw by email",
    "object by email",
    "object to the group",
    "one click",
    "file of consents",
    "file of objections",
];

async fn no(office: &Office<'_>, door: &str, contact: &str, consent: &str, email: &str) {
    let app = &office.site.test.app;
    match door {
        "withdraw by id" => office.withdraw(json!({ "consentId": consent })).await,
        "withdraw by contact" => {
            office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        }
        "withdraw by email" => office.withdraw(json!({ "email": email, "purpose": "newsletter" })).await,
        "object by email" => office.object(json!({ "email": email, "purpose": "newsletter" })).await,
        "object to the group" => {
            office.object(json!({ "email": email, "purpose": "direct_marketing" })).await;
        }
        "one click" => {
            let contact = Uuid::parse_str(contact).unwrap();
            let path = format!("/p/{}", office.site.preference(contact, "newsletter", email).await);
            let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
            let body = Body::from("List-Unsubscribe=One-Click");
            assert_eq!(office.site.send(request.body(body).unwrap()).await.status, 200);
        }
        "file of consents" => {
            let file = format!("email,purpose,channel,status\n{email},newsletter,EMAIL,WITHDRAWN\n");
            let import = ConsentImport {
                ignore: Vec::new(),
                map: Vec::new(),
                source: Some("old list".to_owned()),
                contact_source: None,
                actor: ACTOR.to_owned(),
                read_options: ReadOptions::default(),
                dry_run: false,
            };
            imports::consents(app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
        }
        "file of objections" => {
            let file = format!("email\n{email}\n");
            let import = ObjectionImport {
                kind: zweck::exchange::imports::Listing::Objection,
                purpose: Some("newsletter".to_owned()),
                channel: None,
                preset: None,
                map: Vec::new(),
                ignore: Vec::new(),
                source: Some("old tool".to_owned()),
                actor: ACTOR.to_owned(),
                read_options: ReadOptions::default(),
                dry_run: false,
            };
            imports::objections(app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_door_of_a_no_owes_it_to_who_read_for_the_purpose() {
    for site in sites().await {
        let office = Office::of(&site).await;
        // One that reads for another purpose, and one that never read.
        let other = token_of(&site.test, site.test.recipient().await, ("marketing", "phone_marketing")).await;
        let _idle = token_of(&site.test, site.test.recipient().await, ("partner", "newsletter")).await;
        office.read(&office.partner).await;
        office.read(&other).await;
        for (number, door) in DOORS.iter().enumerate() {
            let email = format!("name{number}@example.org");
            let contact = office.record("Gone", &email).await;
            let consent = office.yes(&contact, "newsletter", "EMAIL").await;
            // The mailbox is also that of somebody else who consented, and of somebody who never did.
            let second = office.record("Other", &email.to_uppercase()).await;
            office.yes(&second, "newsletter", "EMAIL").await;
            let third = office.record("Third", &email).await;
            no(&office, door, &contact, &consent, &email).await;
            assert_eq!(office.owed(&contact).await, ["newsletter Email address"], "{door}");
            assert_eq!(office.owed(&second).await, ["newsletter Email address"], "{door}");
            assert_eq!(office.owed(&third).await, Vec::<String>::new(), "{door}");
        }
        // What they tell is a digest that the partner can make of what it has.
        let all = stop::Entity::find().all(&site.test.app.db.reader).await.unwrap();
        assert!(all.iter().any(|stop| stop.address_sha256 == Some(sha("Name0@Example.org"))));
    }
}

#[tokio::test]
async fn only_what_a_recipient_can_have_is_owed() {
    for site in sites().await {
        let office = Office::of(&site).await;
        let contact = office.record("Never", "never@example.org").await;
        office.yes(&contact, "newsletter", "EMAIL").await;
        // Nobody read, others than recipients do not count, nor does what tells of nobody.
        office.read(&site.test.caller("partner", "newsletter").await).await;
        office.client.data(&office.partner, "{ viewer { actorId } }").await;
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        assert_eq!(office.owed(&contact).await, Vec::<String>::new());
        assert_eq!(site.count::<recipient_use::Entity>().await, 0);

        // Long ago: what was kept for as long as it may be is gone.
        office.read(&office.partner).await;
        let read = office.record("Read", "read@example.org").await;
        let old = office.record("Old", "old@example.org").await;
        for contact in [&read, &old] {
            office.yes(contact, "newsletter", "EMAIL").await;
        }
        site.test.clock.advance(TimeDelta::days(2));
        // It came after the last read.
        let late = office.record("Late", "late@example.org").await;
        office.yes(&late, "newsletter", "EMAIL").await;
        office.withdraw(json!({ "contactId": late, "purpose": "newsletter" })).await;
        assert_eq!(office.owed(&late).await, Vec::<String>::new());
        // A year and a day after it, the note being good for a day; and a moment later.
        site.test.clock.advance(TimeDelta::days(364));
        let office = Office { staff: Staff::of(&site.test).await, ..office };
        office.withdraw(json!({ "contactId": read, "purpose": "newsletter" })).await;
        assert_eq!(office.owed(&read).await, ["newsletter Email address"]);
        site.test.clock.advance(TimeDelta::seconds(1));
        office.withdraw(json!({ "contactId": old, "purpose": "newsletter" })).await;
        assert_eq!(office.owed(&old).await, Vec::<String>::new());
    }
}

/// An objection that is none to advertising stays with the person; one to a group ends each of its kinds that was used, on its channels.
#[tokio::test]
async fn each_kind_that_was_used_is_owed_on_its_channels() {
    for site in sites().await {
        let office = Office::of(&site).await;
        let (contact, same) = (
            office.record("Both", "both@example.org").await,
            office.record("Same", "both@example.org").await,
        );
        for contact in [&contact, &same] {
            office.yes(contact, "newsletter", "EMAIL").await;
            office.yes(contact, "event_invitations", "EMAIL").await;
            office.yes(contact, "phone_marketing", "PHONE").await;
        }
        for purpose in ["newsletter", "event_invitations", "phone_marketing", "business_contact"] {
            let role = if purpose == "business_contact" { "sales" } else { "marketing" };
            office.read(&token_of(&site.test, office.house, (role, purpose)).await).await;
        }
        let ground = json!({ "contactId": contact, "purpose": "business_contact", "reference": "visit" });
        done(&office.client, &office.staff.desk, "recordGround", ground, "ground { id }").await;
        let input = json!({ "contactId": contact, "purpose": "business_contact" });
        done(&office.client, &office.staff.desk, "recordObjection", input, "objection { id }").await;
        assert_eq!(office.owed(&contact).await, ["business_contact - -"]);
        assert_eq!(office.owed(&same).await, Vec::<String>::new());
        // By the mailbox of two: its blocks, and nothing of their numbers.
        office.object(json!({ "email": "both@example.org", "purpose": "direct_marketing" })).await;
        let mailbox = ["event_invitations Email address", "newsletter Email address"];
        assert_eq!(office.owed(&same).await, mailbox);
        // By the contact: its number as well.
        office.object(json!({ "contactId": same, "purpose": "direct_marketing" })).await;
        let all = [
            "event_invitations Email address",
            "event_invitations Phone address",
            "newsletter Email address",
            "phone_marketing Phone address",
        ];
        assert_eq!(office.owed(&same).await, all);
    }
}

#[tokio::test]
async fn a_file_tells_until_it_is_acknowledged_and_no_address() {
    for site in sites().await {
        let office = Office::of(&site).await;
        office.read(&office.partner).await;
        let contact = office.record("Readable", "readable.name@example.org").await;
        office.yes(&contact, "newsletter", "EMAIL").await;
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        let (told, csv) = office.file(StopFormat::Csv).await;
        let batch = *told.batches.first().unwrap();
        assert_eq!((told.stops, told.batches.len()), (1, 1));
        let since = site.test.app.now().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let line = [
            &batch.to_string(),
            &contact,
            "newsletter",
            "EMAIL",
            "EMAIL",
            &sha("readable.name@example.org"),
            &since,
        ];
        assert_eq!(lines(&csv), [line.map(str::to_owned)]);
        // Again while it is open, in the same batch: the file may have been lost.
        let (again, other) = office.file(StopFormat::Csv).await;
        assert_eq!((again, &other), (told, &csv));
        let (_, json) = office.file(StopFormat::Json).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["recipient"], office.house.to_string());
        assert_eq!(json["stops"][0]["addressSha256"], sha("readable.name@example.org"));
        for hidden in ["readable", "example.org", "23125", "Readable", "Kim"] {
            assert!(!csv.to_lowercase().contains(&hidden.to_lowercase()), "{csv}");
            assert!(!json.to_string().to_lowercase().contains(&hidden.to_lowercase()), "{json}");
        }
        // A later no is a batch of its own beside it.
        let later = office.record("Later", "later@example.org").await;
        office.yes(&later, "newsletter", "EMAIL").await;
        office.withdraw(json!({ "contactId": later, "purpose": "newsletter" })).await;
        let (both, _) = office.file(StopFormat::Csv).await;
        assert_eq!((both.stops, both.batches.len()), (2, 2));
        let unknown = office.acknowledge(Uuid::from_u128(7)).await.unwrap_err();
        assert_eq!(unknown.code.as_str(), "NOT_FOUND");
        assert_eq!(
            (office.acknowledge(batch).await.unwrap(), office.acknowledge(batch).await.unwrap()),
            (1, 0)
        );
        let (left, csv) = office.file(StopFormat::Csv).await;
        assert_eq!((left.stops, lines(&csv)[0][1].as_str()), (1, later.as_str()));
        // A yes and another no: it is owed again.
        site.test.clock.advance(TimeDelta::hours(1));
        office.yes(&contact, "newsletter", "EMAIL").await;
        assert_eq!(office.owed(&contact).await, ["newsletter Email address done"]);
        site.test.clock.advance(TimeDelta::hours(1));
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        assert_eq!(office.owed(&contact).await, ["newsletter Email address"]);
        // The old batch does not end it before it was told.
        assert_eq!(office.acknowledge(batch).await.unwrap(), 0);
        assert_eq!(office.file(StopFormat::Csv).await.0.stops, 2);
    }
}

#[tokio::test]
async fn what_the_person_wants_again_is_not_told() {
    for site in sites().await {
        let office = Office::of(&site).await;
        office.read(&office.partner).await;
        let contact = office.record("Again", "again@example.org").await;
        let other = office.record("Mate", "again@example.org").await;
        for contact in [&contact, &other] {
            office.yes(contact, "newsletter", "EMAIL").await;
        }
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        site.test.clock.advance(TimeDelta::hours(1));
        office.yes(&contact, "newsletter", "EMAIL").await;
        // The other of the mailbox said nothing since.
        let (told, csv) = office.file(StopFormat::Csv).await;
        assert_eq!((told.stops, lines(&csv)[0][1].as_str()), (1, other.as_str()));
        // Another address is not the one that is closed.
        let change = json!({ "contactId": contact, "email": "new@example.org" });
        done(&office.client, &office.staff.desk, "updateContact", change, "contact { id }").await;
        site.test.clock.advance(TimeDelta::hours(1));
        office.yes(&contact, "newsletter", "EMAIL").await;
        assert_eq!(office.file(StopFormat::Csv).await.0.stops, 2);
    }
}

/// After a merge the recipient is told by every id that it may know the person by.
#[tokio::test]
async fn duties_move_along_and_tell_former_ids() {
    for site in sites().await {
        let office = Office::of(&site).await;
        office.read(&office.partner).await;
        let (stays, goes) =
            (office.record("One", "one@example.org").await, office.record("One", "one@example.org").await);
        for contact in [&stays, &goes] {
            office.yes(contact, "newsletter", "EMAIL").await;
        }
        office.withdraw(json!({ "contactId": goes, "purpose": "newsletter" })).await;
        let merge = json!({ "contactId": stays, "duplicateId": goes });
        done(&office.client, &office.staff.desk, "mergeContacts", merge, "contact { id }").await;
        assert_eq!(office.owed(&stays).await, ["newsletter Email address"]);
        let (told, csv) = office.file(StopFormat::Csv).await;
        let mut ids: Vec<String> = lines(&csv).into_iter().map(|line| line[1].clone()).collect();
        ids.sort();
        let mut both = vec![stays, goes];
        both.sort();
        assert_eq!((told.stops, ids), (1, both));
    }
}

/// Makes the database refuse notes of uses.
async fn refuse_notes(test: &TestApp, refused: bool) {
    let db = &test.app.db.writer;
    let sql = match (db.get_database_backend(), refused) {
        (DbBackend::Postgres, true) => {
            "ALTER TABLE recipient_use ADD CONSTRAINT refused CHECK (false) NOT VALID"
        }
        (DbBackend::Postgres, false) => "ALTER TABLE recipient_use DROP CONSTRAINT refused",
        (_, true) => {
            "CREATE TRIGGER refused BEFORE INSERT ON recipient_use BEGIN SELECT RAISE(ABORT, 'full'); END"
        }
        (_, false) => "DROP TRIGGER refused",
    };
    db.execute_unprepared(sql).await.unwrap();
}

#[tokio::test]
async fn nothing_leaves_that_cannot_be_noted() {
    for site in sites().await {
        let office = Office::of(&site).await;
        let contact = office.record("Noted", "noted@example.org").await;
        office.yes(&contact, "newsletter", "EMAIL").await;
        refuse_notes(&site.test, true).await;
        let (status, body) = office.client.send(&office.partner, json!({ "query": LIST }), &[]).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("AUDIT_UNAVAILABLE") && !body.contains('@'), "{body}");
        // An export neither.
        let engine = Pipeline::new().unwrap();
        let actor = async || {
            let credential = zweck::domain::access_tokens::authenticate(
                &site.test.app,
                office.partner.token.expose_secret(),
            )
            .await?;
            let policy = site.test.app.policy.current();
            zweck::auth::actor::Actor::new(policy, &credential, Some("newsletter"), "r".to_owned())
        };
        let mut out = Vec::new();
        let format = exports::Format::JsonLines;
        let refused = exports::contacts(&site.test.app, &engine, actor, format, &mut out).await.unwrap_err();
        assert_eq!((refused.code.as_str(), out.len()), ("AUDIT_UNAVAILABLE", 0));
        // A no of a recipient is taken, and tells nothing.
        let desk = token_of(&site.test, office.house, ("privacy_desk", "rights_fulfilment")).await;
        let input = json!({ "contactId": contact, "purpose": "newsletter" });
        let answer =
            mutate(&office.client, &desk, "withdrawConsent", &input, "consent { contact { email } }").await;
        assert_eq!(refusal(&answer, "withdrawConsent"), "AUDIT_UNAVAILABLE");
        // Others read on.
        office.read(&site.test.caller("partner", "newsletter").await).await;
        refuse_notes(&site.test, false).await;
        let query = format!("{{ contact(id: \"{contact}\") {{ id }} }}");
        assert_eq!(office.client.data(&office.partner, &query).await["contact"], Value::Null);
        assert_eq!(site.count::<recipient_use::Entity>().await, 1);
        // The note is one row, whoever of several servers makes it.
        site.test.clock.advance(TimeDelta::hours(30));
        office.read(&office.partner).await;
        Client::of(&site.test).data(&office.partner, LIST).await;
        let note = recipient_use::Entity::find().one(&site.test.app.db.reader).await.unwrap().unwrap();
        assert_eq!(note.until_at, site.test.app.now() + TimeDelta::days(1));
        assert_eq!(note.first_at, site.test.app.now() - TimeDelta::hours(30));
    }
}

/// Who begins to read while a no is being declared waits for it: it sees the no, or the no finds the use.
#[tokio::test]
async fn who_begins_to_read_waits_for_a_no_under_way() {
    for site in sites().await {
        let office = Office::of(&site).await;
        let app = &site.test.app;
        let other = site.test.caller("partner", "newsletter").await;
        let mut no = audit::begin(app, Author::command(app, ACTOR, None)).await.unwrap();
        no.lock_identities([7], LockMode::Exclusive).await.unwrap();
        let waiting = office.client.data(&office.partner, IDS);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(400), waiting).await.is_err());
        assert_eq!(site.count::<recipient_use::Entity>().await, 0);
        // Others do not.
        office.read(&other).await;
        drop(no);
        office.read(&office.partner).await;
        assert_eq!(site.count::<recipient_use::Entity>().await, 1);
    }
}

#[tokio::test]
async fn the_desk_reads_duties_and_a_recipient_acknowledges_its_own_alone() {
    for site in sites().await {
        let office = Office::of(&site).await;
        office.read(&office.partner).await;
        let contact = office.record("Desk", "desk@example.org").await;
        office.yes(&contact, "newsletter", "EMAIL").await;
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        let (told, _) = office.file(StopFormat::Csv).await;
        let batch = told.batches.first().unwrap();
        let query = format!(
            "{{ stops(filter: {{ recipientId: {{ eq: \"{}\" }}, acknowledgedAt: {{ isNull: true }} }}) {{ totalCount nodes {{ \
             recipient {{ name }} contactId contact {{ familyName }} purpose {{ code }} channel addressKind since madeAt \
             batch exportedAt acknowledgedAt acknowledgedBy }} }} }}",
            office.house
        );
        for caller in [&office.staff.desk, &office.staff.dpo] {
            let read = office.client.data(caller, &query).await["stops"].clone();
            assert_eq!(read["totalCount"], 1);
            let node = &read["nodes"][0];
            assert_eq!((&node["contactId"], &node["batch"]), (&json!(contact), &json!(batch)));
            assert_eq!(node["recipient"]["name"], "Mailing house");
        }
        let denied = office.client.ask(&office.partner, &query).await;
        assert_eq!(problems(&denied), ["FORBIDDEN Query.stops"]);
        let input = json!({ "recipientId": office.house, "batchId": batch });
        let strange = token_of(&site.test, site.test.recipient().await, ("partner", "newsletter")).await;
        for caller in [&strange, &site.test.caller("partner", "newsletter").await, &office.staff.dpo] {
            let answer = mutate(&office.client, caller, "acknowledgeStops", &input, "__typename").await;
            assert_eq!(refusal(&answer, "acknowledgeStops"), "FORBIDDEN", "{answer}");
        }
        let foreign = json!({ "recipientId": office.house, "batchId": Uuid::from_u128(1) });
        let answer =
            mutate(&office.client, &office.partner, "acknowledgeStops", &foreign, "__typename").await;
        assert_eq!(refusal(&answer, "acknowledgeStops"), "NOT_FOUND");
        done(&office.client, &office.partner, "acknowledgeStops", input.clone(), "__typename").await;
        assert_eq!(office.client.data(&office.staff.desk, &query).await["stops"]["totalCount"], 0);
        // Again is no change, by the desk too.
        let again =
            done(&office.client, &office.staff.desk, "acknowledgeStops", input, "recipient { id }").await;
        assert_eq!(again["recipient"]["id"], office.house.to_string());
    }
}

#[tokio::test]
async fn the_command_writes_whole_files_and_tells_the_truth() {
    for site in sites().await {
        let office = Office::of(&site).await;
        office.read(&office.partner).await;
        let contact = office.record("Command", "command@example.org").await;
        office.yes(&contact, "newsletter", "EMAIL").await;
        office.withdraw(json!({ "contactId": contact, "purpose": "newsletter" })).await;
        let directory = tempfile::tempdir().unwrap();
        let key = "07".repeat(32);
        let settings =
            [("ZWECK__DATABASE__URL", site.test.url.as_str()), ("ZWECK__SECRETS__MASTER_KEY", &key)];
        let run = |arguments: &[&str]| {
            let done = process::run(directory.path(), &settings, &[&["export", "stops"], arguments].concat());
            (done.status.code().unwrap(), process::text(&done.stdout), process::text(&done.stderr))
        };
        // A file that cannot be written leaves nothing told.
        let (code, ..) = run(&["--recipient", "Mailing house", "--output", "nowhere/stops.csv"]);
        assert_eq!(code, 1);
        assert!(stop::Entity::find().all(&site.test.app.db.reader).await.unwrap()[0].exported_at.is_none());
        let (code, _, told) = run(&["--recipient", "Mailing house", "--output", "stops.csv"]);
        assert_eq!(code, 0, "{told}");
        let file = lines(&fs::read_to_string(directory.path().join("stops.csv")).unwrap());
        assert!(told.contains("1 stops") && told.contains(&file[0][0]), "{told}");
        let (code, out, _) = run(&["--recipient", &office.house.to_string(), "--format", "json"]);
        assert_eq!((code, out.contains(&file[0][0])), (0, true), "{out}");
        let house = office.house.to_string();
        let unknown = Uuid::from_u128(3).to_string();
        assert_eq!(run(&["--recipient", "Nobody"]).0, 1);
        let (code, _, told) = run(&["--recipient", &house, "--acknowledge", &unknown]);
        assert_eq!((code, told.contains("NOT_FOUND")), (1, true), "{told}");
        assert_eq!(run(&["--recipient", &house, "--acknowledge", "nonsense"]).0, 2);
        assert_eq!(run(&["--recipient", &house, "--acknowledge", &file[0][0]]).0, 0);
        assert_eq!(office.owed(&contact).await, ["newsletter Email address done"]);
        let (code, out, _) = run(&["--recipient", &house]);
        assert_eq!((code, lines(&out).len()), (0, 0));
        let actions = "SELECT COUNT(*) FROM audit_entry WHERE action IN ('exportStops', 'acknowledgeStops', 'makeStop')";
        assert_eq!(crate::support::dump::number(&site.test.app.db.writer, actions).await, 5);
    }
}

/// What docs/partners.md tells partners to make is what the file tells.
#[test]
fn digests_are_those_of_the_recipe() {
    let reader = Reader::default();
    let mailbox = |text: &str| address_digest(Kind::Mailbox, &reader.email_key(text)).unwrap();
    let number = |text: &str| address_digest(Kind::Number, &reader.phone_key(text)).unwrap();
    let docs = include_str!("../docs/partners.md");
    for (text, digest) in [
        ("Anna.Example@Example.ORG", mailbox("Anna.Example@Example.ORG")),
        ("anna.example+news@googlemail.com", mailbox("anna.example+news@googlemail.com")),
        ("030 23125-901", number("030 23125-901")),
        ("+49 30 23125 901", number("+49 30 23125 901")),
    ] {
        assert!(docs.contains(&format!("| `{text}` |")) && docs.contains(&digest), "{text} {digest}");
    }
    assert_eq!(number("030 23125-901"), number("+49 30 23125 901"));
}
