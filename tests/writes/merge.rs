//! Two contacts that are one person: values, consents, objections, restrictions and all that hangs on them become one.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zweck::registry::MUTATIONS;

use super::{Staff, done, mutate, person, refusal};
use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, Client, problems},
        dump::{assert_same, dump, number},
        world::id,
    },
};

/// A new contact with these values; its id.
async fn made(client: &Client, staff: &Staff, values: Value) -> String {
    let mut input = values;
    input["source"] = json!({ "name": "letter" });
    let made = done(client, &staff.desk, "createContact", input, "contact { id }").await;
    made["contact"]["id"].as_str().unwrap().to_owned()
}

fn pair(stays: &str, goes: &str) -> Value {
    json!({ "contactId": stays, "duplicateId": goes })
}

async fn merged(client: &Client, staff: &Staff, input: Value, payload: &str) -> Value {
    let payload = format!("contact {{ {payload} }}");
    done(client, &staff.desk, "mergeContacts", input, &payload).await["contact"].clone()
}

/// A consent or withdrawal of a contact at `at`.
async fn declare(client: &Client, staff: &Staff, contact: &str, (what, channel, at): (&str, &str, &str)) {
    let at = format!("2026-10-{at}T10:00:00Z");
    let (name, input) = match what {
        "grant" => (
            "recordConsent",
            json!({ "contactId": contact, "purpose": "event_invitations", "channel": channel, "textVersion": "2026-1",
                    "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" }),
        ),
        "withdraw" => (
            "withdrawConsent",
            json!({ "contactId": contact, "purpose": "event_invitations", "channel": channel, "declaredAt": at }),
        ),
        _ => ("recordObjection", json!({ "contactId": contact, "purpose": what, "declaredAt": at })),
    };
    done(client, &staff.consent, name, input, "__typename").await;
}

const CONSENTS: &str = "consents(filter: { purpose: { eq: \"event_invitations\" } }) { nodes { channel status withdrawnAt events { kind declaredAt } } }";

/// Consents whose state is not what their events say.
async fn differing(world: &World) -> Vec<uuid::Uuid> {
    zweck::domain::consents::rebuild(&world.test.app, "cli:test", true).await.unwrap().differing
}

async fn invited(world: &World, caller: &Caller, contact: &str) -> bool {
    let query = format!("{{ contact(id: \"{contact}\") {{ id }} }}");
    !world.client.data(caller, &query).await["contact"].is_null()
}

#[tokio::test]
async fn only_who_may_read_and_write_all_of_a_contact_merges() {
    let mutation = MUTATIONS.iter().find(|mutation| mutation.name == "mergeContacts").unwrap();
    let needed: BTreeSet<String> = mutation
        .required_rights()
        .iter()
        .map(|right| right.coordinate().split('.').next().unwrap().to_owned())
        .collect();
    let all = [
        "Block",
        "Consent",
        "ConsentEvent",
        "Contact",
        "ContactPoint",
        "Ground",
        "Objection",
        "PrivacyRequest",
    ];
    assert_eq!(needed, all.into_iter().chain(["Provenance", "Restriction"]).map(str::to_owned).collect());
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = pair(&person(1), &person(2));
        let before = dump(&test.app.db.writer).await;
        for caller in [&staff.support, &staff.sales, &staff.consent, &staff.admin, &staff.dpo] {
            let answer = mutate(&client, caller, "mergeContacts", &input, "__typename").await;
            refusal(&answer, "mergeContacts");
            assert_eq!(problems(&answer), ["FORBIDDEN Mutation.mergeContacts"]);
        }
        let narrow = zweck::domain::access_tokens::NewToken {
            name: "narrow".to_owned(),
            roles: vec!["privacy_desk".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: Some(vec!["Contact.givenName".to_owned()]),
            expires_at: test.app.now() + TimeDelta::days(10),
            recipient_id: None,
        };
        let (_, token) = test.make_token(narrow).await.unwrap();
        let narrow = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let answer = mutate(&client, &narrow, "mergeContacts", &input, "__typename").await;
        assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Contact.familyName"]);
        let policy = async |lines: &str| {
            let mut sources = zweck::policy::Sources::embedded();
            sources.policy.push_str(lines);
            test.app.policy.reload(&sources, &zweck::registry::policy_objects()).await.unwrap();
        };
        // The place of a wrong input is not told before the right is missing.
        let wrong = json!({ "contactId": person(77), "duplicateId": person(77), "take": ["NOTES"] });
        for (action, coordinate) in [
            ("read", "Contact.birthDate"),
            ("update", "Contact.notes"),
            ("create", "ContactPoint.email"),
            ("update", "Consent.status"),
            ("create", "ConsentEvent.kind"),
            ("update", "Restriction.reason"),
            ("read", "PrivacyRequest.note"),
        ] {
            policy(&format!(
                "\np, role:privacy_desk, purpose:rights_fulfilment, {coordinate}, {action}, deny\n"
            ))
            .await;
            let answer = mutate(&client, &staff.desk, "mergeContacts", &wrong, "__typename").await;
            assert_eq!(problems(&answer), [format!("FORBIDDEN_FIELD {coordinate}")]);
            assert_eq!(answer["errors"][0]["extensions"]["inputPath"], "input");
        }
        // A purpose that does not see all merges nothing, whatever its roles may.
        let shipped = zweck::policy::Sources::embedded().policy;
        let own =
            mutation.required_rights().into_iter().map(|right| (right.coordinate(), right.action().as_str()));
        let lines =
            own.chain([("Mutation.mergeContacts".to_owned(), "execute")]).map(|(coordinate, action)| {
                format!("p, role:support, purpose:customer_care, {coordinate}, {action}, allow\n")
            });
        let lines: String = lines.filter(|line| !shipped.contains(line)).collect();
        policy(&format!("\n{lines}")).await;
        let answer = mutate(&client, &staff.support, "mergeContacts", &wrong, "__typename").await;
        assert_eq!(problems(&answer), ["FORBIDDEN Mutation.mergeContacts"]);
        let left = dump(&test.app.db.writer).await;
        assert_eq!(left["contact"], before["contact"]);
        assert_eq!(left["audit_entry"].len(), before["audit_entry"].len() + 1, "that of the token");
    }
}

