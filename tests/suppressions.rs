//! The suppression list: what a person declared by an address alone holds for whoever gets that address, and outlives the record.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use entity::{contact, enums::Channel, suppression};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use zweck::{
    app::App,
    audit,
    base::identities::Reader,
    crypto::master_keys::MasterKeys,
    domain::{contacts::Address, suppressions},
    exchange::imports::{ContactImport, Reason},
    policy::Policy,
    registry::{DataCategory, InputKind, InputType, MUTATIONS, Right, Validator},
};

use crate::{
    reads::{World, worlds},
    support::{
        an_import,
        client::{Caller, Client, problems},
        dump::{assert_same, dump, number},
        import as import_file,
        world::id,
    },
    writes::{Staff, done, mutate, newsletter, person, refusal},
};

async fn list(app: &App) -> Vec<suppression::Model> {
    suppression::Entity::find().all(&app.db.reader).await.unwrap()
}

/// Since when an address is on the list for a purpose or its group.
async fn since(
    app: &App,
    policy: &Policy,
    address: &Address,
    purpose: &str,
) -> Option<chrono::DateTime<chrono::Utc>> {
    let ring = audit::installation_keys(app).await.unwrap();
    let group = policy.purpose(purpose).and_then(|purpose| purpose.group.clone());
    let reached = [address.addresses().clone()];
    let found = suppressions::find(&app.db.reader, Some(ring), &app.identity_reader, &reached).await.unwrap();
    let listed = found.for_addresses(&reached[0]).into_iter();
    let meant = listed.filter(|listed| listed.purpose == purpose || Some(&listed.purpose) == group.as_ref());
    meant.map(|listed| listed.since).max()
}

/// A new contact made by the privacy desk; its id.
async fn made(client: &Client, staff: &Staff, values: Value) -> String {
    let mut input = values;
    input["source"] = json!({ "name": "letter" });
    let made = done(client, &staff.desk, "createContact", input, "contact { id }").await;
    made["contact"]["id"].as_str().unwrap().to_owned()
}

/// Objections of a contact: purpose, when, whether from the list.
async fn objections(client: &Client, staff: &Staff, contact: &str) -> Vec<String> {
    let query = format!(
        "{{ contact(id: \"{contact}\") {{ objections {{ purpose {{ code }} objectedAt source endedAt }} }} }}"
    );
    let found = client.data(&staff.desk, &query).await;
    let told = |row: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text(&row["purpose"]["code"]), text(&row["objectedAt"]), text(&row["source"]))
    };
    let mut all: Vec<String> = found["contact"]["objections"].as_array().unwrap().iter().map(told).collect();
    all.sort();
    all
}

/// Blocks of a contact: purpose and since when, each once; that no objection stands there.
async fn blocks(client: &Client, staff: &Staff, contact: &str) -> Vec<String> {
    let query = format!(
        "{{ contact(id: \"{contact}\") {{ objections {{ id }} blocks {{ kind purpose {{ code }} channel since endedAt }} }} }}"
    );
    let found = client.data(&staff.desk, &query).await;
    assert_eq!(found["contact"]["objections"], json!([]), "a declaration of somebody else");
    let told = |row: &Value| {
        assert_eq!(row["kind"], "BLOCK");
        format!("{} {}", row["purpose"]["code"].as_str().unwrap(), row["since"].as_str().unwrap())
    };
    let all: BTreeSet<String> = found["contact"]["blocks"].as_array().unwrap().iter().map(told).collect();
    all.into_iter().collect()
}

/// Declares an objection by address alone, and says what is answered.
async fn object(client: &Client, caller: &Caller, input: Value) -> Value {
    done(client, caller, "recordObjection", input, "objection { id } objections { id }").await
}

const GONE: &str = "gone@example.org";
const PHONE: &str = "+49 30 9999 123";

