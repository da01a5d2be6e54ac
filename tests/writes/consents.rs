//! Consents, objections and restrictions: what is declared counts from the next read on.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{Staff, done, mutate, newsletter, person, refusal};
use crate::{
    reads::{World, worlds},
    support::{client::Caller, dump::number, world::id},
};

async fn sees(world: &World, caller: &Caller, number: u128) -> bool {
    let query = format!("{{ contact(id: \"{}\") {{ email }} }}", person(number));
    !world.client.data(caller, &query).await["contact"].is_null()
}

const STATE: &str = "consent { status declaredAt grantedAt withdrawnAt expiresAt source text { version language } events { kind declaredAt proof expiresAt } }";

#[tokio::test]
async fn a_consent_is_recorded_with_its_evidence() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let partner = world.test.caller("partner", "newsletter").await;
        assert!(!sees(&world, &partner, 7).await);
        let given = done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(7, "2026-11-01T10:00:00Z"),
            STATE,
        )
        .await;
        assert_eq!(
            given["consent"],
            json!({
                "status": "GRANTED", "declaredAt": "2026-11-01T10:00:00Z", "grantedAt": "2026-11-01T10:00:00Z",
                "withdrawnAt": null, "expiresAt": "2028-11-01T10:00:00Z", "source": "fair",
                "text": { "version": "2026-1", "language": "de" },
                "events": [{ "kind": "GRANTED", "declaredAt": "2026-11-01T10:00:00Z", "proof": "signed_paper", "expiresAt": "2028-11-01T10:00:00Z" }],
            })
        );
        assert!(sees(&world, &partner, 7).await);
        // What held when, by what was declared until then; nothing for a consent or contact that is not there for the caller.
        let state = |contact: &str, purpose: &str, at: &str| {
            format!(
                "{{ consentState(contactId: \"{contact}\", purpose: \"{purpose}\", channel: EMAIL, at: \"{at}\") }}"
            )
        };
        let news = world.test.caller("marketing", "newsletter").await;
        for (caller, contact, purpose, at, expected) in [
            (&staff.dpo, person(7), "newsletter", "2026-11-01T09:59:59Z", json!("PENDING")),
            (&staff.dpo, person(7), "newsletter", "2026-11-01T10:00:00Z", json!("GRANTED")),
            (&staff.dpo, person(7), "newsletter", "2028-11-01T10:00:00Z", json!("EXPIRED")),
            (&staff.dpo, person(7), "phone_marketing", "2026-11-02T00:00:00Z", Value::Null),
            (&staff.dpo, person(6), "newsletter", "2026-11-02T00:00:00Z", Value::Null),
            (&staff.dpo, "nobody".to_owned(), "newsletter", "2026-11-02T00:00:00Z", Value::Null),
            (&news, person(7), "newsletter", "2026-11-02T00:00:00Z", json!("GRANTED")),
            (&news, person(7), "event_invitations", "2026-11-02T00:00:00Z", Value::Null),
            (&news, person(2), "newsletter", "2026-11-02T00:00:00Z", Value::Null),
        ] {
            let seen = world.client.data(caller, &state(&contact, purpose, at)).await;
            assert_eq!(seen["consentState"], expected, "{contact} {purpose} {at}");
        }
        // The same declaration again is no second one.
        let again = done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(7, "2026-11-01T10:00:00Z"),
            STATE,
        )
        .await;
        assert_eq!(again, given);
        // It ends at the instant, with nothing having to run.
        world.test.clock.advance(TimeDelta::days(729) + TimeDelta::hours(25) - TimeDelta::microseconds(1));
        let late = world.test.caller("partner", "newsletter").await;
        let dpo = world.test.caller("dpo", "rights_fulfilment").await;
        let status = format!(
            "{{ contact(id: \"{}\") {{ consents(filter: {{ purpose: {{ eq: \"newsletter\" }} }}) {{ nodes {{ status }} }} }} }}",
            person(7)
        );
        assert!(sees(&world, &late, 7).await);
        assert_eq!(
            world.client.data(&dpo, &status).await["contact"]["consents"]["nodes"][0]["status"],
            "GRANTED"
        );
        world.test.clock.advance(TimeDelta::microseconds(1));
        assert!(!sees(&world, &late, 7).await);
        assert_eq!(
            world.client.data(&dpo, &status).await["contact"]["consents"]["nodes"][0]["status"],
            "EXPIRED"
        );
        let expired = status.replace("purpose: { eq: \"newsletter\" }", "status: { eq: EXPIRED }");
        assert_eq!(
            world.client.data(&dpo, &expired).await["contact"]["consents"]["nodes"][0]["status"],
            "EXPIRED"
        );
    }
}