#[tokio::test]
async fn which_of_both_is_not_there_is_not_told() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let before = dump(&test.app.db.writer).await;
        let mut answers = BTreeSet::new();
        let (there, erased, absent) = (person(1), person(6), person(77));
        for (stays, goes) in
            [(&there, &absent), (&absent, &there), (&there, &erased), (&erased, &there), (&absent, &erased)]
        {
            let mut input = pair(stays, goes);
            input["expectedVersion"] = json!(9);
            let mut answer = mutate(&client, &staff.desk, "mergeContacts", &input, "contact { id }").await;
            assert_eq!(refusal(&answer, "mergeContacts"), "NOT_FOUND");
            answer["errors"][0]["extensions"]["requestId"].take();
            answers.insert(answer.to_string());
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        // Whom a law keeps is there for the desk, and stays apart.
        for (stays, goes, place) in [(1, 11, "input.duplicateId"), (11, 1, "input.contactId")] {
            let input = pair(&person(stays), &person(goes));
            let answer = mutate(&client, &staff.desk, "mergeContacts", &input, "contact { id }").await;
            assert_eq!(refusal(&answer, "mergeContacts"), "CONFLICT");
            assert_eq!(answer["errors"][0]["extensions"]["inputPath"], place);
        }
        let mut stale = pair(&person(1), &person(2));
        stale["expectedVersion"] = json!(2);
        let answer = mutate(&client, &staff.desk, "mergeContacts", &stale, "contact { id }").await;
        assert_eq!(refusal(&answer, "mergeContacts"), "CONFLICT");
        assert_eq!(answer["errors"][0]["extensions"]["inputPath"], "input.expectedVersion");
        assert_same(&dump(&test.app.db.writer).await, &before, "a refusal");
    }
}

const VALUES: &str = "id version updatedAt givenName familyName email phone birthDate company jobTitle street postalCode city country language notes contactPoints { kind label email phone street postalCode city country }";

fn point(kind: &str, values: Value) -> Value {
    let mut point = json!({ "kind": kind, "label": null, "email": null, "phone": null, "street": null, "postalCode": null,
                            "city": null, "country": null });
    for (name, value) in values.as_object().unwrap() {
        point[name] = value.clone();
    }
    point
}

/// The contact points, in an order of their own.
fn points(contact: &Value) -> BTreeSet<String> {
    contact["contactPoints"].as_array().unwrap().iter().map(Value::to_string).collect()
}

#[tokio::test]
async fn gaps_are_filled_and_other_addresses_become_contact_points() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let own = json!({ "givenName": "Jörg", "familyName": "Größler", "email": "joerg@example.org", "phone": "+49 30 1111",
                          "city": "Berlin", "country": "Germany", "notes": "likes tea" });
        let other = json!({ "givenName": "Joerg", "familyName": "Größler", "email": "j.groessler@work.example", "phone": "+49 30 1111",
                            "birthDate": "1984-02-29", "company": "Werk", "street": "Weg 1", "city": "Bonn", "notes": "has a dog" });
        let (stays, goes) =
            (made(&client, &staff, own.clone()).await, made(&client, &staff, other.clone()).await);
        for (contact, kind, name, value, label) in [
            (&stays, "EMAIL", "email", "joerg@home.example", None),
            (&goes, "EMAIL", "email", "JOERG@home.example", None),
            (&goes, "EMAIL", "email", "joerg@example.org", None),
            (&goes, "PHONE", "phone", "+49 30 2222", Some("work")),
        ] {
            let input = json!({ "contactId": contact, "kind": kind, name: value, "label": label });
            done(&client, &staff.desk, "addContactPoint", input, "contact { id }").await;
        }
        test.clock.advance(TimeDelta::hours(1));
        let mut input = pair(&stays, &goes);
        input["expectedVersion"] = json!(1);
        let contact = merged(&client, &staff, input, VALUES).await;
        let mut expected = own.clone();
        for (name, value) in [
            ("id", json!(stays)),
            ("version", json!(2)),
            ("updatedAt", json!("2026-11-02T10:00:00Z")),
            ("birthDate", json!("1984-02-29")),
            ("company", json!("Werk")),
            ("notes", json!("likes tea\n\nhas a dog")),
            ("contactPoints", contact["contactPoints"].clone()),
        ] {
            expected[name] = value;
        }
        for name in ["jobTitle", "street", "postalCode", "language"] {
            expected[name] = Value::Null;
        }
        assert_eq!(contact, expected);
        let all = [
            point("EMAIL", json!({ "email": "joerg@home.example" })),
            point("EMAIL", json!({ "email": "j.groessler@work.example" })),
            point("PHONE", json!({ "phone": "+49 30 2222", "label": "work" })),
            point("POSTAL", json!({ "street": "Weg 1", "city": "Bonn" })),
        ];
        assert_eq!(points(&contact), all.iter().map(Value::to_string).collect());
        // The folded companions moved along.
        let found = client.data(&staff.desk, "{ contacts(search: \"werk\") { totalCount } }").await;
        assert_eq!(found["contacts"]["totalCount"], 1);
        // An address that says all that was known and more takes its place, and no part of another is mixed in.
        let fuller = json!({ "familyName": "Größler", "city": "berlin", "street": "Allee 2", "postalCode": "10115", "country": "Germany" });
        let fuller = made(&client, &staff, fuller).await;
        let contact = merged(&client, &staff, pair(&stays, &fuller), VALUES).await;
        let address = ["street", "postalCode", "city", "country"].map(|name| contact[name].clone());
        assert_eq!(json!(address), json!(["Allee 2", "10115", "berlin", "Germany"]));
        assert_eq!(points(&contact).len(), 4, "{contact}");
        // What says nothing new changes nothing but the version; a country alone is no address.
        let twin = json!({ "familyName": "Größler", "email": "Joerg@Example.org", "city": "Berlin" });
        let twin = made(&client, &staff, twin).await;
        let abroad = made(&client, &staff, json!({ "familyName": "Größler", "country": "Austria" })).await;
        merged(&client, &staff, pair(&twin, &abroad), "id").await;
        let after = merged(&client, &staff, pair(&stays, &twin), VALUES).await;
        assert_eq!(after["version"], 4);
        assert_eq!((&after["email"], points(&after)), (&contact["email"], points(&contact)));
    }
}

