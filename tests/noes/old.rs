//! A database of version 1: its noes were declared by texts as they were written, and none of them is lost.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{
    consent, contact,
    enums::{Channel, ConsentStatus},
};
use migration::{Migrator, MigratorTrait};
use ring::hmac;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait};
use serde_json::json;
use uuid::Uuid;
use zweck::{
    audit,
    base::identities::{
        Reader,
        first::{address, email_key, phone_key},
    },
    domain::consents::{self, KeyRefreshReport},
};

use super::{contact as made, sees, yes};
use crate::{
    support::{
        app::{TestApp, each},
        client::Client,
        dump::{assert_same, dump},
    },
    writes::{Staff, done},
};

/// As the no was spelt, and the bare address it was meant for.
const NOES: [(&str, &str, &str); 12] = [
    ("EMAIL", "ada1@example.com", "ada1@example.com"),
    ("EMAIL", "Ada2@EXAMPLE.com", "ada2@example.com"),
    ("EMAIL", "<ada3@example.com>", "ada3@example.com"),
    ("EMAIL", "mailto:ada4@example.com", "ada4@example.com"),
    ("EMAIL", "\u{200b}ada5@example.com", "ada5@example.com"),
    ("EMAIL", "ada6@example.com.", "ada6@example.com"),
    ("EMAIL", "Ada Muster <ada7@example.com>", "ada7@example.com"),
    ("PHONE", "0171 2345608", "+49 171 2345608"),
    ("PHONE", "+49 (0) 171 2345609", "+49 171 2345609"),
    ("PHONE", "tel:+49-171-2345610", "+49 171 2345610"),
    ("PHONE", "0171\u{2013}2345611", "+49 171 2345611"),
    ("PHONE", "+49 171 2345612 (privat)", "+49 171 2345612"),
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Makes of the database one of version 1: its schema, its keys, and `NOES` on its list.
async fn age(test: &TestApp) {
    let (app, db) = (&test.app, &test.app.db.writer);
    let contacts = contact::Entity::find().all(db).await.unwrap();
    let bound = consent::Entity::find().all(db).await.unwrap();
    let ring = audit::installation_keys(app).await.unwrap();
    let newer = Migrator::migrations().len() - 12;
    // Blocks and entries of later readers go.
    let run = async |sql: String| {
        db.execute_unprepared(&sql).await.unwrap();
    };
    run("DELETE FROM suppression".to_owned()).await;
    Migrator::down(db, Some(u32::try_from(newer).unwrap())).await.unwrap();
    let uuid = |id: Uuid| match db.get_database_backend() {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("X'{}'", id.simple()),
    };
    let text = |text: Option<String>| text.map_or("NULL".to_owned(), |text| quoted(&text));
    for row in &contacts {
        let parts = [&row.street, &row.postal_code, &row.city, &row.country].map(|part| part.as_deref());
        run(format!(
            "UPDATE contact SET email_key = {}, phone_folded = {}, address_folded = {} WHERE id = {}",
            text(row.email.as_deref().map(email_key)),
            text(row.phone.as_deref().map(phone_key)),
            text(address(parts)),
            uuid(row.id),
        ))
        .await;
        for consent in bound.iter().filter(|consent| consent.contact_id == row.id) {
            let key = match consent.channel {
                Channel::Email => row.email.as_deref().map(email_key),
                Channel::Phone | Channel::Sms => row.phone.as_deref().map(phone_key),
                Channel::Post => address(parts),
            };
            run(format!("UPDATE consent SET bound_address = {} WHERE id = {}", text(key), uuid(consent.id)))
                .await;
        }
    }
    for (channel, spelt, _) in NOES {
        let key = if channel == "EMAIL" { email_key(spelt) } else { phone_key(spelt) };
        let secret = hmac::Key::new(hmac::HMAC_SHA256, ring.suppression.expose_secret());
        let digest = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, format!("{channel}\0{key}").as_bytes()));
        run(format!(
            "INSERT INTO suppression (id, digest, channel, purpose_code, since, source, recorded_by, created_at) VALUES \
             ({}, '{digest}', '{channel}', 'direct_marketing', '2026-10-20 10:00:00+00:00', 'letter', 'cli:test', \
             '2026-10-20 10:00:00+00:00')",
            uuid(app.new_id()),
        ))
        .await;
    }
}