/// A withdrawal that is said again is a later declaration: no late word of a consent in between undoes it.
#[tokio::test]
async fn a_renewed_withdrawal_counts() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let withdraw = json!({ "contactId": person(1), "purpose": "newsletter" });
        done(&world.client, &staff.consent, "withdrawConsent", withdraw.clone(), STATE).await;
        world.test.clock.advance(TimeDelta::hours(2));
        done(&world.client, &staff.consent, "withdrawConsent", withdraw, STATE).await;
        let between = newsletter(1, "2026-11-02T10:00:00Z");
        let late = done(&world.client, &staff.consent, "recordConsent", between, STATE).await;
        assert_eq!(late["consent"]["status"], "WITHDRAWN");
    }
}

/// A consent that comes in after the address has become another was given for the address before.
#[tokio::test]
async fn a_late_consent_does_not_move_to_a_new_address() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let partner = world.test.caller("partner", "newsletter").await;
        // Without any consent to it, with one withdrawn, and with one whose time has ended.
        for (hour, number) in [(9, 7), (10, 2), (11, 3)] {
            let moved = json!({ "contactId": person(number), "email": format!("moved{number}@example.org") });
            done(&world.client, &staff.desk, "updateContact", moved, "contact { id }").await;
            let late = newsletter(number, "2026-11-01T10:00:00Z");
            let late = done(&world.client, &staff.consent, "recordConsent", late, STATE).await;
            assert_eq!(late["consent"]["status"], "INVALIDATED", "{late}");
            assert!(!sees(&world, &partner, number).await, "person {number}");
            world.test.clock.advance(TimeDelta::hours(1));
            let fresh = newsletter(number, &format!("2026-11-02T{hour:02}:30:00Z"));
            done(&world.client, &staff.consent, "recordConsent", fresh, STATE).await;
            assert!(sees(&world, &partner, number).await, "person {number}");
        }
        // An accent makes another mailbox.
        let accent = json!({ "contactId": person(7), "email": "möved7@example.org" });
        done(&world.client, &staff.desk, "updateContact", accent, "contact { id }").await;
        assert!(!sees(&world, &partner, 7).await);
    }
}

/// Any order in which declarations come in makes the same state; the withdrawal of yesterday beats the consent of the day before.
#[tokio::test]
async fn the_order_of_recording_does_not_matter() {
    let moves = [
        ("grant", "2026-10-01T10:00:00Z"),
        ("withdraw", "2026-10-02T10:00:00Z"),
        ("grant", "2026-10-03T10:00:00Z"),
        ("withdraw", "2026-10-03T10:00:00Z"),
    ];
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [3, 3, 2, 0], [0, 2, 1, 3]];
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        for (index, order) in orders.iter().enumerate() {
            let number = [2, 3, 7, 8, 9, 10][index];
            let mut last = Value::Null;
            for step in order {
                let (what, at) = moves[*step];
                last = match what {
                    "grant" => {
                        done(&world.client, &staff.consent, "recordConsent", newsletter(number, at), STATE)
                            .await
                    }
                    _ => {
                        let input =
                            json!({ "contactId": person(number), "purpose": "newsletter", "declaredAt": at });
                        done(&world.client, &staff.consent, "withdrawConsent", input, STATE).await
                    }
                };
                world.test.clock.advance(TimeDelta::minutes(1));
            }
            assert_eq!(last["consent"]["status"], "WITHDRAWN", "{order:?}");
            assert_eq!(last["consent"]["withdrawnAt"], "2026-10-03T10:00:00Z", "{order:?}");
            // Only a fresh declaration opens again.
            let fresh = done(
                &world.client,
                &staff.consent,
                "recordConsent",
                newsletter(number, "2026-10-04T10:00:00Z"),
                STATE,
            )
            .await;
            assert_eq!(fresh["consent"]["status"], "GRANTED");
        }
    }
}