#[tokio::test]
async fn what_is_taken_holds_and_what_it_replaces_stays_a_contact_point() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let own = json!({ "givenName": "Eva", "familyName": "Alt", "email": "eva@old.example", "phone": "+49 30 1111", "street": "Weg 1",
                          "city": "Bonn", "country": "Germany", "notes": "old", "company": "Werk" });
        let other = json!({ "familyName": "Neu", "email": "eva@new.example", "phone": "+49 30 2222", "street": "Allee 2",
                            "postalCode": "10115", "city": "Berlin", "notes": "new" });
        let (stays, goes) = (made(&client, &staff, own).await, made(&client, &staff, other).await);
        let mut input = pair(&stays, &goes);
        input["take"] = json!(["FAMILY_NAME", "EMAIL", "CITY", "NOTES", "COMPANY"]);
        let contact = merged(&client, &staff, input, VALUES).await;
        for (name, value) in [
            ("givenName", json!("Eva")),
            ("familyName", json!("Neu")),
            ("email", json!("eva@new.example")),
            ("phone", json!("+49 30 1111")),
            ("street", json!("Allee 2")),
            ("postalCode", json!("10115")),
            ("city", json!("Berlin")),
            ("country", Value::Null),
            ("notes", json!("new")),
            // The duplicate has none to be taken.
            ("company", json!("Werk")),
        ] {
            assert_eq!(contact[name], value, "{name}");
        }
        let all = [
            point("EMAIL", json!({ "email": "eva@old.example" })),
            point("PHONE", json!({ "phone": "+49 30 2222" })),
            point("POSTAL", json!({ "street": "Weg 1", "city": "Bonn", "country": "Germany" })),
        ];
        assert_eq!(points(&contact), all.iter().map(Value::to_string).collect());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_a_conflict_that_names_the_field() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let notes = |letter: &str| json!({ "familyName": "Lang", "notes": letter.repeat(5_000) });
        let (stays, goes) =
            (made(&client, &staff, notes("a")).await, made(&client, &staff, notes("b")).await);
        let many =
            made(&client, &staff, json!({ "familyName": "Viele", "email": "viele@example.org" })).await;
        for number in 0..100 {
            let input =
                json!({ "contactId": many, "kind": "EMAIL", "email": format!("v{number}@example.org") });
            done(&client, &staff.desk, "addContactPoint", input, "contact { id }").await;
        }
        let other =
            made(&client, &staff, json!({ "familyName": "Viele", "email": "andere@example.org" })).await;
        let known = made(&client, &staff, json!({ "familyName": "Viele", "email": "V7@example.org" })).await;
        let before = dump(&test.app.db.writer).await;
        for (input, expected) in
            [(pair(&stays, &goes), "Contact.notes"), (pair(&many, &other), "Contact.contactPoints")]
        {
            let answer = mutate(&client, &staff.desk, "mergeContacts", &input, "contact { id }").await;
            refusal(&answer, "mergeContacts");
            assert_eq!(problems(&answer), [format!("CONFLICT {expected}")]);
        }
        assert_same(&dump(&test.app.db.writer).await, &before, "a refusal");
        let mut take = pair(&stays, &goes);
        take["take"] = json!(["NOTES"]);
        assert_eq!(merged(&client, &staff, take, "notes").await["notes"], "b".repeat(5_000));
        // An address that is a point already needs no place.
        merged(&client, &staff, pair(&many, &known), "id").await;
    }
}