#[tokio::test]
async fn an_address_that_nobody_has_is_kept_and_cannot_be_read() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        for input in [
            json!({ "email": " Gone@Example.org", "purpose": "direct_marketing", "declaredAt": "2026-10-01T10:00:00Z", "source": "letter" }),
            json!({ "phone": PHONE, "purpose": "phone_marketing", "declaredAt": "2026-10-02T10:00:00Z" }),
        ] {
            let kept = object(&client, &staff.consent, input.clone()).await;
            assert_eq!(kept, json!({ "objection": null, "objections": [] }));
            // A repeat is no second row.
            object(&client, &staff.desk, input).await;
        }
        let rows = list(app).await;
        let told = rows.iter().map(|row| (row.channel, row.purpose_code.as_str(), row.since.to_rfc3339()));
        let mut told: Vec<_> =
            told.map(|(channel, code, since)| format!("{channel:?} {code} {since}")).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "Email direct_marketing 2026-10-01T10:00:00+00:00",
                "Phone phone_marketing 2026-10-02T10:00:00+00:00",
            ]
        );
        // Neither in the table nor anywhere else does the address stand.
        for (table, rows) in dump(&app.db.writer).await {
            for row in rows {
                assert!(!row.to_lowercase().contains("gone@") && !row.contains("9999"), "{table}: {row}");
            }
        }
        // It names no contact; a declaration that comes later stands for the earlier one, never the other way.
        let later =
            json!({ "email": GONE, "purpose": "direct_marketing", "declaredAt": "2026-10-20T10:00:00Z" });
        object(&client, &staff.consent, later).await;
        let earlier =
            json!({ "email": GONE, "purpose": "direct_marketing", "declaredAt": "2026-09-01T10:00:00Z" });
        object(&client, &staff.consent, earlier).await;
        assert_eq!(list(app).await.len(), 2);
        let policy = app.policy.current();
        let since = async |address: &Address, purpose: &str| {
            since(app, &policy, address, purpose).await.map(|since| since.to_rfc3339()[..10].to_owned())
        };
        let reader = Reader::default();
        let (email, phone) =
            (Address::email(&reader, GONE).unwrap(), Address::phone(&reader, PHONE).unwrap());
        for purpose in ["direct_marketing", "newsletter", "existing_customer_mail"] {
            assert_eq!(since(&email, purpose).await.as_deref(), Some("2026-10-20"), "{purpose}");
        }
        assert_eq!(since(&email, "customer_care").await, None);
        assert_eq!(since(&phone, "phone_marketing").await.as_deref(), Some("2026-10-02"));
        assert_eq!(since(&phone, "newsletter").await, None);
        assert_eq!(since(&phone, "direct_marketing").await, None);
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'suppressAddress'";
        assert_eq!(number(&app.db.writer, entries).await, 6);
        let tied = format!("{entries} AND (contact_id IS NOT NULL OR entity_id IS NOT NULL)");
        assert_eq!(number(&app.db.writer, &tied).await, 0);
    }
}

