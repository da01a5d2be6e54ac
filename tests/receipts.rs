//! Receipts: the record of a consent as judges want it, which nobody can change afterwards, signed and verified.

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use chrono::TimeDelta;
use entity::{consent_event, consent_text};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IdenStatic, Iterable};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use uuid::Uuid;
use zweck::{
    domain::{purposes, receipts, signups},
    graphql::Pipeline,
    http::{Limits, router},
    policy::{self, Sources},
    registry,
};

use crate::{
    reads::{World, worlds},
    signups::{consents_of, newsletter as sign_up_to, sign_up, tokens},
    support::{
        app::TestApp,
        client::{Caller, Client, problems},
        process::{self, Server, run},
        world::{id, persons, seed},
    },
    writes::{Staff, done, mutate, newsletter, person},
};

/// A receipt as a client gets it: the document and the record to be printed in two languages.
pub struct Received {
    pub text: String,
    pub document: Value,
    pub german: String,
    pub english: String,
}

async fn receive(client: &Client, caller: &Caller, consent: Uuid) -> Received {
    let query = format!(
        "{{ consentReceipt(consentId: \"{consent}\") {{ __typename document de: html(language: \"de\") en: html(language: \"en\") html }} }}"
    );
    let data = client.data(caller, &query).await;
    let receipt = &data["consentReceipt"];
    assert_eq!(receipt["__typename"], "ConsentReceipt");
    assert_eq!(receipt["html"], receipt["en"]);
    let text = |name: &str| receipt[name].as_str().unwrap().to_owned();
    let document = receipts::parse(text("document").as_bytes()).unwrap();
    Received { text: text("document"), document, german: text("de"), english: text("en") }
}

/// The published keys, fetched without a credential.
async fn keys(test: &TestApp) -> Value {
    let router = router(test.app.clone(), std::sync::Arc::new(Pipeline::new().unwrap()), Limits::default());
    let get = |method: &str| {
        Request::builder().method(method).uri(receipts::KEYS_PATH).body(Body::empty()).unwrap()
    };
    let response = router.clone().oneshot(get("GET")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "public, max-age=3600");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(router.oneshot(get("POST")).await.unwrap().status(), 405);
    serde_json::from_slice(&body).unwrap()
}

/// The consent of a person who signed up and confirmed an hour later, by double opt-in.
async fn double_opt_in(test: &TestApp) -> (Uuid, Uuid) {
    let at = test.app.now();
    test.clock.advance(TimeDelta::minutes(1));
    sign_up(test, &sign_up_to("New.Person@Example.org", at)).await.unwrap();
    let [token] = <[String; 1]>::try_from(tokens(test).await).unwrap();
    test.clock.advance(TimeDelta::hours(1));
    let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
    (contact, consents_of(test, contact).await[0].id)
}

/// As askama escapes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// What the person declared, and to which text: what must never change.
fn declared(document: &Value) -> Value {
    let record = &document["record"];
    let events: Vec<&Value> = record["events"].as_array().unwrap().iter().take(2).collect();
    let of = |notice: &&Value| events.iter().any(|event| event["privacy_notice"] == notice["id"]);
    let notices: Vec<&Value> = record["privacy_notices"].as_array().unwrap().iter().filter(of).collect();
    assert_eq!(notices.len(), 1);
    json!([record["record_id"], record["channel"], events, notices])
}

