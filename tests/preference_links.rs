//! Links to the pages of persons: for whom they are, who gets them, and where they do not go.

use std::sync::Arc;

use chrono::TimeDelta;
use entity::audit_entry;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use zweck::{
    app::App,
    audit,
    auth::{actor::Actor, oidc::Issuers},
    base::error::Error,
    config::public_pages::PublicPages,
    crypto::{
        installation_keys::InstallationKeys,
        link_tokens::{self, Preference},
        master_keys::MasterKeys,
    },
    db::Db,
    domain::{access_tokens, contacts},
    exchange::{
        exports::{self, Format},
        imports::{self, ContactImport, ReadOptions},
    },
    graphql::Pipeline,
    policy::PolicyHandle,
};

use crate::{
    support::{
        an_import,
        app::{TestApp, each},
        client::{Caller, Client, problems},
        import,
        world::{id, persons, seed},
    },
    writes::{Staff, done, person},
};

const BASE: &str = "https://crm.example/p/";

/// The worlds of other tests, with public pages.
async fn worlds() -> Vec<(TestApp, Client)> {
    let mut worlds = Vec::new();
    for mut test in each().await {
        seed(&test.app.db.writer, &persons()).await;
        let policy = PolicyHandle::new(test.app.policy.current());
        let db = Db::connect(&test.url, 4).await.unwrap();
        let app = App::new(db, policy, test.clock.clone(), MasterKeys::new([7; 32]), Issuers::default());
        let pages =
            PublicPages { public_url: Some("https://crm.example".to_owned()), ..PublicPages::default() };
        test.app = Arc::new(app.with_pages(pages));
        let client = Client::of(&test);
        worlds.push((test, client));
    }
    worlds
}

/// What a link opens.
fn opened(ring: &InstallationKeys, url: &Value) -> Preference {
    let token = url.as_str().unwrap().strip_prefix(BASE).unwrap();
    link_tokens::open_preference(ring, token).unwrap()
}

fn of(number: u128) -> String {
    format!("{{ contact(id: \"{}\") {{ preferenceUrl }} }}", person(number))
}

#[tokio::test]
async fn a_link_is_of_one_person_purpose_and_address() {
    for (test, client) in worlds().await {
        let ring = audit::installation_keys(&test.app).await.unwrap();
        for (role, purpose, number, email) in [
            ("marketing", "newsletter", 1, "anna@example.org"),
            ("partner", "newsletter", 10, "jan@example.org"),
            ("marketing", "event_invitations", 7, "gina@example.org"),
            ("marketing", "existing_customer_mail", 10, "jan@example.org"),
            ("privacy_desk", "rights_fulfilment", 5, "emil@example.org"),
        ] {
            let caller = test.caller(role, purpose).await;
            let url = client.data(&caller, &of(number)).await["contact"]["preferenceUrl"].clone();
            let expected = Preference {
                contact: id(0, number),
                purpose: purpose.to_owned(),
                mailbox: link_tokens::Mailbox::Key(email.to_owned()),
            };
            assert_eq!(opened(ring, &url), expected, "{role} {purpose}");
            // The same tomorrow.
            test.clock.advance(TimeDelta::days(1));
            assert_eq!(client.data(&caller, &of(number)).await["contact"]["preferenceUrl"], url);
        }
        // Hans has consented to calls alone: nothing is mailed to him, and he is counted among those kept back.
        let caller = test.caller("marketing", "event_invitations").await;
        let answer = client.ask(&caller, "{ contacts { nodes { id email preferenceUrl } } }").await;
        let nodes = answer["data"]["contacts"]["nodes"].as_array().unwrap();
        let hans = nodes.iter().find(|node| node["id"] == json!(person(8))).unwrap();
        assert_eq!((&hans["email"], &hans["preferenceUrl"]), (&Value::Null, &Value::Null));
        assert!(nodes.iter().all(|node| node["email"].is_null() == node["preferenceUrl"].is_null()));
        let kept = answer["extensions"]["withheld"].as_array().unwrap();
        let counts = |coordinate: &str| {
            kept.iter().find(|kept| kept["coordinate"] == coordinate).unwrap()["count"].clone()
        };
        assert_eq!(counts("Contact.preferenceUrl"), counts("Contact.email"));
        // Without an address there is none; another address makes another link.
        let staff = Staff::of(&test).await;
        let phoned = json!({ "familyName": "Ohne", "phone": "+49 30 111", "source": { "name": "letter" } });
        let made = done(&client, &staff.desk, "createContact", phoned, "contact { id preferenceUrl }").await;
        assert_eq!(made["contact"]["preferenceUrl"], Value::Null);
        let mailed = json!({ "contactId": made["contact"]["id"], "email": "ohne@example.org" });
        let first =
            done(&client, &staff.desk, "updateContact", mailed.clone(), "contact { preferenceUrl }").await;
        let moved = json!({ "contactId": made["contact"]["id"], "email": "mit@example.org" });
        let second = done(&client, &staff.desk, "updateContact", moved, "contact { preferenceUrl }").await;
        assert_ne!(first, second);
        assert_ne!(
            opened(ring, &first["contact"]["preferenceUrl"]).mailbox,
            opened(ring, &second["contact"]["preferenceUrl"]).mailbox
        );
        // No entry of the audit log has it among what changed.
        for entry in audit_entry::Entity::find().all(&test.app.db.reader).await.unwrap() {
            assert!(!entry.changed_fields.contains("preferenceUrl"), "{}", entry.action);
        }
    }
}