/// Who said what about the same invitations, whose address stays, and what holds then.
#[tokio::test]
async fn the_stricter_consent_holds_whatever_the_times() {
    let grant = |at| ("grant", "EMAIL", at);
    let no = |at| ("withdraw", "EMAIL", at);
    type DeclaredState = Vec<(&'static str, &'static str, &'static str)>;
    // Of the one that stays, of the duplicate, whether they have the same address, which is taken, state.
    let cases: Vec<(DeclaredState, DeclaredState, bool, bool, &str)> = vec![
        (vec![grant("05")], vec![no("10")], true, false, "WITHDRAWN"),
        (vec![grant("10")], vec![no("05")], true, false, "INVALIDATED"),
        (vec![no("10")], vec![grant("05")], true, false, "WITHDRAWN"),
        (vec![no("05")], vec![grant("10")], true, false, "INVALIDATED"),
        (vec![grant("05")], vec![], true, false, "GRANTED"),
        (vec![], vec![grant("05")], true, false, "GRANTED"),
        (vec![no("05")], vec![], true, false, "WITHDRAWN"),
        (vec![], vec![no("05")], true, false, "WITHDRAWN"),
        (vec![grant("05")], vec![grant("10")], true, false, "GRANTED"),
        (vec![grant("10")], vec![grant("05")], true, false, "GRANTED"),
        // A withdrawal that the same record took back long ago is no refusal.
        (vec![no("03"), grant("05")], vec![grant("04")], true, false, "GRANTED"),
        (vec![grant("20")], vec![grant("03"), no("04"), grant("05")], true, false, "GRANTED"),
        (vec![no("12")], vec![no("10")], true, false, "WITHDRAWN"),
        // Addresses that differ: a consent holds for the one that it was given for.
        (vec![grant("05")], vec![], false, false, "GRANTED"),
        (vec![], vec![grant("05")], false, false, "INVALIDATED"),
        (vec![grant("05")], vec![], false, true, "INVALIDATED"),
        (vec![], vec![grant("05")], false, true, "GRANTED"),
        (vec![grant("10")], vec![grant("05")], false, false, "GRANTED"),
        (vec![grant("05")], vec![grant("10")], false, false, "INVALIDATED"),
        (vec![grant("05")], vec![grant("10")], false, true, "GRANTED"),
        (vec![grant("10")], vec![grant("05")], false, true, "INVALIDATED"),
        (vec![no("05")], vec![], false, true, "WITHDRAWN"),
    ];
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let reader = world.test.caller("marketing", "event_invitations").await;
        let before = differing(&world).await;
        for (index, (own, other, same, take, expected)) in cases.iter().enumerate() {
            let case = format!("case {index}: {own:?} and {other:?}, same {same}, taken {take}");
            let email = |side: &str| format!("{side}{index}@example.org");
            let stays = made(client, &staff, json!({ "familyName": "Eins", "email": email("one") })).await;
            let second = if *same { email("ONE") } else { email("two") };
            let goes = made(client, &staff, json!({ "familyName": "Eins", "email": second })).await;
            for (contact, said) in [(&stays, own), (&goes, other)] {
                for said in said {
                    declare(client, &staff, contact, *said).await;
                }
            }
            let mut input = pair(&stays, &goes);
            input["take"] = if *take { json!(["EMAIL"]) } else { json!([]) };
            let contact = merged(client, &staff, input, CONSENTS).await;
            let consents = contact["consents"]["nodes"].as_array().unwrap();
            assert_eq!(consents.len(), 1, "{case}: {contact}");
            assert_eq!(consents[0]["status"], *expected, "{case}: {contact}");
            assert_eq!(invited(&world, &reader, &stays).await, *expected == "GRANTED", "{case}");
            // All that was declared is still there, on either side.
            let kinds: Vec<&str> = consents[0]["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["kind"].as_str().unwrap())
                .collect();
            let declared = kinds.iter().filter(|kind| ["GRANTED", "WITHDRAWN"].contains(kind)).count();
            assert_eq!(declared, own.len() + other.len(), "{case}: {kinds:?}");
            // No late word from before the merge opens again what either side had closed.
            if *expected == "INVALIDATED" {
                declare(client, &staff, &stays, ("grant", "EMAIL", "30")).await;
                assert!(!invited(&world, &reader, &stays).await, "{case}");
            }
        }
        assert_eq!(differing(&world).await, before);
        // A declaration after the merge opens again.
        world.test.clock.advance(TimeDelta::hours(1));
        let contact = made(client, &staff, json!({ "familyName": "Eins", "email": "x@example.org" })).await;
        let other = made(client, &staff, json!({ "familyName": "Eins", "email": "x@example.org" })).await;
        declare(client, &staff, &contact, no("05")).await;
        declare(client, &staff, &other, grant("10")).await;
        merged(client, &staff, pair(&contact, &other), "id").await;
        assert!(!invited(&world, &reader, &contact).await);
        let mut fresh = super::newsletter(1, "2026-11-02T10:30:00Z");
        (fresh["contactId"], fresh["purpose"]) = (json!(contact), json!("event_invitations"));
        world.test.clock.advance(TimeDelta::hours(1));
        done(client, &staff.consent, "recordConsent", fresh, "consent { status }").await;
        assert!(invited(&world, &reader, &contact).await);
    }
}

/// Whatever both have said: nobody is invited by a merge who said no on either side or was asked at another address, and who
/// said yes wherever they said anything stays invited.
#[tokio::test]
async fn random_histories_never_open_what_either_side_had_closed() {
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let reader = world.test.caller("marketing", "event_invitations").await;
        let before = differing(&world).await;
        let mut seed = 7u64;
        let mut any = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut held = [0, 0];
        for round in 0..40 {
            let (same, take) = (any(3) > 0, any(3) == 0);
            let mut sides = Vec::new();
            let mut told = format!("round {round}, same {same}, taken {take}:");
            for side in 0..2 {
                let email = format!("r{round}{}@example.org", if same { 0 } else { side });
                let contact = made(client, &staff, json!({ "familyName": "Zufall", "email": email })).await;
                let many = any(4);
                for _ in 0..many {
                    let what = ["grant", "grant", "grant", "withdraw", "direct_marketing"][any(5) as usize];
                    let at = format!("{:02}", 1 + any(28));
                    told.push_str(&format!(" {side} {what} {at}"));
                    declare(client, &staff, &contact, (what, "EMAIL", &at)).await;
                }
                sides.push((false, many > 0, contact));
            }
            // An objection by the one is carried to the other of the same mailbox: what holds is seen once both have spoken.
            for side in &mut sides {
                side.0 = invited(&world, &reader, &side.2).await;
            }
            let mut input = pair(&sides[0].2, &sides[1].2);
            input["take"] = if take { json!(["EMAIL"]) } else { json!([]) };
            merged(client, &staff, input, "id").await;
            let after = invited(&world, &reader, &sides[0].2).await;
            let refused = sides.iter().any(|(live, said, _)| *said && !live);
            let given = same && sides.iter().any(|(live, ..)| *live) || sides[usize::from(take)].0;
            assert!(!after || (!refused && given), "{told}: {sides:?}");
            assert!(after || !same || refused || !given, "{told}: {sides:?}");
            held[usize::from(after)] += 1;
        }
        assert!(held.iter().all(|many| *many > 5), "{held:?}");
        assert_eq!(differing(&world).await, before);
    }
}