/// BGH I ZR 164/09: for one person the record holds the exact text, language, version, both timestamps, channel, address and
/// source of the concrete declaration; and nothing of it can be changed later.
#[tokio::test]
async fn the_bgh_checklist() {
    for world in worlds().await {
        let World { test, client } = &world;
        let staff = Staff::of(test).await;
        let (contact, consent) = double_opt_in(test).await;
        let received = receive(client, &staff.consent, consent).await;
        let record = &received.document["record"];
        let text = include_str!("../policies/texts/newsletter/de/2026-1.txt").trim();
        let sha256: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let notices = record["privacy_notices"].as_array().unwrap();
        assert_eq!(notices.len(), 1);
        for (name, expected) in
            [("text", text), ("language", "de"), ("version", "2026-1"), ("sha256", &sha256)]
        {
            assert_eq!(notices[0][name], expected, "{name}");
        }
        let events = record["events"].as_array().unwrap();
        let (signed_up, confirmed) = ("2026-11-02T09:00:00.000000Z", "2026-11-02T10:01:00.000000Z");
        assert_eq!(events.len(), 2, "{events:?}");
        let expected =
            [("REQUESTED", "dpv:ConsentRequested", signed_up), ("CONFIRMED", "dpv:ConsentGiven", confirmed)];
        for (event, (kind, state, at)) in events.iter().zip(expected) {
            for (name, expected) in [
                ("event_type", kind),
                ("event_state", state),
                ("event_time", at),
                ("recorded_time", confirmed),
                ("channel", "EMAIL"),
                ("source", "newsletter"),
                ("address", "New.Person@Example.org"),
                ("version", "2026-1"),
                ("language", "de"),
                ("sha256", &sha256),
            ] {
                assert_eq!(event[name], expected, "{kind} {name}");
            }
        }
        assert_eq!(events[1]["proof_kind"], "double_opt_in");
        assert!(events[1]["evidence"].as_str().unwrap().len() >= 36, "the mail that was confirmed");
        assert_eq!((&record["status"], &record["in_force"]), (&json!("dpv:ConsentGiven"), &json!(true)));
        assert_eq!(record["pii_principal_id"], format!("urn:uuid:{contact}"));
        for (html, language) in [(&received.german, "de"), (&received.english, "en")] {
            assert!(html.contains(&format!("<html lang=\"{language}\">")));
            let shown = [
                &format!("<blockquote lang=\"de\">{}</blockquote>", escaped(text)),
                "<dd>2026-1</dd>",
                &sha256,
                "2026-11-02 09:00:00.000000 UTC (+00:00)",
                "2026-11-02 10:01:00.000000 UTC (+00:00)",
                "<dd>E-",
                "<dd>newsletter</dd>",
                "<dd>New.Person@Example.org</dd>",
                "<dd>double_opt_in</dd>",
                events[1]["evidence"].as_str().unwrap(),
                &contact.to_string(),
                &consent.to_string(),
                received.document["proof"]["proofValue"].as_str().unwrap(),
                "Musterstrasse 1, 10115 Berlin",
            ];
            for part in shown {
                assert!(html.contains(part), "{language}: {part}");
            }
            // Nothing is fetched from anywhere, and nothing runs.
            for part in ["<script", "src=", "<link", "url(", "@import", "http-equiv"] {
                assert!(!html.contains(part), "{part}");
            }
        }
        assert!(
            received.german.contains("Einwilligung bestätigt")
                && received.english.contains("Consent confirmed")
        );
        let before = declared(&received.document);
        changes_by_the_api(&world, &staff, contact).await;
        changes_by_the_database(&test.app.db.writer).await;
        changed_texts(test).await;
        let later = receive(client, &staff.consent, consent).await;
        assert_eq!(declared(&later.document), before);
        // It goes on: what came after stands behind it.
        let told: Vec<&str> = later.document["record"]["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event_type"].as_str().unwrap())
            .collect();
        assert_eq!(told, ["REQUESTED", "CONFIRMED", "INVALIDATED", "GRANTED", "WITHDRAWN"]);
        assert_eq!(later.document["record"]["status"], "dpv:ConsentWithdrawn");
        assert!(later.english.contains("<dd>New.Person@Example.org</dd>"));
        assert_eq!(later.document["record"]["privacy_notices"].as_array().unwrap().len(), 2);
        assert!(
            receipts::verify(&received.document, &keys(test).await).is_ok(),
            "an old receipt stays genuine"
        );
        erased(&world, &staff, consent).await;
    }
}