#[tokio::test]
async fn whoever_does_not_see_all_is_told_nothing_of_unknown_addresses() {
    for World { test, client } in worlds().await {
        let mut sources = zweck::policy::Sources::embedded();
        for line in [
            "Mutation.recordObjection, execute",
            "Mutation.withdrawConsent, execute",
            "type:Objection, create",
            "type:Objection, read",
            "type:Consent, read",
            "Contact.phone, read",
            "Contact.email, read",
            "type:Consent, update",
        ] {
            for who in ["role:marketing, purpose:direct_marketing", "role:support, purpose:customer_care"] {
                let line = format!("p, {who}, {line}, allow\n");
                if !sources.policy.contains(&line) {
                    sources.policy.push_str(&line);
                }
            }
        }
        test.app.policy.reload(&sources, &zweck::registry::policy_objects()).await.unwrap();
        let own = test.caller("marketing", "existing_customer_mail").await;
        let news = test.caller("marketing", "newsletter").await;
        let before = dump(&test.app.db.writer).await;
        for address in [json!({ "email": GONE }), json!({ "phone": PHONE })] {
            let mut input = address.clone();
            input["purpose"] = json!("existing_customer_mail");
            let answer = mutate(&client, &own, "recordObjection", &input, "objections { id }").await;
            assert_eq!(refusal(&answer, "recordObjection"), "NOT_FOUND");
            // Under a purpose on consent nobody is found by an address at all.
            input["purpose"] = json!("newsletter");
            let name = address.as_object().unwrap().keys().next().unwrap();
            for mutation in ["recordObjection", "withdrawConsent"] {
                let answer = mutate(&client, &news, mutation, &input, "__typename").await;
                assert_eq!(problems(&answer), [format!("FORBIDDEN_FIELD Contact.{name}")], "{answer}");
            }
        }
        // Consents to other purposes are nobody's to withdraw here.
        let input = json!({ "email": GONE, "purpose": "newsletter" });
        let answer = mutate(&client, &own, "withdrawConsent", &input, "__typename").await;
        assert_eq!(refusal(&answer, "withdrawConsent"), "FORBIDDEN");
        let mut after = dump(&test.app.db.writer).await;
        after.insert("audit_entry".to_owned(), before["audit_entry"].clone());
        assert_same(&after, &before, "a refused declaration");
    }
}

#[tokio::test]
async fn a_withdrawal_by_address_holds_for_all_who_have_it_and_for_those_to_come() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let payload = "consent { id } consents { contact { id } purpose { code } channel status }";
        // Anna has it as a further address.
        let input = json!({ "email": "anna@WORK.example", "purpose": "newsletter", "declaredAt": "2026-11-01T10:00:00Z", "source": "call" });
        let found = done(&client, &staff.consent, "withdrawConsent", input, payload).await;
        assert_eq!(
            found["consents"],
            json!([{ "contact": { "id": person(1) }, "purpose": { "code": "newsletter" }, "channel": "EMAIL", "status": "WITHDRAWN" }])
        );
        // By phone and group, and for nobody at all: each kind on consent, and the group for what rests on none.
        let input =
            json!({ "phone": PHONE, "purpose": "direct_marketing", "declaredAt": "2026-11-01T10:00:00Z" });
        let kept = done(&client, &staff.desk, "withdrawConsent", input, payload).await;
        assert_eq!(kept, json!({ "consent": null, "consents": [] }));
        let mut codes: Vec<String> = list(&test.app).await.into_iter().map(|row| row.purpose_code).collect();
        codes.sort();
        // Of Anna every mailbox: her own, and the further ones.
        let news = ["newsletter"; 4];
        let all =
            [["direct_marketing", "event_invitations"].as_slice(), &news, &["phone_marketing"]].concat();
        assert_eq!(codes, all);
        for (input, place) in [
            (json!({ "email": GONE }), "input.purpose"),
            (json!({ "email": GONE, "phone": PHONE, "purpose": "newsletter" }), "input.phone"),
            (json!({ "email": GONE, "contactId": person(1), "purpose": "newsletter" }), "input.consentId"),
            (json!({ "email": GONE, "consentId": id(1, 100) }), "input.consentId"),
            (json!({ "phone": PHONE, "purpose": "newsletter", "channel": "EMAIL" }), "input.channel"),
            (json!({ "email": "no address", "purpose": "newsletter" }), "input.email"),
            (json!({ "phone": "call me", "purpose": "newsletter" }), "input.phone"),
            (json!({ "email": GONE, "purpose": "customer_care" }), "input.purpose"),
        ] {
            let answer = mutate(&client, &staff.consent, "withdrawConsent", &input, "__typename").await;
            assert_eq!(answer["errors"][0]["extensions"]["inputPath"], place, "{answer}");
            assert_eq!(refusal(&answer, "withdrawConsent"), "BAD_USER_INPUT");
        }
        // No late word of an earlier consent undoes it, a later declaration does.
        let news = test.caller("marketing", "newsletter").await;
        let contact =
            made(&client, &staff, json!({ "familyName": "Neu", "email": "anna@work.example" })).await;
        for (at, opens) in [("2026-10-31T10:00:00Z", false), ("2026-11-01T11:00:00Z", true)] {
            let mut consent = newsletter(1, at);
            consent["contactId"] = json!(contact);
            done(&client, &staff.consent, "recordConsent", consent, "consent { id }").await;
            let seen = client.data(&news, &format!("{{ contact(id: \"{contact}\") {{ id }} }}")).await;
            assert_eq!(!seen["contact"].is_null(), opens, "{at}");
        }
    }
}

