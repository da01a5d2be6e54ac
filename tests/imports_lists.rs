//! Lists of others, and mail that came back: they stop what they are about, and are nobody's declaration.

use entity::{
    enums::{StopKind, SuppressionKind},
    objection, suppression,
};
use sea_orm::EntityTrait;
use serde_json::json;
use zweck::{
    app::App,
    exchange::imports::{Listing, ObjectionImport},
};

use crate::{
    imports_objections::{list, run, thrice},
    reads::{World, worlds},
    support::world::id,
    writes::{Staff, done, person},
};

fn of(kind: Listing) -> ObjectionImport {
    ObjectionImport { kind, ..list() }
}

/// What stands against a contact, and for which purpose, on which channel.
async fn stops(app: &App, number: u128) -> Vec<(StopKind, String, Option<String>)> {
    use sea_orm::ActiveEnum;
    let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
    let own = rows.into_iter().filter(|row| row.contact_id == id(0, number) && row.ended_at.is_none());
    let mut all: Vec<_> =
        own.map(|row| (row.kind, row.purpose_code, row.channel.map(|channel| channel.to_value()))).collect();
    all.sort_by_key(|(kind, purpose, channel)| (kind.to_value(), purpose.clone(), channel.clone()));
    all
}

fn blocked(kind: StopKind, channels: &[&str]) -> Vec<(StopKind, String, Option<String>)> {
    let of = |channel: &&str| (kind, "direct_marketing".to_owned(), Some((*channel).to_owned()));
    channels.iter().map(of).collect()
}

async fn visible(World { test, client }: &World, purpose: &str, number: u128) -> bool {
    let caller = test.caller("marketing", purpose).await;
    let query = format!("{{ contact(id: \"{}\") {{ id }} }}", person(number));
    !client.data(&caller, &query).await["contact"].is_null()
}

/// A Robinson list stops what rests on no consent, of records that are there; of nobody else anything is kept.
#[tokio::test]
async fn a_list_of_others_is_matched_and_not_kept() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        let address = json!({ "contactId": person(2), "street": "Königstraße 12", "postalCode": "70173", "city": "Stuttgart" });
        done(&world.client, &staff.desk, "updateContact", address, "contact { id }").await;
        assert!(visible(&world, "existing_customer_mail", 10).await);
        let text = "email,phone,street,postalCode,city,familyName\n\
                    JAN@example.org,,,,,\n\
                    nobody@list.example,,,,,\n\
                    ,030 23125008,,,,\n\
                    ,,Königstr. 12,70173,Stuttgart,Öztürk\n\
                    ,,Königstr. 12,70173,Stuttgart,Nobody\n\
                    ,,Königstr. 12,,,Öztürk\n\
                    no address,,,,,\n";
        let (report, told) = thrice(app, text, &of(Listing::ExternalList)).await;
        assert_eq!(told, ["NO 7 street INVALID_ADDRESS", "NO 8 email INVALID_EMAIL"]);
        assert_eq!((report.matched, report.unmatched, report.rejected), (3, 2, 2), "{report}");
        assert!(report.to_string().contains("not kept"), "{report}");
        assert!(stops(app, 10).await.contains(&blocked(StopKind::ExternalList, &["EMAIL"])[0]));
        assert_eq!(stops(app, 8).await, blocked(StopKind::ExternalList, &["PHONE", "SMS"]));
        assert_eq!(stops(app, 2).await, blocked(StopKind::ExternalList, &["POST"]));
        // Calls and text messages are two; nothing is kept of those who have no record.
        let kept = suppression::Entity::find().all(&app.db.reader).await.unwrap();
        assert_eq!(kept.len(), 4);
        assert!(kept.iter().all(|row| row.kind == SuppressionKind::ExternalList && !row.every_channel));
        // Jan is advertised to by nothing but his consent.
        assert!(!visible(&world, "existing_customer_mail", 10).await);
        assert!(visible(&world, "newsletter", 10).await);
        // His own word is another thing, whatever stands there already.
        let (report, _) = run(app, "email\njan@example.org\n", &list()).await.unwrap();
        assert_eq!((report.matched, report.unchanged), (1, 0), "{report}");
        assert!(!visible(&world, "newsletter", 10).await);
        // Whoever comes with the address meets it too.
        let new = json!({ "familyName": "Neu", "phone": "+49 30 23125008", "source": { "name": "letter" } });
        let made = done(&world.client, &staff.desk, "createContact", new, "contact { id }").await;
        let query = format!("{{ contact(id: {}) {{ blocks {{ kind channel }} }} }}", made["contact"]["id"]);
        let blocks = world.client.data(&staff.desk, &query).await["contact"]["blocks"].clone();
        let on = |channel: &str| json!({ "kind": "EXTERNAL_LIST", "channel": channel });
        assert_eq!(blocks, json!([on("PHONE"), on("SMS")]));
        // No program exports such a list of its own.
        let wrong = ObjectionImport { preset: Some("brevo".to_owned()), ..of(Listing::ExternalList) };
        assert!(run(app, text, &wrong).await.is_err());
        // A yes is none, here as there.
        let (_, told) = run(app, "email,status\ngina@example.org,subscribed\n", &of(Listing::ExternalList))
            .await
            .unwrap();
        assert_eq!(told, ["NO 2 status UNEXPECTED_VALUE"]);
    }
}