/// Everything that the API lets one do to such a consent.
async fn changes_by_the_api(world: &World, staff: &Staff, contact: Uuid) {
    // No mutation changes an event or a text: rights to update them are asked for by the merger of contacts alone, which moves events
    // to the consent of the same person.
    for mutation in registry::MUTATIONS.iter().filter(|mutation| mutation.requires_full_access.is_none()) {
        for right in mutation.required_rights() {
            let updates = right.action() == policy::Action::Update;
            let of = right.coordinate();
            assert!(!updates || !(of.starts_with("ConsentEvent.") || of.starts_with("ConsentText.")), "{of}");
        }
    }
    world.test.clock.advance(TimeDelta::hours(1));
    let moved = json!({ "contactId": contact, "email": "moved@new.example" });
    done(&world.client, &staff.desk, "updateContact", moved, "contact { id }").await;
    world.test.clock.advance(TimeDelta::hours(1));
    let again = json!({ "contactId": contact, "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
        "language": "en", "proof": "signed_paper", "declaredAt": world.test.app.now(), "source": "fair" });
    // In another language a text of its own, which is told beside the first.
    let given = done(&world.client, &staff.consent, "recordConsent", again, "consent { id status }").await;
    assert_eq!(given["consent"]["status"], "GRANTED");
    world.test.clock.advance(TimeDelta::hours(1));
    let end = json!({ "contactId": contact, "purpose": "newsletter" });
    done(&world.client, &staff.consent, "withdrawConsent", end, "consent { status }").await;
}

/// A value that a column could have.
fn other(backend: DbBackend, column: &str) -> &'static str {
    let postgres = backend == DbBackend::Postgres;
    match column {
        "id" | "consent_id" | "consent_text_id" if postgres => "gen_random_uuid()",
        "id" | "consent_id" | "consent_text_id" => "randomblob(16)",
        column if column.ends_with("_at") && postgres => "TIMESTAMPTZ '2020-01-01 00:00:00+00'",
        column if column.ends_with("_at") => "'2020-01-01 00:00:00.000000 +00:00'",
        "kind" => "'WITHDRAWN'",
        "purpose_code" => "'event_invitations'",
        _ => "'something else'",
    }
}

/// The database itself refuses: an update of each column, deletion, and every way to put another row in the place of one.
async fn changes_by_the_database(db: &DatabaseConnection) {
    let backend = db.get_database_backend();
    let mut statements = Vec::new();
    let events = consent_event::Column::iter().map(|column| ("consent_event", column.as_str()));
    let texts = consent_text::Column::iter().map(|column| ("consent_text", column.as_str()));
    for (table, column) in events.chain(texts) {
        statements.push(format!("UPDATE {table} SET {column} = {}", other(backend, column)));
        if backend == DbBackend::Sqlite {
            statements.push(format!("UPDATE OR REPLACE {table} SET {column} = {}", other(backend, column)));
        }
    }
    for (table, column) in [("consent_event", "source"), ("consent_text", "text")] {
        statements.push(format!("DELETE FROM {table}"));
        let copy = format!("INTO {table} SELECT * FROM {table}");
        let upsert = format!("WHERE true ON CONFLICT (id) DO UPDATE SET {column} = 'something else'");
        statements.push(format!("INSERT {copy} {upsert}"));
        match backend {
            DbBackend::Postgres => statements.push(format!("TRUNCATE {table} CASCADE")),
            _ => statements.extend([format!("INSERT OR REPLACE {copy}"), format!("REPLACE {copy}")]),
        }
    }
    assert!(statements.len() >= 25, "{statements:?}");
    for statement in statements {
        let refused = db.execute_unprepared(&statement).await.map_err(|error| error.to_string());
        assert!(
            refused.as_ref().is_err_and(|error| error.contains("append-only")),
            "{statement}: {refused:?}"
        );
    }
}

/// A text whose file was changed is not loaded, and the policy in force stays.
async fn changed_texts(test: &TestApp) {
    let revision = test.app.policy.current().revision().to_owned();
    let mut sources = Sources::embedded();
    sources.texts.insert("newsletter/de/2026-1.txt".to_owned(), "Ich willige in alles ein.".to_owned());
    let refused = purposes::reload(&test.app, "cli:test", Ok(sources)).await.unwrap_err();
    assert!(refused.to_string().contains("newsletter/de/2026-1"), "{refused}");
    assert_eq!(test.app.policy.current().revision(), revision);
}