/// Who was asked and has not answered says nothing; who has answered on the other side has.
#[tokio::test]
async fn a_question_without_an_answer_is_no_refusal() {
    use entity::{
        consent, consent_event,
        enums::{Channel, ConsentEventKind, ConsentStatus},
    };
    use sea_orm::{ActiveValue::Set, EntityTrait};
    for world in worlds().await {
        let (client, staff, db) = (&world.client, Staff::of(&world.test).await, &world.test.app.db.writer);
        let before = differing(&world).await;
        for (round, (answer, expected)) in [
            ("grant", "GRANTED"),
            ("withdraw", "INVALIDATED"),
            ("direct_marketing", "INVALIDATED"),
            ("", "PENDING"),
        ]
        .into_iter()
        .enumerate()
        {
            // Each its own address: that of who objected is on the suppression list.
            let values = json!({ "familyName": "Frage", "email": format!("frage{round}@example.org") });
            let stays = made(client, &staff, values.clone()).await;
            let goes = made(client, &staff, values).await;
            if !answer.is_empty() {
                declare(client, &staff, &goes, (answer, "EMAIL", "05")).await;
            }
            let (now, asked) = (world.test.app.now(), id(9, round as u128));
            let row = consent::ActiveModel {
                id: Set(asked),
                contact_id: Set(stays.parse().unwrap()),
                purpose_code: Set("event_invitations".to_owned()),
                channel: Set(Channel::Email),
                status: Set(ConsentStatus::Pending),
                declared_at: Set(Some(now)),
                created_at: Set(now),
                updated_at: Set(now),
                ..Default::default()
            };
            consent::Entity::insert(row).exec(db).await.unwrap();
            let event = consent_event::ActiveModel {
                id: Set(id(8, round as u128)),
                consent_id: Set(asked),
                kind: Set(ConsentEventKind::Requested),
                declared_at: Set(Some(now)),
                recorded_at: Set(now),
                actor: Set("test".to_owned()),
                ..Default::default()
            };
            consent_event::Entity::insert(event).exec(db).await.unwrap();
            let contact = merged(client, &staff, pair(&stays, &goes), CONSENTS).await;
            assert_eq!(contact["consents"]["nodes"][0]["status"], expected, "{answer}: {contact}");
        }
        assert_eq!(differing(&world).await, before);
    }
}

/// What was declared before the merge and comes in after it may have been for either address: where they differ, nothing
/// proves for which.
#[tokio::test]
async fn a_late_consent_opens_only_where_both_had_the_same_address() {
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let reader = world.test.caller("marketing", "event_invitations").await;
        for (email, opens) in [("Spaet@example.org", true), ("late@example.org", false)] {
            let stays =
                made(client, &staff, json!({ "familyName": "Spät", "email": "spaet@example.org" })).await;
            let goes = made(client, &staff, json!({ "familyName": "Spät", "email": email })).await;
            merged(client, &staff, pair(&stays, &goes), "id").await;
            declare(client, &staff, &stays, ("grant", "EMAIL", "10")).await;
            assert_eq!(invited(&world, &reader, &stays).await, opens, "{email}");
        }
    }
}

/// One whose time has ended refuses too; channels are apart; each is compared with its own address.
#[tokio::test]
async fn consents_end_by_time_and_channel_by_channel() {
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let before = differing(&world).await;
        let values = json!({ "familyName": "Zwei", "email": "zwei@example.org", "phone": "+49 30 3333" });
        let stays = made(client, &staff, values.clone()).await;
        let goes = made(client, &staff, values).await;
        let mut ended = super::newsletter(1, "2026-09-01T10:00:00Z");
        (ended["contactId"], ended["purpose"]) = (json!(goes), json!("event_invitations"));
        ended["expiresAt"] = json!("2026-09-02T10:00:00Z");
        done(client, &staff.consent, "recordConsent", ended, "__typename").await;
        declare(client, &staff, &stays, ("grant", "EMAIL", "05")).await;
        declare(client, &staff, &goes, ("grant", "PHONE", "06")).await;
        let contact = merged(client, &staff, pair(&stays, &goes), CONSENTS).await;
        let mut states: Vec<String> = contact["consents"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| format!("{} {}", node["channel"].as_str().unwrap(), node["status"].as_str().unwrap()))
            .collect();
        states.sort();
        assert_eq!(states, ["EMAIL INVALIDATED", "PHONE GRANTED"]);
        assert_eq!(differing(&world).await, before);
    }
}