#[tokio::test]
async fn who_only_watches_gets_no_link_and_no_way_leads_to_one() {
    for (test, client) in worlds().await {
        for (role, purpose) in [
            ("dpo", "rights_fulfilment"),
            ("marketing", "direct_mail"),
            ("support", "customer_care"),
            ("marketing", "consent_management"),
        ] {
            let caller = test.caller(role, purpose).await;
            let answer = client.ask(&caller, "{ contacts { nodes { id preferenceUrl } } }").await;
            assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Contact.preferenceUrl"], "{role} {purpose}");
            assert!(!answer.to_string().contains(BASE));
        }
        // Neither of both roles together: the denial beats.
        let both = test.token(&["dpo", "privacy_desk"], &["rights_fulfilment"]).await;
        let both = Caller { token: both, purpose: "rights_fulfilment".to_owned() };
        assert_eq!(problems(&client.ask(&both, &of(1)).await), ["FORBIDDEN_FIELD Contact.preferenceUrl"]);
        let partner = test.caller("partner", "newsletter").await;
        for query in [
            "{ contacts(filter: { preferenceUrl: { eq: \"x\" } }) { nodes { id } } }",
            "{ contacts(orderBy: [{ field: PREFERENCE_URL, direction: ASC }]) { nodes { id } } }",
        ] {
            assert_eq!(problems(&client.ask(&partner, query).await), ["BAD_USER_INPUT -"], "{query}");
        }
        // Once withdrawn, the contact and its link are gone with the next read.
        let staff = Staff::of(&test).await;
        assert!(client.data(&partner, &of(1)).await["contact"]["preferenceUrl"].is_string());
        let withdrawal = json!({ "contactId": person(1), "purpose": "newsletter" });
        done(&client, &staff.consent, "withdrawConsent", withdrawal, "__typename").await;
        assert_eq!(client.data(&partner, &of(1)).await["contact"], Value::Null);
    }
    // Where there are no pages there are no links.
    for (mut test, _) in worlds().await {
        let partner = test.caller("partner", "newsletter").await;
        let policy = PolicyHandle::new(test.app.policy.current());
        let db = Db::connect(&test.url, 4).await.unwrap();
        test.app =
            Arc::new(App::new(db, policy, test.clock.clone(), MasterKeys::new([7; 32]), Issuers::default()));
        let data = Client::of(&test).data(&partner, &of(1)).await;
        assert_eq!(data["contact"]["preferenceUrl"], Value::Null);
    }
}

async fn actor(app: &App, caller: &Caller) -> Result<Actor, Error> {
    let credential = access_tokens::authenticate(app, caller.token.expose_secret()).await?;
    Actor::new(app.policy.current(), &credential, Some(&caller.purpose), "test".to_owned())
}