/// The one change there is: an erasure takes the address out of the events. Another address cannot take its place.
async fn erased(world: &World, staff: &Staff, consent: Uuid) {
    let db = &world.test.app.db.writer;
    db.execute_unprepared("UPDATE consent_event SET address = NULL WHERE address IS NOT NULL").await.unwrap();
    let refused = db.execute_unprepared("UPDATE consent_event SET address = 'other@example.org'").await;
    assert!(refused.unwrap_err().to_string().contains("append-only"));
    let received = receive(&world.client, &staff.consent, consent).await;
    assert!(!received.text.contains("New.Person") && !received.english.contains("New.Person"));
    assert_eq!(received.document["record"]["events"].as_array().unwrap().len(), 5);
}

/// Every place in a document, as JSON pointers.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{}", escaped(name)), out));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), out));
        }
        _ => {}
    }
    out.push(at.to_owned());
}

#[tokio::test]
async fn a_receipt_that_was_changed_anywhere_is_not_believed() {
    let test = crate::support::app::each().await.remove(0);
    let client = Client::of(&test);
    let staff = Staff::of(&test).await;
    let (_, consent) = double_opt_in(&test).await;
    let Received { text, document, .. } = receive(&client, &staff.consent, consent).await;
    let keys = keys(&test).await;
    let kid = receipts::verify(&document, &keys).unwrap().kid;
    assert_eq!(
        document["proof"]["verificationMethod"],
        format!("https://crm.example{}#{kid}", receipts::KEYS_PATH)
    );
    assert_eq!(keys["assertionMethod"][0]["id"], document["proof"]["verificationMethod"]);
    // White space and the order of names are no change.
    let pretty = serde_json::to_string_pretty(&document).unwrap();
    receipts::verify(&receipts::parse(pretty.as_bytes()).unwrap(), &keys).unwrap();
    let mut all = Vec::new();
    places(&document, "", &mut all);
    assert!(all.len() > 200, "{}", all.len());
    for place in all.iter().filter(|place| !place.is_empty()) {
        let mut changed = document.clone();
        let value = changed.pointer_mut(place).unwrap();
        *value = match &*value {
            Value::String(text) => Value::from(format!("{text}x")),
            Value::Bool(yes) => Value::from(!*yes),
            Value::Array(items) => items.iter().cloned().chain([json!("x")]).collect(),
            _ => json!({}),
        };
        assert!(receipts::verify(&changed, &keys).is_err(), "{place}");
        let (parent, name) = place.rsplit_once('/').unwrap();
        if let Some(Value::Object(members)) = changed.pointer_mut(parent) {
            *members = document.pointer(parent).unwrap().as_object().unwrap().clone();
            members.shift_remove(&name.replace("~1", "/").replace("~0", "~"));
            assert!(receipts::verify(&changed, &keys).is_err(), "without {place}");
        }
    }
    // And byte by byte, a bit of each.
    let bytes = text.into_bytes();
    for index in (0..bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 7);
        let believed =
            receipts::parse(&flipped).is_ok_and(|document| receipts::verify(&document, &keys).is_ok());
        assert!(!believed, "byte {index}");
    }
}