#[tokio::test]
async fn an_objection_of_either_ends_the_consents_of_the_other() {
    // Who objected to what and when; who consented when; whether it holds.
    let cases = [
        ("direct_marketing", "05", "10", false),
        ("direct_marketing", "10", "05", false),
        ("event_invitations", "05", "10", false),
        ("newsletter", "05", "10", true),
    ];
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let reader = world.test.caller("marketing", "event_invitations").await;
        let before = differing(&world).await;
        for (index, (code, objected, consented, holds)) in cases.into_iter().enumerate() {
            for objector_stays in [true, false] {
                // Each its own address: that of who objected is on the suppression list.
                let email = format!("drei{index}{objector_stays}@example.org");
                let values = json!({ "familyName": "Drei", "email": email });
                let objector = made(client, &staff, values.clone()).await;
                let other = made(client, &staff, values).await;
                declare(client, &staff, &objector, (code, "", objected)).await;
                declare(client, &staff, &other, ("grant", "EMAIL", consented)).await;
                // In the same mailbox an objection holds for every record; only what is declared after it counts.
                assert_eq!(invited(&world, &reader, &other).await, holds || consented > objected);
                let (stays, goes) = if objector_stays { (objector, other) } else { (other, objector) };
                let payload = format!("{CONSENTS} objections {{ purpose {{ code }} endedAt }}");
                let contact = merged(client, &staff, pair(&stays, &goes), &payload).await;
                let case = format!("{code} {objected} {consented} {objector_stays}: {contact}");
                let objections = contact["objections"].as_array().unwrap();
                assert!(!objections.is_empty(), "{case}");
                assert!(
                    objections
                        .iter()
                        .all(|one| *one == json!({ "purpose": { "code": code }, "endedAt": null })),
                    "{case}"
                );
                let status = &contact["consents"]["nodes"][0]["status"];
                assert_eq!(status, if holds { "GRANTED" } else { "INVALIDATED" }, "{case}");
                assert_eq!(invited(&world, &reader, &stays).await, holds, "{case}");
            }
        }
        // Who objected and then consented to just this says no no more, nor for the other record.
        let values = json!({ "familyName": "Drei", "email": "drei@example.org" });
        let (one, two) = (made(client, &staff, values.clone()).await, made(client, &staff, values).await);
        declare(client, &staff, &one, ("direct_marketing", "", "05")).await;
        declare(client, &staff, &one, ("grant", "EMAIL", "07")).await;
        declare(client, &staff, &two, ("grant", "EMAIL", "10")).await;
        merged(client, &staff, pair(&one, &two), "id").await;
        assert!(invited(&world, &reader, &one).await);
        assert_eq!(differing(&world).await, before);
    }
}

#[tokio::test]
async fn a_restriction_of_either_holds_since_the_earlier_one() {
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        let care = world.test.caller("support", "customer_care").await;
        // Which of both are restricted; the second one stays.
        for restricted in [[false, false], [true, false], [false, true], [true, true]] {
            let mut ids = Vec::new();
            let began = world.test.app.now();
            for of_this in restricted {
                let input = json!({ "familyName": "Vier", "source": { "name": "letter" }, "ground": { "purpose": "customer_care" } });
                let contact = done(client, &staff.desk, "createContact", input, "contact { id }").await;
                let contact = contact["contact"]["id"].clone();
                if of_this {
                    let input = json!({ "contactId": contact, "limb": "A", "reason": "contested" });
                    done(client, &staff.desk, "restrictContact", input, "__typename").await;
                }
                ids.push(contact.as_str().unwrap().to_owned());
                world.test.clock.advance(TimeDelta::hours(1));
            }
            let since =
                restricted.iter().position(|yes| *yes).map(|first| began + TimeDelta::hours(first as i64));
            let payload = "state restrictedAt restrictions { reason }";
            let contact = merged(client, &staff, pair(&ids[1], &ids[0]), payload).await;
            assert_eq!(contact["state"], if since.is_some() { "RESTRICTED" } else { "ACTIVE" });
            let told = since.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
            assert_eq!(contact["restrictedAt"], json!(told));
            let many = restricted.iter().filter(|yes| **yes).count();
            assert_eq!(contact["restrictions"].as_array().unwrap().len(), many);
            // From the next read on, support does not see whose processing is restricted.
            let seen = format!("{{ contact(id: \"{}\") {{ id }} }}", ids[1]);
            let seen = client.data(&care, &seen).await;
            assert_eq!(seen["contact"].is_null(), since.is_some(), "{seen}");
        }
    }
}