/// What a person declared stays when everything about it is gone.
#[tokio::test]
async fn objections_outlive_the_record() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let values = json!({ "familyName": "Weg", "email": GONE, "phone": PHONE, "street": "Gasse 1", "postalCode": "70173", "city": "Stuttgart", "country": "Germany" });
        let contact = made(&client, &staff, values.clone()).await;
        let point = json!({ "contactId": contact, "kind": "EMAIL", "email": "further@example.org" });
        done(&client, &staff.desk, "addContactPoint", point, "contact { id }").await;
        let input = json!({ "contactId": contact, "purpose": "direct_marketing", "declaredAt": "2026-11-01T10:00:00Z" });
        object(&client, &staff.desk, input.clone()).await;
        let ring = audit::installation_keys(app).await.unwrap();
        let of = suppressions::declared_for_contact(
            &app.db.reader,
            ring,
            &app.identity_reader,
            contact.parse().unwrap(),
        )
        .await
        .unwrap();
        let told: Vec<_> = of.iter().map(|(channel, purpose, _)| (*channel, purpose.as_str())).collect();
        let group = "direct_marketing";
        assert_eq!(told, [(Channel::Email, group), (Channel::Phone, group), (Channel::Post, group)]);
        // One that is no advertising is of the record alone.
        let care = json!({ "contactId": contact, "purpose": "business_contact" });
        object(&client, &staff.desk, care).await;
        assert_eq!(list(app).await.len(), 4);
        let columns = crate::database::live(&app.db.writer).await;
        assert!(columns.contains("suppression.digest"));
        assert!(!columns.contains("suppression.contact_id"));
        let text = dump(&app.db.writer).await["suppression"].join("\n");
        assert!(!text.contains(&contact) && !text.contains(&contact.replace('-', "").to_uppercase()));
        let backend = app.db.writer.get_database_backend();
        let of_contact = match backend {
            sea_orm::DbBackend::Postgres => format!("'{contact}'"),
            _ => format!("X'{}'", contact.replace('-', "")),
        };
        for table in ["objection", "contact_point", "provenance", "contact"] {
            let column = if table == "contact" { "id" } else { "contact_id" };
            let sql = format!("DELETE FROM {table} WHERE {column} = {of_contact}");
            assert!(app.db.writer.execute_unprepared(&sql).await.unwrap().rows_affected() > 0, "{table}");
        }
        assert_eq!(list(app).await.len(), 4);
        for (number, values) in [
            json!({ "familyName": "Neu", "email": GONE }),
            json!({ "familyName": "Neu", "phone": PHONE }),
            json!({ "familyName": "Neu", "email": "FURTHER@example.org" }),
            // Who has the same name behind the same door; the neighbours are not meant.
            json!({ "familyName": "WEG", "street": "Gasse 1", "postalCode": "70173", "city": "Stuttgart", "country": "Germany" }),
            values.clone(),
        ]
        .into_iter()
        .enumerate()
        {
            let contact = made(&client, &staff, values).await;
            assert_eq!(
                blocks(&client, &staff, &contact).await,
                ["direct_marketing 2026-11-01T10:00:00Z"],
                "{number}"
            );
        }
        let mut neighbour = values;
        for (name, value) in [("familyName", json!("Neu")), ("email", json!(null)), ("phone", json!(null))] {
            neighbour[name] = value;
        }
        neighbour.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let neighbour = made(&client, &staff, neighbour).await;
        assert!(blocks(&client, &staff, &neighbour).await.is_empty());
    }
}