/// Mail that came back stops the mailbox until the person says yes anew; nobody has declared anything.
#[tokio::test]
async fn mail_that_came_back_is_no_declaration() {
    for world in worlds().await {
        let app = &world.test.app;
        assert!(visible(&world, "newsletter", 1).await && visible(&world, "event_invitations", 1).await);
        let text = "email,status\n\
                    anna@example.org,hard bounce\n\
                    nobody@list.example,bounced\n\
                    gina@example.org,unsubscribed\n\
                    hans@example.org,delivered\n\
                    ida@example.org,subscribed\n\
                    not an address,bounced\n";
        let (report, told) = thrice(app, text, &of(Listing::Undeliverable)).await;
        assert_eq!(told, ["NO 4 status SAYS_NO", "5 status UNKNOWN_STATUS", "7 email INVALID_EMAIL"]);
        let counts =
            (report.matched, report.unmatched, report.left_out, report.rejected, report.noes_not_taken);
        assert_eq!(counts, (1, 1, 3, 1, 1), "{report}");
        assert_eq!(stops(app, 1).await, blocked(StopKind::Undeliverable, &["EMAIL"]));
        assert_eq!(stops(app, 7).await, []);
        assert_eq!(suppression::Entity::find().all(&app.db.reader).await.unwrap().len(), 1);
        // The mailbox is dead, her number is not.
        assert!(!visible(&world, "newsletter", 1).await);
        assert!(visible(&world, "event_invitations", 1).await);
        // Her consents are as they were, and she is told of no word of hers.
        let staff = Staff::of(&world.test).await;
        let query = format!(
            "{{ contact(id: \"{}\") {{ objections {{ id }} consents {{ nodes {{ status }} }} }} }}",
            person(1)
        );
        let anna = world.client.data(&staff.desk, &query).await["contact"].clone();
        assert_eq!(anna["objections"], json!([]));
        assert_eq!(anna["consents"]["nodes"], json!([{ "status": "GRANTED" }, { "status": "GRANTED" }]));
        // Exports of programs: what came back, and what says no beside it.
        let hubspot = "Email,Portal Bounce,Portal Unsubscribe,Global Bounce\n\
                       bernd@example.org,TRUE,,\n\
                       clara@example.org,,,TRUE\n\
                       gina@example.org,,TRUE,\n\
                       jan@example.org,TRUE,TRUE,\n\
                       ida@example.org,,,\n";
        let by =
            |preset: &str| ObjectionImport { preset: Some(preset.to_owned()), ..of(Listing::Undeliverable) };
        let (report, told) = thrice(app, hubspot, &by("hubspot")).await;
        assert_eq!(told, ["NO 4 - SAYS_NO", "NO 5 - SAYS_NO"]);
        assert_eq!((report.matched, report.left_out), (3, 2), "{report}");
        let mailchimp =
            "Email Address,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE\nhans@example.org,2026-11-01 10:00:00,News\n";
        let (report, told) = thrice(app, mailchimp, &by("mailchimp")).await;
        assert_eq!((report.matched, told), (1, Vec::new()), "{report}");
        let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
        let hans = rows.iter().find(|row| row.contact_id == id(0, 8) && row.kind == StopKind::Undeliverable);
        // Its clock is not known: nowhere it was later.
        assert_eq!(hans.unwrap().objected_at.to_rfc3339(), "2026-11-01T22:00:00+00:00");
        // What says nothing of it is refused.
        for (preset, text) in [
            ("mailchimp", "Email Address,UNSUB_TIME\nhans@example.org,2026-11-01 10:00:00\n"),
            ("brevo", "EMAIL,_BLOCKLISTED\nhans@example.org,email_marketing\n"),
        ] {
            assert!(run(app, text, &by(preset)).await.is_err(), "{preset}");
        }
    }
}

/// Of several addresses of a line none is passed over because another is known.
#[tokio::test]
async fn a_known_address_hides_no_other() {
    for world in worlds().await {
        let app = &world.test.app;
        run(app, "email\nfirst@list.example\n", &list()).await.unwrap();
        let both = "email,phone\nfirst@list.example,+49 30 7770001\n";
        let (report, _) = thrice(app, both, &list()).await;
        assert_eq!((report.unmatched, report.unchanged), (1, 0), "{report}");
        assert_eq!(suppression::Entity::find().all(&app.db.reader).await.unwrap().len(), 2);
        // A channel that was not named before is more than one that was.
        let one = ObjectionImport { channel: Some(entity::enums::Channel::Email), ..list() };
        run(app, "email\nthird@list.example\n", &one).await.unwrap();
        let (report, _) = thrice(app, "email\nthird@list.example\n", &list()).await;
        assert_eq!(report.unmatched, 1, "{report}");
        assert_eq!(run(app, "email\nthird@list.example\n", &one).await.unwrap().0.unchanged, 1);
    }
}