/// Everything that hung on the duplicate hangs on the one that stays, and each move is told in the audit log.
#[tokio::test]
async fn all_that_hung_on_the_duplicate_moves_and_leaves_its_trace() {
    for world in worlds().await {
        let (client, staff, db) = (&world.client, Staff::of(&world.test).await, &world.test.app.db.writer);
        let (stays, goes) = (person(7), person(1));
        let restriction = json!({ "contactId": goes, "limb": "B", "reason": "unlawful" });
        done(client, &staff.desk, "restrictContact", restriction, "__typename").await;
        let objection = json!({ "contactId": goes, "purpose": "existing_customer_mail" });
        done(client, &staff.desk, "recordObjection", objection, "__typename").await;
        let payload = "contactPoints { email } provenance { source externalId fields } grounds { reference } objections { purpose { code } } restrictions { reason } requests { nodes { kind } } consents { nodes { purpose { code } channel status } }";
        let contact = merged(client, &staff, pair(&stays, &goes), payload).await;
        let texts = |list: &Value| {
            list.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
        };
        for (list, expected) in [
            (&contact["contactPoints"], vec!["anna@work.example", "anna@home.example", "anna@example.org"]),
            (&contact["provenance"], vec!["\"externalId\":\"1\"", "\"externalId\":\"7\"", &goes]),
            (&contact["grounds"], vec!["contract 1", "contract 7"]),
            (&contact["objections"], vec!["existing_customer_mail"]),
            (&contact["restrictions"], vec!["unlawful"]),
            (&contact["requests"]["nodes"], vec!["ACCESS", "ERASURE"]),
            (&contact["consents"]["nodes"], vec!["newsletter", "PHONE", "EMAIL"]),
        ] {
            for word in expected {
                assert!(texts(list).contains(word), "{word} in {list}");
            }
        }
        // Given for Anna's own address, which is Gina's primary one no more than it was.
        assert!(texts(&contact["consents"]["nodes"]).contains("INVALIDATED"), "{contact}");
        // The old id is left where it is told what was done, and nowhere else.
        let mut tables = dump(db).await;
        let hex = id(0, 1).simple().to_string();
        for table in ["audit_entry", "subject_key", "idempotency", "contact_merge"] {
            tables.remove(table);
        }
        for (table, rows) in tables {
            let found = rows.iter().filter(|row| {
                row.to_lowercase().contains(&hex) || (table != "provenance" && row.contains(&goes))
            });
            assert_eq!(found.count(), 0, "{table}");
        }
        // The log tells of each row; by the link an erasure finds older entries, by either id.
        let query = format!(
            "{{ auditLog(first: 200, filter: {{ action: {{ eq: \"mergeContacts\" }}, contactId: {{ eq: \"{stays}\" }} }}) {{ nodes {{ entityType entityId outcome changedFields before after }} }} }}"
        );
        let log = client.data(&staff.dpo, &query).await;
        let entries = log["auditLog"]["nodes"].as_array().unwrap();
        let of = |kind: &str| entries.iter().filter(|entry| entry["entityType"] == kind).collect::<Vec<_>>();
        let counts: Vec<usize> = [
            "Contact",
            "ContactPoint",
            "Provenance",
            "Ground",
            "Objection",
            "Restriction",
            "PrivacyRequest",
            "Consent",
        ]
        .map(|kind| of(kind).len())
        .to_vec();
        // Two addresses of Anna's are points, and her primary address and number became some.
        // The blocks of her addresses move along with the objection.
        assert_eq!(counts, [2, 4, 1, 1, 4, 1, 2, 2]);
        assert!(entries.iter().all(|entry| entry["outcome"] == "CHANGED"));
        let gone = of("Contact").into_iter().find(|entry| entry["entityId"] == goes).unwrap();
        assert_eq!(gone["before"]["Contact.email"], "anna@example.org");
        assert_eq!(gone["after"]["Contact.email"], Value::Null);
        let kept = of("Contact").into_iter().find(|entry| entry["entityId"] == stays).unwrap();
        assert_eq!(
            (&kept["before"]["Contact.notes"], &kept["after"]["Contact.notes"]),
            (&Value::Null, &json!("likes tea"))
        );
        assert_eq!(
            (&kept["before"]["Contact.state"], &kept["after"]["Contact.state"]),
            (&json!("ACTIVE"), &json!("RESTRICTED"))
        );
        let ground = of("Ground")[0];
        assert_eq!(
            (&ground["before"]["Contact.grounds"], &ground["after"]["Contact.grounds"]),
            (&json!(goes), &json!(stays))
        );
        let request = of("PrivacyRequest")[0];
        assert_eq!(request["after"]["PrivacyRequest.contact"], stays);
        // Sealed for the one that stays: no value lies open, and with its keys all are gone.
        let rows = dump(db).await["audit_entry"].join("\n");
        assert!(!rows.contains("anna@") && !rows.contains("likes tea"));
        let foreign = format!(
            "SELECT COUNT(*) FROM audit_entry WHERE action = 'mergeContacts' AND {}",
            match db.get_database_backend() {
                DbBackend::Postgres => format!("subject_id <> '{stays}'"),
                _ => format!("lower(hex(subject_id)) <> '{}'", id(0, 7).simple()),
            }
        );
        assert_eq!(number(db, &foreign).await, 0);
        // A repeat finds nobody, nor does who asks for the duplicate.
        let again =
            mutate(client, &staff.desk, "mergeContacts", &pair(&stays, &goes), "contact { id }").await;
        assert_eq!(refusal(&again, "mergeContacts"), "NOT_FOUND");
        let seen = client.data(&staff.desk, &format!("{{ contact(id: \"{goes}\") {{ id }} }}")).await;
        assert_eq!(seen["contact"], Value::Null);
    }
}

/// Events of a consent may come to another one for the same purpose and channel; nothing else of them ever changes.
#[tokio::test]
async fn the_database_lets_events_move_and_not_change() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        let literal = |id: uuid::Uuid| match db.get_database_backend() {
            DbBackend::Postgres => format!("'{id}'"),
            _ => format!("X'{}'", id.simple()),
        };
        let (event, twin) = (literal(id(2, 100)), literal(id(1, 200)));
        for change in [
            format!("consent_id = {}", literal(id(1, 100))),
            format!("consent_id = {}", literal(id(1, 101))),
            format!("consent_id = {}", literal(id(9, 9))),
            format!("consent_id = {twin}, actor = 'other'"),
            format!("consent_id = {twin}, kind = 'CONFIRMED'"),
            format!("consent_id = {twin}, declared_at = recorded_at"),
            format!("consent_id = {twin}, expires_at = recorded_at"),
            format!("consent_id = {twin}, source = 'x'"),
            format!("consent_id = {twin}, proof = 'x'"),
            format!("consent_id = {twin}, id = {}", literal(id(9, 9))),
        ] {
            let sql = format!("UPDATE consent_event SET {change} WHERE id = {event}");
            let error = db.execute_unprepared(&sql).await.unwrap_err().to_string();
            assert!(error.contains("append-only"), "{sql}: {error}");
        }
        let sql = format!("UPDATE consent_event SET consent_id = {twin} WHERE id = {event}");
        db.execute_unprepared(&sql).await.unwrap();
    }
}