/// Whether an input takes an address.
fn takes_address(ty: &InputType) -> bool {
    ty.all().iter().any(|field| match (field.kind, field.right) {
        (InputKind::Object(nested), _) => takes_address(nested),
        (
            InputKind::Text(Validator::Email | Validator::Phone | Validator::Mailboxes | Validator::Numbers),
            _,
        ) => true,
        (_, Some(Right::OnField(_, _, field))) => {
            matches!(field.category, DataCategory::Email | DataCategory::Phone | DataCategory::Postal)
        }
        _ => false,
    })
}

/// What only separates the digits of a number does not make another of it.
#[tokio::test]
async fn a_number_is_found_however_it_is_written() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let contact =
            made(&client, &staff, json!({ "familyName": "Neu", "phone": "+49 (170) 765/4321" })).await;
        for (index, written) in ["+49 170 7654321", "0049 170 765-4321"].into_iter().enumerate() {
            let purpose = ["phone_marketing", "direct_marketing"][index];
            let told = object(&client, &staff.consent, json!({ "phone": written, "purpose": purpose })).await;
            assert_eq!(told["objections"].as_array().unwrap().len(), 1, "{written}");
        }
        assert_eq!(objections(&client, &staff, &contact).await.len(), 2);
        // And so it is when the number comes again.
        let again = made(&client, &staff, json!({ "familyName": "Neu", "phone": "+491707654321" })).await;
        assert_eq!(blocks(&client, &staff, &again).await.len(), 2);
    }
}

/// One person, one mailbox, two records: who objects by the one is left alone under the other.
#[tokio::test]
async fn an_objection_holds_for_every_record_of_the_mailbox() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let one = made(&client, &staff, json!({ "familyName": "Neu", "email": "twice@example.org" })).await;
        let other = made(&client, &staff, json!({ "familyName": "Neu", "email": "Twice@Example.org" })).await;
        object(&client, &staff.consent, json!({ "contactId": one, "purpose": "direct_marketing" })).await;
        assert_eq!(objections(&client, &staff, &one).await.len(), 1);
        let carried = blocks(&client, &staff, &other).await;
        assert!(carried.len() == 1 && carried[0].starts_with("direct_marketing "), "{carried:?}");
    }
}