#[tokio::test]
async fn withdrawing_a_group_withdraws_its_kinds_on_every_channel() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let input = json!({ "contactId": person(1), "purpose": "direct_marketing" });
        let payload = "consents { purpose { code } channel status }";
        let all = done(&world.client, &staff.consent, "withdrawConsent", input, payload).await;
        let mut told: Vec<String> = all["consents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|consent| {
                format!("{} {} {}", consent["purpose"]["code"], consent["channel"], consent["status"])
                    .replace('"', "")
            })
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "event_invitations EMAIL WITHDRAWN",
                "event_invitations PHONE WITHDRAWN",
                "newsletter EMAIL WITHDRAWN",
                "phone_marketing PHONE WITHDRAWN"
            ]
        );
        // A consent of before that comes in late does not undo it, even to a kind that was never given.
        let mut late = newsletter(1, "2026-11-01T10:00:00Z");
        (late["purpose"], late["channel"], late["proof"]) =
            (json!("phone_marketing"), json!("PHONE"), json!("recorded_call"));
        let late = done(&world.client, &staff.consent, "recordConsent", late, "consent { status }").await;
        assert_eq!(late["consent"]["status"], "WITHDRAWN");
    }
}

#[tokio::test]
async fn an_address_that_changes_invalidates_what_was_given_for_the_old_one() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let (partner, events) = (
            world.test.caller("partner", "newsletter").await,
            world.test.caller("marketing", "event_invitations").await,
        );
        assert!(sees(&world, &partner, 1).await && sees(&world, &events, 1).await);
        // Another way to write the same address is no other address.
        let same = json!({ "contactId": person(1), "email": "Anna@Example.org" });
        done(&world.client, &staff.support, "updateContact", same, "contact { id }").await;
        assert!(sees(&world, &partner, 1).await);
        let moved = json!({ "contactId": person(1), "email": "anna@new.example" });
        done(&world.client, &staff.support, "updateContact", moved, "contact { id }").await;
        // The consent for the phone stays.
        assert!(!sees(&world, &partner, 1).await && sees(&world, &events, 1).await);
        let back = json!({ "contactId": person(1), "email": "anna@example.org" });
        done(&world.client, &staff.support, "updateContact", back, "contact { id }").await;
        assert!(!sees(&world, &partner, 1).await, "going back is no declaration");
        let query = format!(
            "{{ contact(id: \"{}\") {{ consents {{ nodes {{ status channel events {{ kind actor }} }} }} }} }}",
            person(1)
        );
        let seen = world.client.data(&staff.dpo, &query).await;
        assert_eq!(seen["contact"]["consents"]["nodes"][0]["status"], "INVALIDATED");
        world.test.clock.advance(TimeDelta::hours(1));
        done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(1, "2026-11-02T09:30:00Z"),
            "consent { id }",
        )
        .await;
        assert!(sees(&world, &partner, 1).await);
        // Emptying it is a change too.
        let emptied = json!({ "contactId": person(1), "clear": ["EMAIL", "PHONE"] });
        done(&world.client, &staff.support, "updateContact", emptied, "contact { id }").await;
        assert!(!sees(&world, &partner, 1).await && !sees(&world, &events, 1).await);
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'invalidateConsent'";
        assert_eq!(number(&world.test.app.db.writer, entries).await, 4);
    }
}