/// The same text with every id replaced by the number of its first appearance.
fn numbered(text: &str) -> String {
    let (mut out, mut known, mut rest) = (String::new(), Vec::<String>::new(), text);
    while !rest.is_empty() {
        let head = rest.get(..36).filter(|head| head.contains('-') && Uuid::try_parse(head).is_ok());
        let step = match head {
            Some(head) => {
                let number = known.iter().position(|id| id == head).unwrap_or_else(|| {
                    known.push(head.to_owned());
                    known.len() - 1
                });
                out.push_str(&format!("<{number}>"));
                36
            }
            None => {
                let letter = rest.chars().next().unwrap();
                out.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    out
}

#[tokio::test]
async fn receipts_are_the_same_in_every_database() {
    let mut seen = Vec::new();
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let mut told = Vec::new();
        let (contact, double) = double_opt_in(&world.test).await;
        changes_by_the_api(&world, &staff, contact).await;
        let paper = done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(7, "2026-11-01T10:00:00Z"),
            "consent { id }",
        )
        .await;
        let paper = paper["consent"]["id"].as_str().unwrap().parse().unwrap();
        for consent in [double, paper, id(1, 100), id(1, 101), id(1, 200), id(1, 300)] {
            let mut document = receive(&world.client, &staff.dpo, consent).await.document;
            document.as_object_mut().unwrap().shift_remove("proof").unwrap();
            told.push(numbered(&document.to_string()));
        }
        assert!(told[1].contains("signed_paper") && told[0].contains("2026-11-02T10:01:00.000000Z"));
        seen.push(told);
    }
    for others in &seen[1..] {
        assert_eq!(&seen[0], others);
    }
}

/// Who may not see a consent, or not read all that a receipt tells, gets none; the same answer as for one that is not there.
#[tokio::test]
async fn a_receipt_needs_all_that_it_tells() {
    for World { test, client } in worlds().await {
        let consent = id(1, 100);
        let query = |id: &str| format!("{{ consentReceipt(consentId: \"{id}\") {{ document html }} }}");
        for (role, purpose, problem) in [
            ("marketing", "newsletter", "FORBIDDEN Query.consentReceipt"),
            ("partner", "newsletter", "FORBIDDEN Query.consentReceipt"),
            ("sales", "pre_contract", "FORBIDDEN Query.consentReceipt"),
        ] {
            let caller = test.caller(role, purpose).await;
            let answer = client.ask(&caller, &query(&consent.to_string())).await;
            assert_eq!(problems(&answer), [problem], "{role} {purpose}");
            assert!(answer["data"]["consentReceipt"].is_null());
        }
        let caller = test.caller("marketing", "consent_management").await;
        assert!(!client.data(&caller, &query(&consent.to_string())).await["consentReceipt"].is_null());
        // Erased, of nobody, and no id at all.
        for none in [id(1, 600).to_string(), Uuid::from_u128(7).to_string(), "7".to_owned(), String::new()] {
            let (status, body) = client.send(&caller, json!({ "query": query(&none) }), &[]).await;
            assert_eq!((status, body.as_str()), (200, r#"{"data":{"consentReceipt":null}}"#), "{none}");
        }
        let french = format!("{{ consentReceipt(consentId: \"{consent}\") {{ html(language: \"fr\") }} }}");
        assert_eq!(problems(&client.ask(&caller, &french).await), ["BAD_USER_INPUT ConsentReceipt.html"]);
        // A token that is narrowed by one field less than a receipt tells. Ids follow from the others.
        let all = registry::receipt_coordinates();
        assert!(all.len() > 40 && all.iter().any(|one| one == "ConsentEvent.address"));
        let policy = test.app.policy.current();
        for missing in all.iter().filter(|one| !one.ends_with(".id") && !one.ends_with(".createdAt")) {
            let mut fields: Vec<String> = all.iter().filter(|one| *one != missing).cloned().collect();
            fields.push("Contact.givenName".to_owned());
            let actor = zweck::auth::actor::Actor::new(
                policy.clone(),
                &narrowed(&fields, &test),
                None,
                "r".to_owned(),
            )
            .unwrap();
            let engine = Pipeline::new().unwrap();
            let request =
                zweck::graphql::Request { query: query(&consent.to_string()), ..Default::default() };
            let answer = engine.execute(&test.app, &actor, request).await;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(problems(&answer), [format!("FORBIDDEN_FIELD {missing}")], "{missing}");
        }
    }
}

fn narrowed(fields: &[String], test: &TestApp) -> zweck::auth::credential::Credential {
    zweck::auth::credential::Credential {
        actor_id: "token:test".to_owned(),
        roles: vec!["marketing".to_owned()],
        purposes: vec!["consent_management".to_owned()],
        fields: Some(fields.to_vec()),
        expires_at: test.app.now() + TimeDelta::days(1),
        recipient: None,
    }
}

/// What ends a consent ends what its receipt says of it; what it is said to cover comes from what is enforced.
#[tokio::test]
async fn a_receipt_tells_the_present_state() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let record = async |consent: Uuid| {
            receive(&world.client, &staff.dpo, consent).await.document["record"].clone()
        };
        let given = done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(7, "2026-11-01T10:00:00Z"),
            "consent { id }",
        )
        .await;
        let consent: Uuid = given["consent"]["id"].as_str().unwrap().parse().unwrap();
        let first = record(consent).await;
        assert_eq!((&first["status"], &first["in_force"]), (&json!("dpv:ConsentGiven"), &json!(true)));
        assert_eq!(first["validity_until"], "2028-11-01T10:00:00.000000Z");
        assert_eq!(first["review_due"], "2028-09-01T10:00:00.000000Z");
        let processing = &first["pii_processing"];
        assert_eq!(processing["lawful_basis"], "eu-gdpr:A6-1-a");
        assert_eq!(processing["purpose"]["purpose_type"], "https://w3id.org/dpv#DirectMarketing");
        assert_eq!(processing["purpose"]["title"], json!({ "de": "Newsletter", "en": "Newsletter" }));
        assert_eq!(processing["storage"]["validity_period"], "P2Y");
        assert_eq!(processing["withdrawal_method"]["url"], "https://crm.example/p/link");
        let kinds: Vec<&str> = processing["pii_information"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind["pii_type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["pd:Name", "pd:EmailAddress", "pd:PhysicalAddress"]);
        let fields = processing["pii_information"].to_string();
        assert!(
            fields.contains("Contact.country")
                && !fields.contains("Contact.street")
                && !fields.contains("phone")
        );
        // A consent for the phone covers no e-mail (BGH I ZR 164/09).
        let phone = record(id(1, 101)).await["pii_processing"]["pii_information"].to_string();
        assert!(phone.contains("Contact.phone") && !phone.contains("Contact.email"), "{phone}");
        world.test.clock.advance(TimeDelta::hours(1));
        let objection = json!({ "contactId": person(7), "purpose": "direct_marketing", "declaredAt": world.test.app.now() });
        done(&world.client, &staff.consent, "recordObjection", objection, "objection { id }").await;
        let objected = record(consent).await;
        assert_eq!(
            (&objected["status"], &objected["in_force"]),
            (&json!("dpv:ConsentInvalidated"), &json!(false))
        );
        assert_eq!(objected["objected_at"], "2026-11-02T10:00:00.000000Z");
        world.test.clock.advance(TimeDelta::days(3 * 365));
        let staff = Staff::of(&world.test).await;
        let expired = receive(&world.client, &staff.dpo, consent).await;
        assert_eq!(expired.document["record"]["status"], "dpv:ConsentExpired");
        assert!(expired.german.contains("Einwilligung abgelaufen (EXPIRED)"));
        // Refused: the answer tells nothing of what a value might have been.
        let refused = mutate(
            &world.client,
            &staff.consent,
            "recordConsent",
            &newsletter(99, "2026-11-01T10:00:00Z"),
            "consent { id }",
        )
        .await;
        assert_eq!(problems(&refused), ["NOT_FOUND -"]);
    }
}

/// Whatever a value holds, the page shows it as text.
#[tokio::test]
async fn what_is_printed_is_escaped() {
    let test = crate::support::app::each().await.remove(0);
    let client = Client::of(&test);
    seed(&test.app.db.writer, &persons()).await;
    let staff = Staff::of(&test).await;
    let mut document = receive(&client, &staff.dpo, id(1, 100)).await.document;
    let hostile = "</pre></style><script>alert('x')</script><img src=x onerror=y>\" onload=\"z";
    let mut all = Vec::new();
    places(&document, "", &mut all);
    for place in all
        .iter()
        .filter(|place| document.pointer(place).is_some_and(Value::is_string))
        .cloned()
        .collect::<Vec<_>>()
    {
        *document.pointer_mut(&place).unwrap() = hostile.into();
    }
    for language in ["de", "en"] {
        let html = receipts::html(&document, language).unwrap();
        for part in ["<script", "<img", "onload=\"z", "</pre></style>"] {
            assert!(!html.contains(part), "{part}");
        }
        assert!(html.contains(&escaped("<script>alert('x')</script>")));
    }
    let error = receipts::html(&document, "fr").unwrap_err();
    assert_eq!(error.message, "`language` must be de or en");
}

/// The programs that hand out a receipt and verify it: with the database, and without anything but the saved keys.
#[tokio::test]
async fn receipts_are_issued_and_verified_on_the_command_line() {
    let server = Server::start(&[]).await;
    let directory = server.directory.path();
    let database = format!("sqlite://{}", directory.join("zweck.db").display());
    let db = zweck::db::Db::connect(&database, 2).await.unwrap();
    seed(&db.writer, &persons()).await;
    let token = server.token("marketing", "consent_management");
    let settings = [("ZWECK__SECRETS__TOKEN", token.as_str())];
    let consent = id(1, 100).to_string();
    let issue =
        |more: &[&str]| run(directory, &settings, &[&["consents", "receipt", &consent], more].concat());
    let issued = issue(&["--out", "receipt.jsonld"]);
    assert!(issued.status.success(), "{}", process::text(&issued.stderr));
    let printed = issue(&["--format", "html", "--language", "de"]);
    assert!(process::text(&printed.stdout).contains("<html lang=\"de\">"));
    let none = run(directory, &settings, &["consents", "receipt", &Uuid::from_u128(7).to_string()]);
    assert_eq!(none.status.code(), Some(1));
    assert!(process::text(&none.stderr).contains("there is no such consent"));
    let entries = entity::audit_entry::Entity::find().all(&db.reader).await.unwrap();
    let entries: Vec<_> = entries.into_iter().filter(|entry| entry.action == "issueReceipt").collect();
    assert_eq!(entries.len(), 2);
    assert!(
        entries.iter().all(|entry| entry.contact_id == Some(id(0, 1)) && entry.entity_id == Some(id(1, 100)))
    );
    // With the keys of the database.
    let verified = run(directory, &[], &["consents", "verify-receipt", "receipt.jsonld"]);
    assert!(verified.status.success(), "{}", process::text(&verified.stderr));
    // Elsewhere, with the published keys alone.
    let (status, keys) = process::get(server.port, receipts::KEYS_PATH).await.unwrap();
    assert_eq!(status, 200);
    let elsewhere = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(elsewhere.path().join(name), bytes).unwrap();
    let text = std::fs::read_to_string(directory.join("receipt.jsonld")).unwrap();
    write("keys.json", keys.as_bytes());
    let verify = |bytes: &[u8], keys: &str| {
        write("receipt.jsonld", bytes);
        let out =
            run(elsewhere.path(), &[], &["consents", "verify-receipt", "receipt.jsonld", "--keys", keys]);
        (out.status.code().unwrap(), process::text(&out.stdout), process::text(&out.stderr))
    };
    let (code, told, _) = verify(text.as_bytes(), "keys.json");
    assert_eq!(code, 0);
    let kid = serde_json::from_str::<Value>(&keys).unwrap()["keys"][0]["kid"].as_str().unwrap().to_owned();
    for part in ["the receipt is as it was signed", &consent, &kid, "dpv:ConsentGiven", "issued   20"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 2, "no database was made");
    let document: Value = serde_json::from_str(&text).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = document.clone();
        change(&mut document);
        document.to_string().into_bytes()
    };
    let twice = text.replacen("{\"@context\"", "{\"issued\":\"2020-01-01T00:00:00.000000Z\",\"@context\"", 1);
    let huge = vec![b' '; 9 * 1024 * 1024];
    for (bytes, expected, reason) in [
        (changed(&|it| it["record"]["channel"] = "PHONE".into()), 1, "it was changed after it was signed"),
        (changed(&|it| _ = it.as_object_mut().unwrap().shift_remove("proof")), 1, "it has no proof"),
        (changed(&|it| it["proof"]["cryptosuite"] = "eddsa-rdfc-2022".into()), 1, "not of the suite"),
        (
            changed(&|it| it["proof"]["verificationMethod"] = "urn:zweck:key:x".into()),
            1,
            "key that is not known",
        ),
        (twice.into_bytes(), 1, "a member name is repeated"),
        (b"<html>".to_vec(), 2, "it is not a JSON document"),
        (huge, 2, "bytes"),
    ] {
        let (code, told, error) = verify(&bytes, "keys.json");
        assert_eq!(code, expected, "{error}");
        assert!(error.contains(reason) && told.is_empty(), "{error}{told}");
        assert!(crate::support::log::leak(&error).is_none(), "{error}");
    }
    write("none.json", b"{\"keys\":[]}");
    assert_eq!(verify(text.as_bytes(), "none.json").0, 1);
    write("broken.json", b"[");
    assert_eq!(verify(text.as_bytes(), "broken.json").0, 2);
    assert_eq!(verify(text.as_bytes(), "missing.json").0, 1);
    assert!(crate::support::log::leak(&server.log()).is_none());
}