/// Every way by which an address can come to a contact is followed here: a mutation that takes an address and is not known to
/// this test fails it.
#[tokio::test]
async fn no_way_of_an_address_passes_the_list() {
    let taking: BTreeSet<&str> = MUTATIONS
        .iter()
        .filter(|mutation| {
            let whole = mutation.requires_full_access.is_some_and(|object| object.name == "Contact");
            whole || takes_address(mutation.input)
        })
        .map(|mutation| mutation.name)
        .collect();
    let brings = ["addContactPoint", "createContact", "mergeContacts", "updateContact"];
    // They name contacts by an address, and bring none.
    let names = ["recordObjection", "withdrawConsent"];
    // It brings one with the person's own confirmation, followed in `signups`.
    let confirmed = ["requestConsent"];
    assert_eq!(taking, brings.into_iter().chain(names).chain(confirmed).collect());
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let listed = ["direct_marketing 2026-10-01T10:00:00Z"];
        let other = json!({ "familyName": "Neu", "email": "other@example.org" });
        let early =
            made(&client, &staff, json!({ "familyName": "Frueh", "email": GONE, "phone": PHONE })).await;
        for (name, address) in [("email", GONE), ("phone", PHONE)] {
            let at = "2026-10-01T10:00:00Z";
            // No objection of those who have it is wanted here: it is taken back where it began.
            let input = json!({ name: address, "purpose": "direct_marketing", "declaredAt": at });
            let kept = object(&client, &staff.consent, input).await;
            let end = json!({ "objectionId": kept["objection"]["id"], "endedAt": at });
            done(&client, &staff.consent, "endObjection", end, "objection { id }").await;
        }
        for (name, value) in [("email", "GONE@example.org"), ("phone", PHONE)] {
            let created = made(&client, &staff, json!({ "familyName": "Neu", name: value })).await;
            assert_eq!(blocks(&client, &staff, &created).await, listed, "createContact {name}");
            let updated = made(&client, &staff, other.clone()).await;
            let input = json!({ "contactId": updated, name: value });
            done(&client, &staff.desk, "updateContact", input.clone(), "contact { id }").await;
            done(&client, &staff.desk, "updateContact", input, "contact { id }").await;
            assert_eq!(blocks(&client, &staff, &updated).await, listed, "updateContact {name}");
            let pointed = made(&client, &staff, other.clone()).await;
            let input = json!({ "contactId": pointed, "kind": name.to_uppercase(), name: value });
            done(&client, &staff.desk, "addContactPoint", input.clone(), "contact { id }").await;
            done(&client, &staff.desk, "addContactPoint", input, "contact { id }").await;
            assert_eq!(blocks(&client, &staff, &pointed).await, listed, "addContactPoint {name}");
        }
        // Merged with one that had the address before it was on the list, whose own objection was taken back.
        let merged = made(&client, &staff, other.clone()).await;
        let db = &test.app.db.writer;
        db.execute_unprepared("DELETE FROM objection WHERE objected_at = ended_at").await.unwrap();
        let input = json!({ "contactId": merged, "duplicateId": early });
        done(&client, &staff.desk, "mergeContacts", input, "contact { id }").await;
        assert_eq!(blocks(&client, &staff, &merged).await, listed, "mergeContacts");
        // What the person took back does not come again by what else is changed.
        let query = format!("{{ contact(id: \"{merged}\") {{ blocks {{ id endedAt }} }} }}");
        let all = client.data(&staff.desk, &query).await["contact"]["blocks"].clone();
        for block in all.as_array().unwrap() {
            let end = json!({ "blockId": block["id"] });
            done(&client, &staff.desk, "liftBlock", end, "block { endedAt }").await;
        }
        let again =
            json!({ "contactId": merged, "kind": "EMAIL", "email": "gone@example.org", "label": "work" });
        done(&client, &staff.desk, "addContactPoint", again, "contact { id }").await;
        let after = client.data(&staff.desk, &query).await["contact"]["blocks"].clone();
        assert_eq!(after.as_array().unwrap().len(), all.as_array().unwrap().len());
        assert!(after.as_array().unwrap().iter().all(|block| !block["endedAt"].is_null()), "{after}");
        // By a file.
        let import = ContactImport {
            map: ContactImport::map_from(["email=mail", "phone:mobile=mobile", "familyName=name"]).unwrap(),
            ..an_import()
        };
        let file = format!(
            "name,mail,mobile\nDatei,{GONE},\nDatei2,a@b.example,{PHONE}\nDatei3,c@d.example,+49 30 1\n"
        );
        let report = import_file(&test.app, file.as_bytes(), &import).await.unwrap();
        assert_eq!((report.imported, report.problems.len()), (3, 0), "{report}");
        for (name, expected) in [("Datei", 1), ("Datei2", 1), ("Datei3", 0)] {
            let rows = contact::Entity::find().all(&test.app.db.reader).await.unwrap();
            let row = rows.iter().find(|row| row.family_name.as_deref() == Some(name)).unwrap();
            assert_eq!(blocks(&client, &staff, &row.id.to_string()).await.len(), expected, "{name}");
        }
        let entries =
            "SELECT COUNT(*) FROM audit_entry WHERE entity_type = 'Block' AND action = 'importContact'";
        // One mailbox; calls and text messages of one number.
        assert_eq!(number(db, entries).await, 3);
    }
}