#[tokio::test]
async fn an_objection_ends_marketing_until_the_person_declares_afresh() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let partner = world.test.caller("partner", "newsletter").await;
        let mail = world.test.caller("marketing", "existing_customer_mail").await;
        let object = |number: u128| json!({ "contactId": person(number), "purpose": "direct_marketing" });
        assert!(sees(&world, &partner, 10).await && sees(&world, &mail, 10).await);
        let objection =
            done(&world.client, &staff.consent, "recordObjection", object(10), "objection { id }").await;
        assert!(!sees(&world, &partner, 10).await && !sees(&world, &mail, 10).await);
        // What was declared at that instant or before does not count; what was declared after it does, for that kind alone.
        for (at, counts) in
            [("2026-11-01T10:00:00Z", false), ("2026-11-02T09:00:00Z", false), ("2026-11-02T09:10:00Z", true)]
        {
            world.test.clock.advance(TimeDelta::minutes(10));
            done(&world.client, &staff.consent, "recordConsent", newsletter(10, at), "consent { id }").await;
            assert_eq!(sees(&world, &partner, 10).await, counts, "{at}");
        }
        assert!(!sees(&world, &mail, 10).await);
        // A renewed objection counts anew, also where the first still stands.
        world.test.clock.advance(TimeDelta::minutes(10));
        done(&world.client, &staff.consent, "recordObjection", object(10), "objection { id }").await;
        assert!(!sees(&world, &partner, 10).await);
        world.test.clock.advance(TimeDelta::minutes(10));
        let fresh = newsletter(10, "2026-11-02T09:45:00Z");
        done(&world.client, &staff.consent, "recordConsent", fresh, "consent { id }").await;
        assert!(sees(&world, &partner, 10).await);
        let query = format!("{{ contact(id: \"{}\") {{ objections {{ id endedAt }} }} }}", person(10));
        let open = world.client.data(&staff.dpo, &query).await["contact"]["objections"].clone();
        for open in open
            .as_array()
            .unwrap()
            .iter()
            .filter(|open| open["id"] != objection["objection"]["id"] && open["endedAt"].is_null())
        {
            done(
                &world.client,
                &staff.consent,
                "endObjection",
                json!({ "objectionId": open["id"] }),
                "objection { endedAt }",
            )
            .await;
        }
        let ended = json!({ "objectionId": objection["objection"]["id"] });
        done(&world.client, &staff.consent, "endObjection", ended, "objection { endedAt }").await;
        assert!(sees(&world, &mail, 10).await);
        // By address alone: every contact that has it, as its own or a further one.
        let by_address = json!({ "email": "ANNA@work.example", "purpose": "direct_marketing" });
        let found = done(
            &world.client,
            &staff.consent,
            "recordObjection",
            by_address,
            "objections { purpose { code } }",
        )
        .await;
        assert_eq!(found["objections"], json!([{ "purpose": { "code": "direct_marketing" } }]));
        assert!(!sees(&world, &partner, 1).await);
        // Taken back, it does not revive what it had ended; recorded in error and ended where it began, it never held.
        let query = format!("{{ contact(id: \"{}\") {{ objections {{ id objectedAt }} }} }}", person(1));
        let objection = world.client.data(&staff.dpo, &query).await["contact"]["objections"][0].clone();
        world.test.clock.advance(TimeDelta::minutes(1));
        done(
            &world.client,
            &staff.consent,
            "endObjection",
            json!({ "objectionId": objection["id"] }),
            "objection { endedAt }",
        )
        .await;
        assert!(!sees(&world, &partner, 1).await);
        assert!(sees(&world, &partner, 10).await);
        let error = json!({ "contactId": person(10), "purpose": "newsletter" });
        let error =
            done(&world.client, &staff.consent, "recordObjection", error, "objection { id objectedAt }")
                .await;
        assert!(!sees(&world, &partner, 10).await);
        let void =
            json!({ "objectionId": error["objection"]["id"], "endedAt": error["objection"]["objectedAt"] });
        done(&world.client, &staff.consent, "endObjection", void, "objection { endedAt }").await;
        assert!(sees(&world, &partner, 10).await);
        let nobody = json!({ "email": "nobody@example.org", "purpose": "direct_marketing" });
        // An address that nobody has is kept on the suppression list all the same.
        let payload = "objection { id } objections { id }";
        let kept = done(&world.client, &staff.consent, "recordObjection", nobody, payload).await;
        assert_eq!(kept, json!({ "objection": null, "objections": [] }));
    }
}