async fn export(test: &TestApp, caller: &Caller, format: Format) -> String {
    let mut out = Vec::new();
    let engine = Pipeline::new().unwrap();
    let caller = async || actor(&test.app, caller).await;
    exports::contacts(&test.app, &engine, caller, format, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn exports_bring_links_along_and_imports_leave_them() {
    for (test, _) in worlds().await {
        let ring = audit::installation_keys(&test.app).await.unwrap();
        let partner = test.caller("partner", "newsletter").await;
        let lines = export(&test, &partner, Format::JsonLines).await;
        assert_eq!(lines.lines().count(), 2);
        for line in lines.lines() {
            let contact: Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                opened(ring, &contact["preferenceUrl"]).contact.to_string(),
                contact["id"].as_str().unwrap()
            );
        }
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let csv = export(&test, &desk, Format::Csv).await;
        assert!(csv.lines().next().unwrap().contains("\"preferenceUrl\"") && csv.contains(BASE));
        assert!(!export(&test, &desk, Format::VCard).await.contains(BASE));
        // Who may not read them exports without.
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        assert!(!export(&test, &dpo, Format::Csv).await.contains("preferenceUrl"));
        // Our own file comes back; a link is no value of anybody.
        let other = crate::support::database::TestDatabase::sqlite().await;
        let other = TestApp::over(other).await;
        let (map, external_id) = ContactImport::preset(imports::OWN).unwrap();
        let optional = map.iter().map(|(target, _)| target.clone()).collect();
        let read_options = ReadOptions { optional, is_native: true, ..ReadOptions::default() };
        let own = ContactImport {
            map,
            external_id,
            source: "other database".to_owned(),
            read_options,
            ..an_import()
        };
        let report = import(&other.app, csv.as_bytes(), &own).await.unwrap();
        assert!(report.imported > 5, "{report}");
        assert!(report.left_out.keys().all(|name| !name.contains("preference")), "{report}");
    }
}

/// Who became part of whom is what merges say, not what an import calls its source.
#[tokio::test]
async fn an_import_leads_no_link_to_anybody_else() {
    for (test, client) in worlds().await {
        let ring = audit::installation_keys(&test.app).await.unwrap();
        let partner = test.caller("partner", "newsletter").await;
        let url = client.data(&partner, &of(1)).await["contact"]["preferenceUrl"].clone();
        let contact = opened(ring, &url).contact;
        let file = format!("Id,First,Mail\n{contact},Mallory,mallory@example.org\n");
        let forged = ContactImport { source: "mergeContacts".to_owned(), ..an_import() };
        let forged = ContactImport {
            map: ContactImport::map_from(["givenName=First", "email=Mail"]).unwrap(),
            external_id: Some("Id".to_owned()),
            ..forged
        };
        let report = import(&test.app, file.as_bytes(), &forged).await.unwrap();
        assert_eq!(report.imported, 1, "{report}");
        assert_eq!(contacts::merge::surviving_id(&test.app.db.reader, contact).await.unwrap(), contact);
        // Nor does it stand in the way of a merge.
        let staff = Staff::of(&test).await;
        let pair = json!({ "contactId": person(10), "duplicateId": contact });
        done(&client, &staff.desk, "mergeContacts", pair, "contact { id }").await;
        assert_eq!(contacts::merge::surviving_id(&test.app.db.reader, contact).await.unwrap(), id(0, 10));
    }
}

/// A link goes on to lead to the person however often records become one, and a database of before knows whom it led to.
#[tokio::test]
async fn links_follow_a_chain_of_merges_also_of_before() {
    use migration::{Migrator, MigratorTrait};
    for (test, client) in worlds().await {
        let staff = Staff::of(&test).await;
        let db = &test.app.db.writer;
        for (stays, goes) in [(8, 7), (9, 8), (10, 9), (3, 2)] {
            let pair = json!({ "contactId": person(stays), "duplicateId": person(goes) });
            done(&client, &staff.desk, "mergeContacts", pair, "contact { id }").await;
            test.clock.advance(TimeDelta::minutes(1));
        }
        let led = async || {
            let mut led = Vec::new();
            for number in [7, 8, 9, 10, 1, 2] {
                led.push(contacts::merge::surviving_id(db, id(0, number)).await.unwrap());
            }
            led
        };
        let expected = [10, 10, 10, 10, 1, 3].map(|number| id(0, number));
        assert_eq!(led().await, expected);
        // Imports of before that say the same of somebody who is there, of no contact's id, and of one that there never was.
        for (number, told) in [(101, person(1)), (102, "7".to_owned()), (103, id(0, 99).to_string())] {
            let forged = entity::provenance::ActiveModel {
                id: Set(id(9, number)),
                contact_id: Set(id(0, 4)),
                source: Set("mergeContacts".to_owned()),
                external_id: Set(Some(told)),
                collected_at: Set(None),
                recorded_at: Set(test.app.now()),
                recorded_by: Set("cli:import".to_owned()),
                fields: Set("[]".to_owned()),
                informed_at: Set(None),
                notice_version: Set(None),
                import_id: Set(None),
            };
            entity::provenance::Entity::insert(forged).exec_without_returning(db).await.unwrap();
        }
        let steps =
            Migrator::migrations().iter().rev().position(|one| one.name().contains("_000015_")).unwrap();
        Migrator::down(db, Some(u32::try_from(steps).unwrap() + 1)).await.unwrap();
        Migrator::up(db, None).await.unwrap();
        assert_eq!(led().await, expected);
        let rows = entity::contact_merge::Entity::find().all(db).await.unwrap();
        // Of an id that was never anybody's no link was ever made.
        assert_eq!(rows.len(), 5, "{rows:?}");
    }
}