#[tokio::test]
async fn nobody_is_kept_for_advertising_alone_against_the_list() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let at = json!("2026-10-01T10:00:00Z");
        object(
            &client,
            &staff.consent,
            json!({ "email": GONE, "purpose": "direct_marketing", "declaredAt": at }),
        )
        .await;
        object(
            &client,
            &staff.consent,
            json!({ "phone": PHONE, "purpose": "existing_customer_mail", "declaredAt": at }),
        )
        .await;
        let new = |values: &Value, purpose: &str| {
            let mut input = values.clone();
            input["familyName"] = json!("Neu");
            input["source"] = json!({ "name": "list" });
            input["ground"] = json!({ "purpose": purpose, "reference": "four conditions" });
            input
        };
        let (mail, phone) = (json!({ "email": GONE }), json!({ "phone": PHONE }));
        let before = dump(&app.db.writer).await;
        for (values, purpose, place) in [
            (&mail, "existing_customer_mail", "input.email"),
            (&mail, "direct_mail", "input.email"),
            (&phone, "existing_customer_mail", "input.phone"),
        ] {
            let answer =
                mutate(&client, &staff.desk, "createContact", &new(values, purpose), "contact { id }").await;
            assert_eq!(refusal(&answer, "createContact"), "BAD_USER_INPUT");
            assert_eq!(answer["errors"][0]["extensions"]["inputPath"], place);
            assert!(!answer.to_string().contains("gone"), "{answer}");
        }
        assert_same(&dump(&app.db.writer).await, &before, "a refused contact");
        for (values, purpose) in [(&mail, "customer_care"), (&phone, "direct_mail")] {
            done(&client, &staff.desk, "createContact", new(values, purpose), "contact { id }").await;
        }
        let mut import = ContactImport {
            map: ContactImport::map_from(["email=mail", "phone=phone", "familyName=name"]).unwrap(),
            external_id: Some("id".to_owned()),
            source: "list".to_owned(),
            purpose: "existing_customer_mail".to_owned(),
            dry_run: true,
            ..an_import()
        };
        let file =
            format!("id,name,mail,phone\n1,A,{GONE},\n2,B,b@example.org,\n3,C,,{PHONE}\n4,D,,+49 30 4\n");
        let before = dump(&app.db.writer).await;
        for _ in 0..2 {
            let report = import_file(app, file.as_bytes(), &import).await.unwrap();
            let refused = [(2, None, Reason::Suppressed), (4, None, Reason::Suppressed)];
            assert_eq!(
                (report.imported, report.rejected, report.told()),
                (2, 2, refused.to_vec()),
                "{report}"
            );
            if import.dry_run {
                assert_same(&dump(&app.db.writer).await, &before, "a trial");
            }
            import.dry_run = false;
        }
        let again = import_file(app, file.as_bytes(), &import).await.unwrap();
        assert_eq!((again.imported, again.unchanged, again.rejected), (0, 2, 2));
        assert!(again.to_string().contains("SUPPRESSED"));
        assert!(serde_json::to_string(&again).unwrap().contains("\"SUPPRESSED\""));
        // The list alone stands in the way of no other purpose.
        import.purpose = "customer_care".to_owned();
        let report = import_file(app, file.as_bytes(), &import).await.unwrap();
        assert_eq!((report.imported, report.rejected), (2, 0), "{report}");
    }
}