#[tokio::test]
async fn a_restriction_closes_the_contact_until_it_is_lifted() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let restrict = |limb: &str| json!({ "contactId": person(1), "limb": limb, "reason": "contested", "plannedUntil": "2026-12-01T00:00:00Z" });
        let payload = "contact { state restrictedAt version restrictions { limb reason plannedUntil liftedAt informedAt } }";
        let restricted = done(&world.client, &staff.desk, "restrictContact", restrict("A"), payload).await;
        assert_eq!(
            restricted["contact"],
            json!({ "state": "RESTRICTED", "restrictedAt": "2026-11-02T09:00:00Z", "version": 2,
                    "restrictions": [{ "limb": "A", "reason": "contested", "plannedUntil": "2026-12-01T00:00:00Z", "liftedAt": null, "informedAt": null }] })
        );
        // For a purpose that is not allowed then, the contact is not there: neither to be read nor to be written.
        assert!(!sees(&world, &staff.support, 1).await);
        for (name, input) in [
            ("updateContact", json!({ "contactId": person(1), "phone": "+49 30 23125 1" })),
            ("addContactPoint", json!({ "contactId": person(1), "kind": "EMAIL", "email": "a@b.example" })),
            ("recordGround", json!({ "contactId": person(1), "purpose": "customer_care" })),
        ] {
            let answer = mutate(&world.client, &staff.support, name, &input, "__typename").await;
            assert_eq!(refusal(&answer, name), "NOT_FOUND");
        }
        // Under purposes that are: rectification, withdrawal, lifting.
        let rectified = json!({ "contactId": person(1), "familyName": "Kohler" });
        done(&world.client, &staff.desk, "updateContact", rectified, "contact { familyName }").await;
        done(
            &world.client,
            &staff.consent,
            "withdrawConsent",
            json!({ "consentId": id(1, 100) }),
            "consent { status }",
        )
        .await;
        done(&world.client, &staff.desk, "restrictContact", restrict("C"), payload).await;
        world.test.clock.advance(TimeDelta::days(40));
        let desk = world.test.caller("privacy_desk", "rights_fulfilment").await;
        let support = world.test.caller("support", "customer_care").await;
        assert!(!sees(&world, &support, 1).await, "it does not end by itself");
        let lift = json!({ "contactId": person(1), "informedAt": "2026-12-10T00:00:00Z" });
        let lifted = done(&world.client, &desk, "liftRestriction", lift, payload).await;
        assert_eq!(lifted["contact"]["state"], "ACTIVE");
        let restrictions = lifted["contact"]["restrictions"].as_array().unwrap();
        assert_eq!(restrictions.len(), 2);
        assert!(restrictions.iter().all(|restriction| restriction["informedAt"] == "2026-12-10T00:00:00Z"));
        assert!(sees(&world, &support, 1).await);
        // What is only kept is not restricted.
        let answer = mutate(
            &world.client,
            &desk,
            "restrictContact",
            &json!({ "contactId": person(11), "limb": "A", "reason": "x" }),
            "__typename",
        )
        .await;
        assert_eq!(refusal(&answer, "restrictContact"), "CONFLICT");
    }
}

#[tokio::test]
async fn consents_that_differ_from_their_events_are_found_and_mended() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let app = &world.test.app;
        // The test world has states without the events that would make them.
        zweck::domain::consents::rebuild(app, "cli:test", false).await.unwrap();
        done(
            &world.client,
            &staff.consent,
            "recordConsent",
            newsletter(7, "2026-11-01T10:00:00Z"),
            "consent { id }",
        )
        .await;
        let clean = zweck::domain::consents::rebuild(app, "cli:test", true).await.unwrap();
        assert!(clean.differing.is_empty());
        let broken = "UPDATE consent SET status = 'WITHDRAWN' WHERE declared_at IS NOT NULL AND contact_id IN (SELECT id FROM contact WHERE given_name = 'Gina') AND purpose_code = 'newsletter'";
        app.db.writer.execute_unprepared(broken).await.unwrap();
        let found = zweck::domain::consents::rebuild(app, "cli:test", true).await.unwrap();
        assert_eq!((found.consents, found.differing.len()), (clean.consents, 1));
        let mended = zweck::domain::consents::rebuild(app, "cli:test", false).await.unwrap();
        // Whoever follows is told with what is mended.
        assert_eq!((mended.differing, mended.unrecorded), (found.differing, 0));
        assert!(zweck::domain::consents::rebuild(app, "cli:test", true).await.unwrap().differing.is_empty());
        let partner = world.test.caller("partner", "newsletter").await;
        assert!(sees(&world, &partner, 7).await);
    }
}

#[tokio::test]
async fn a_published_text_never_changes() {
    for world in worlds().await {
        let app = &world.test.app;
        let mut sources = zweck::policy::Sources::embedded();
        let objects = zweck::registry::policy_objects();
        sources.texts.insert("newsletter/de/2026-2.txt".to_owned(), "Ich willige ein.".to_owned());
        app.policy.reload(&sources, &objects).await.unwrap();
        zweck::domain::purposes::sync(app, "cli:test").await.unwrap();
        let texts = "SELECT COUNT(*) FROM consent_text WHERE purpose_code = 'newsletter'";
        assert_eq!(number(&app.db.writer, texts).await, 3);
        sources.texts.insert("newsletter/de/2026-2.txt".to_owned(), "Ich willige in alles ein.".to_owned());
        app.policy.reload(&sources, &objects).await.unwrap();
        let error = zweck::domain::purposes::sync(app, "cli:test").await.unwrap_err();
        assert!(error.message.contains("newsletter/de/2026-2"), "{error}");
        assert_eq!(number(&app.db.writer, texts).await, 3);
        // Both loads that went through left an entry with both revisions.
        assert_eq!(
            number(&app.db.writer, "SELECT COUNT(*) FROM audit_entry WHERE action = 'loadPolicy'").await,
            2
        );
    }
}