#[tokio::test]
async fn no_no_of_version_1_is_lost() {
    for test in each().await {
        let (app, client, staff) = (&test.app, Client::of(&test), Staff::of(&test).await);
        let (desk, caller) = (&staff.desk, &staff.consent);
        let partner = test.caller("partner", "newsletter").await;
        let calls = test.caller("marketing", "phone_marketing").await;
        let news = ("newsletter", "EMAIL");
        // Two who said no, each with a second record of another person; somebody who did not.
        let mut all = Vec::new();
        for (name, email) in [
            ("Walter", "left@example.org"),
            ("Wilma", "Left@Example.org"),
            ("Otto", "Otto.Ein.Spruch@gmail.com"),
            ("Olga", "ottoeinspruch@gmail.com"),
            ("Petra", "stays@example.org"),
        ] {
            let new = json!({ "givenName": name, "familyName": "Alt", "email": email });
            let id = made(&client, desk, new).await;
            yes(&client, caller, &id, news, "2026-10-01T10:00:00Z").await;
            all.push(id);
        }
        let withdrawn =
            json!({ "contactId": all[0], "purpose": "newsletter", "declaredAt": "2026-10-15T10:00:00Z" });
        done(&client, caller, "withdrawConsent", withdrawn, "__typename").await;
        let objected = json!({ "contactId": all[2], "purpose": "direct_marketing", "declaredAt": "2026-10-15T10:00:00Z" });
        done(&client, caller, "recordObjection", objected, "__typename").await;
        // Addresses of the list on records that are there.
        for (channel, _, bare) in NOES {
            let name = channel.to_lowercase();
            let id =
                made(&client, desk, json!({ "givenName": "Ada", "familyName": "Muster", name: bare })).await;
            if channel == "EMAIL" {
                yes(&client, caller, &id, news, "2026-10-01T10:00:00Z").await;
            } else {
                yes(&client, caller, &id, ("phone_marketing", "PHONE"), "2026-10-01T10:00:00Z").await;
            }
            all.push(id);
        }
        // Consents that are bound to a number and to a postal address.
        let new = json!({ "givenName": "Paul", "familyName": "Alt", "phone": "0170 (765) 4321", "street": "Lange Straße 1", "postalCode": "70173", "city": "Stuttgart", "country": "Germany" });
        let paul = made(&client, desk, new).await;
        yes(&client, caller, &paul, ("phone_marketing", "PHONE"), "2026-10-01T10:00:00Z").await;
        let id: Uuid = paul.parse().unwrap();
        let of = |row: &&consent::Model| row.contact_id == id;
        let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
        let phone = rows.iter().find(of).unwrap().clone();
        let post = consent::Model {
            id: app.new_id(),
            purpose_code: "event_invitations".to_owned(),
            channel: Channel::Post,
            ..phone.clone()
        };
        let post: consent::ActiveModel = sea_orm::IntoActiveModel::into_active_model(post);
        consent::Entity::insert(sea_orm::ActiveModelTrait::reset_all(post))
            .exec_without_returning(&app.db.writer)
            .await
            .unwrap();
        age(&test).await;
        Migrator::up(&app.db.writer, None).await.unwrap();
        let settled = consents::refresh_address_keys(app).await.unwrap();
        assert_eq!((settled.rekeyed, settled.repaired), (u64::try_from(all.len() + 1).unwrap(), 0));

        let mut expected = vec![false; all.len()];
        expected[4] = true;
        assert_eq!(sees(&client, &partner, &all).await, expected, "the newsletter");
        assert_eq!(sees(&client, &calls, &all).await, vec![false; all.len()], "calls");
        for second in [1, 3] {
            let query = format!(
                "{{ contact(id: \"{}\") {{ objections {{ id }} blocks {{ kind }} consents(first: 2) {{ nodes {{ status }} }} }} }}",
                all[second]
            );
            let kept = client.data(desk, &query).await["contact"].clone();
            assert_eq!(kept["objections"], json!([]));
            assert_eq!(kept["blocks"], json!([{ "kind": "BLOCK" }]), "{second}");
            assert_eq!(kept["consents"]["nodes"], json!([{ "status": "GRANTED" }]));
        }
        // The bare address comes on another record; of a name beside an address only a digest is there, so that it is known by who has it.
        for (channel, spelt, bare) in NOES {
            let id = made(
                &client,
                desk,
                json!({ "givenName": "Ada", "familyName": "Muster", channel.to_lowercase(): bare }),
            )
            .await;
            let query = format!("{{ contact(id: \"{id}\") {{ blocks {{ purpose {{ code }} }} }} }}");
            let blocks = client.data(desk, &query).await["contact"]["blocks"].clone();
            let code = json!({ "purpose": { "code": "direct_marketing" } });
            assert!(blocks.as_array().unwrap().contains(&code), "{spelt:?}: {blocks}");
        }
        // What was consented to holds, for the address however it is written.
        assert_eq!(sees(&client, &calls, std::slice::from_ref(&paul)).await, [true]);
        let again = json!({ "contactId": paul, "phone": "+49 170 7654321" });
        done(&client, desk, "updateContact", again, "__typename").await;
        assert_eq!(sees(&client, &calls, std::slice::from_ref(&paul)).await, [true]);
        let row = contact::Entity::find_by_id(id).one(&app.db.reader).await.unwrap().unwrap();
        let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
        for consent in rows.iter().filter(of) {
            let key = if consent.channel == Channel::Post { &row.postal_key } else { &row.phone_key };
            assert_eq!((&consent.bound_address, consent.status), (key, ConsentStatus::Granted));
        }
        assert_eq!(row.key_version, Reader::default().version());
        // Again it is no change.
        let before = dump(&app.db.writer).await;
        assert_eq!(consents::refresh_address_keys(app).await.unwrap(), KeyRefreshReport::default());
        assert_eq!(consents::reconcile(app).await.unwrap(), KeyRefreshReport::default());
        assert_same(&dump(&app.db.writer).await, &before, "settled again");
    }
}