/// Two merges of the same two contacts, each the other way round: one is done, the other finds nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crosswise_merges_do_not_wait_for_each_other() {
    for world in worlds().await {
        let (client, staff) = (&world.client, Staff::of(&world.test).await);
        for round in 0..10 {
            let values = json!({ "familyName": "Kreuz", "email": "kreuz@example.org" });
            let ids = [made(client, &staff, values.clone()).await, made(client, &staff, values).await];
            for contact in &ids {
                declare(client, &staff, contact, ("grant", "EMAIL", "05")).await;
            }
            let mut writers = JoinSet::new();
            for (stays, goes) in [(0, 1), (1, 0), (0, 1), (1, 0)] {
                let (client, caller, input) =
                    (client.clone(), staff.desk.clone(), pair(&ids[stays], &ids[goes]));
                writers.spawn(async move {
                    let answer = mutate(&client, &caller, "mergeContacts", &input, "contact { id }").await;
                    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("DONE").to_owned()
                });
            }
            let mut codes = writers.join_all().await;
            codes.sort();
            assert_eq!(codes, ["DONE", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"], "round {round}");
        }
        let db = &world.test.app.db.writer;
        assert_eq!(number(db, "SELECT COUNT(*) FROM contact WHERE family_name = 'Kreuz'").await, 10);
    }
}

/// Others write to both while they become one: nothing of it is lost, nothing hangs in the air.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_write_meanwhile_is_not_lost() {
    for world in worlds().await {
        let (client, staff, db) = (&world.client, Staff::of(&world.test).await, &world.test.app.db.writer);
        let stays = made(client, &staff, json!({ "familyName": "Mitte" })).await;
        for round in 0..10 {
            let goes = made(client, &staff, json!({ "familyName": "Mitte" })).await;
            let request = json!({ "contactId": goes, "kind": "ACCESS" });
            let opened = done(client, &staff.desk, "openRequest", request, "request { id }").await;
            let mut writers = JoinSet::new();
            for (name, input) in [
                ("cancelRequest", json!({ "privacyRequestId": opened["request"]["id"] })),
                ("mergeContacts", pair(&stays, &goes)),
                ("openRequest", json!({ "contactId": goes, "kind": "ERASURE" })),
                ("updateContact", json!({ "contactId": stays, "jobTitle": format!("round {round}") })),
                ("restrictContact", json!({ "contactId": goes, "limb": "A", "reason": "contested" })),
            ] {
                let (client, caller) = (client.clone(), staff.desk.clone());
                writers.spawn(async move {
                    let answer = mutate(&client, &caller, name, &input, "__typename").await;
                    let code =
                        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("DONE").to_owned();
                    (name, code)
                });
            }
            for (name, code) in writers.join_all().await {
                let may_come_late = ["openRequest", "restrictContact"].contains(&name) && code == "NOT_FOUND";
                assert!(code == "DONE" || may_come_late, "{name}: {code}");
            }
        }
        let cancelled = "SELECT COUNT(*) FROM privacy_request r JOIN contact c ON c.id = r.contact_id
                         WHERE c.family_name = 'Mitte' AND c.job_title = 'round 9' AND r.kind = 'ACCESS' AND r.status = 'CANCELLED'";
        assert_eq!(number(db, cancelled).await, 10);
    }
}

/// A request is written under its own lock alone: a merge waits for it, and takes over what it finds then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_cancelled_meanwhile_stays_so() {
    for world in worlds().await {
        let (staff, db) = (Staff::of(&world.test).await, &world.test.app.db.writer);
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        let mut options = sea_orm::ConnectOptions::new(&world.test.url);
        options.max_connections(1);
        let other = sea_orm::Database::connect(options).await.unwrap();
        let request = id(5, 100);
        other.execute_unprepared("BEGIN").await.unwrap();
        let cancel = format!("UPDATE privacy_request SET status = 'CANCELLED' WHERE id = '{request}'");
        other.execute_unprepared(&cancel).await.unwrap();
        let (client, desk) = (world.client.clone(), staff.desk.clone());
        let merging = tokio::spawn(async move {
            mutate(&client, &desk, "mergeContacts", &pair(&person(7), &person(1)), "contact { id }").await
        });
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while number(&world.test.app.db.reader, waiting).await == 0 {
            assert!(!merging.is_finished(), "the merge did not wait");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        other.execute_unprepared("COMMIT").await.unwrap();
        let answer = merging.await.unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        let kept = format!(
            "SELECT COUNT(*) FROM privacy_request WHERE id = '{request}' AND contact_id = '{}' AND status = 'CANCELLED'",
            person(7)
        );
        assert_eq!(number(db, &kept).await, 1);
    }
}

#[tokio::test]
async fn a_repeat_under_its_key_tells_the_same() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let body = json!({ "query": "mutation($input: MergeContactsInput!) { mergeContacts(input: $input) { contact { id version } } }",
                           "variables": { "input": pair(&person(7), &person(8)) } });
        let first = world.client.send(&staff.desk, body.clone(), &[("idempotency-key", "m")]).await;
        let again = world.client.send(&staff.desk, body.clone(), &[("idempotency-key", "m")]).await;
        assert!(first.1.contains("\"version\":2"), "{first:?}");
        assert_eq!(first, again);
        let (_, other) = world.client.send(&staff.desk, body, &[("idempotency-key", "n")]).await;
        assert!(other.contains("NOT_FOUND"), "{other}");
        let gone =
            "SELECT COUNT(*) FROM audit_entry WHERE action = 'mergeContacts' AND entity_type = 'Contact'";
        assert_eq!(number(&world.test.app.db.writer, gone).await, 2);
    }
}