/// Who may not read objections learns nothing of the list by what it writes.
#[tokio::test]
async fn the_list_is_not_told_by_writing() {
    let mut answers: Vec<Vec<Value>> = Vec::new();
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        for listed in [false, true] {
            if listed {
                for address in [json!({ "email": GONE }), json!({ "phone": PHONE })] {
                    // What is no advertising stands on no list.
                    for purpose in ["direct_marketing", "newsletter"] {
                        let mut input = address.clone();
                        input["purpose"] = json!(purpose);
                        object(&client, &staff.consent, input).await;
                    }
                }
            }
            let mut told = Vec::new();
            for (caller, purpose) in [(&staff.support, "customer_care"), (&staff.sales, "pre_contract")] {
                let payload = "contact { givenName email phone version state contactPoints { email phone } }";
                for values in [json!({ "email": GONE }), json!({ "phone": PHONE })] {
                    let mut new = values.clone();
                    new["source"] = json!({ "name": "call" });
                    new["ground"] = json!({ "purpose": purpose, "reference": "x" });
                    told.push(mutate(&client, caller, "createContact", &new, payload).await);
                    let id =
                        json!({ "familyName": "Neu", "source": { "name": "call" }, "ground": new["ground"] });
                    let id = done(&client, caller, "createContact", id, "contact { id }").await;
                    let mut change = values.clone();
                    change["id"] = id["contact"]["id"].clone();
                    told.push(mutate(&client, caller, "updateContact", &change, payload).await);
                    let mut point = values;
                    point["contactId"] = id["contact"]["id"].clone();
                    point["kind"] = json!(if point["email"].is_null() { "PHONE" } else { "EMAIL" });
                    told.push(mutate(&client, caller, "addContactPoint", &point, payload).await);
                    let query =
                        format!("{{ contact(id: {}) {{ email phone version }} }}", id["contact"]["id"]);
                    told.push(client.ask(caller, &query).await);
                }
            }
            answers.push(told);
        }
    }
    for pair in answers.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert!(answers.len() >= 2 && answers[0].iter().any(|answer| answer.get("errors").is_none()));
}

#[tokio::test]
async fn a_new_master_key_recognises_what_was_listed_under_the_old_one() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        object(&client, &staff.consent, json!({ "email": GONE, "purpose": "direct_marketing" })).await;
        let before = list(&test.app).await;
        let open = async |keys: MasterKeys| {
            let db = zweck::db::Db::connect(&test.url, 2).await.unwrap();
            let policy = zweck::policy::PolicyHandle::new(test.app.policy.current());
            App::new(db, policy, test.clock.clone(), keys, zweck::auth::oidc::Issuers::default())
        };
        let rotating = open(MasterKeys::with_previous([8; 32], vec![[7; 32]])).await;
        assert!(audit::rotate_master_key(&rotating, "cli:test").await.unwrap().rewrapped > 0);
        let app = std::sync::Arc::new(open(MasterKeys::new([8; 32])).await);
        assert_eq!(list(&app).await, before);
        let mailbox = Address::email(&Reader::default(), GONE).unwrap();
        let found = since(&app, &app.policy.current(), &mailbox, "newsletter").await;
        assert_eq!(found, Some(before[0].since));
        // What is declared again finds its row.
        test.clock.advance(TimeDelta::minutes(1));
        let client = Client::over(app.clone());
        object(&client, &staff.consent, json!({ "email": GONE, "purpose": "direct_marketing" })).await;
        let after = list(&app).await;
        assert_eq!((after.len(), &after[0].digest), (1, &before[0].digest));
        assert_eq!(after[0].since, before[0].since + TimeDelta::minutes(1));
    }
}

/// Two at a time on one address: one row, and both are answered.
#[tokio::test]
async fn declarations_at_the_same_time_make_one_row() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (client, caller) = (client.clone(), staff.consent.clone());
            tasks.spawn(async move {
                object(&client, &caller, json!({ "email": GONE, "purpose": "direct_marketing" })).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap(), json!({ "objection": null, "objections": [] }));
        }
        assert_eq!(list(&test.app).await.len(), 1);
        let made = "SELECT COUNT(*) FROM audit_entry WHERE action = 'makeKeys' AND outcome = 'CHANGED'";
        assert_eq!(number(&test.app.db.writer, made).await, 1);
    }
}
