//! A no is taken also while the audit log cannot be written, by whatever door; its record follows, and nothing else is written.

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use zweck::{
    audit,
    exchange::imports::{ContactImport, Listing, ObjectionImport},
    jobs,
};

use super::{Staff, door::block, mutate, newsletter, person};
use crate::{
    imports_consents,
    imports_objections::{list, run},
    pages::{PagesState, sites},
    reads::{World, worlds},
    support::{
        an_import,
        client::{Caller, Client},
        dump::{assert_same, dump, number},
        import as import_file,
        world::id,
    },
};

const OWED: &str = "SELECT COUNT(*) FROM audit_owed";

fn taken(answer: &Value, name: &str) {
    let extensions = &answer["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["code"], &extensions["outcome"]),
        (&json!("AUDIT_UNAVAILABLE"), &json!("DONE")),
        "{answer}"
    );
    assert_eq!(answer["data"][name], Value::Null);
    // Nothing of the person is told while nobody can record it.
    assert!(!answer.to_string().contains("example.org"), "{answer}");
}

async fn shown(client: &Client, caller: &Caller, number: u128) -> bool {
    let query = format!("{{ contact(id: \"{}\") {{ email }} }}", person(number));
    !client.data(caller, &query).await["contact"].is_null()
}

#[tokio::test]
async fn a_no_is_taken_and_its_record_follows() {
    for world in worlds().await {
        let World { test, client } = &world;
        let (db, staff) = (&test.app.db.writer, Staff::of(test).await);
        let news = test.caller("marketing", "newsletter").await;
        assert!(shown(client, &news, 1).await && shown(client, &news, 10).await);
        // As at the start of a server.
        audit::installation_keys(&test.app).await.unwrap();
        block(test, true).await;
        // A yes, and all else, is not.
        let before = dump(db).await;
        for (name, input) in [
            ("recordConsent", newsletter(3, "2026-11-01T09:00:00Z")),
            ("updateContact", json!({ "contactId": person(1), "notes": "x" })),
            ("openRequest", json!({ "contactId": person(2), "kind": "ACCESS" })),
        ] {
            let caller = if name == "recordConsent" { &staff.consent } else { &staff.desk };
            let answer = mutate(client, caller, name, &input, "__typename").await;
            assert_eq!(super::refusal(&answer, name), "AUDIT_UNAVAILABLE");
            assert_eq!(answer["errors"][0]["extensions"]["outcome"], Value::Null, "{answer}");
        }
        assert_same(&dump(db).await, &before, "nothing is written");
        // By a contact, by an address, by one that nobody has; under a key that makes a repeat safe.
        let input = json!({ "contactId": person(1), "purpose": "newsletter" });
        let body = json!({
            "query": "mutation($input: WithdrawConsentInput!) { withdrawConsent(input: $input) { consent { id status } } }",
            "variables": { "input": input }
        });
        let (_, first) = client.send(&staff.consent, body.clone(), &[("idempotency-key", "no")]).await;
        taken(&serde_json::from_str(&first).unwrap(), "withdrawConsent");
        for input in [
            json!({ "email": "jan@example.org", "purpose": "direct_marketing" }),
            json!({ "email": "nobody@list.example", "purpose": "direct_marketing" }),
        ] {
            taken(
                &mutate(client, &staff.desk, "recordObjection", &input, "objections { id objectedAt }").await,
                "recordObjection",
            );
        }
        // It holds with the next read, and for whoever comes.
        assert!(!shown(client, &news, 1).await && !shown(client, &news, 10).await);
        // Both mailboxes, and the number of the one person who has the first.
        assert_eq!(
            number(db, "SELECT COUNT(*) FROM suppression WHERE purpose_code = 'direct_marketing'").await,
            3
        );
        // What is owed stays until the log takes it.
        let owed = number(db, OWED).await;
        assert!(owed >= 4, "{owed}");
        assert_eq!(audit::write_deferred_entries(&test.app).await.unwrap_err().code.as_str(), "INTERNAL");
        assert_eq!(number(db, OWED).await, owed);
        block(test, false).await;
        let entries = number(db, "SELECT COUNT(*) FROM audit_entry").await;
        jobs::run_once(&test.app, None).await.unwrap();
        assert_eq!(number(db, OWED).await, 0);
        assert_eq!(audit::write_deferred_entries(&test.app).await.unwrap(), 0);
        assert!(number(db, "SELECT COUNT(*) FROM audit_entry").await >= entries + owed);
        // The record tells what every other does.
        let query = format!(
            "{{ auditLog(first: 5, filter: {{ contactId: {{ eq: \"{}\" }} }}) {{ nodes {{ actor action outcome changedFields }} }} }}",
            person(1)
        );
        let log = client.data(&staff.dpo, &query).await;
        let nodes = log["auditLog"]["nodes"].as_array().unwrap();
        let entry =
            nodes.iter().find(|node| node["action"] == "withdrawConsent").unwrap_or_else(|| panic!("{log}"));
        assert_eq!(entry["outcome"], "CHANGED");
        assert!(entry["changedFields"].to_string().contains("Consent.status"), "{entry}");
        let sealed = "SELECT COUNT(*) FROM audit_entry WHERE action = 'withdrawConsent' AND sealed <> '{}'";
        assert_eq!(number(db, sealed).await, 1);
        // A repeat under the key tells what the first could not.
        let (_, again) = client.send(&staff.consent, body, &[("idempotency-key", "no")]).await;
        let again: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again["data"]["withdrawConsent"]["consent"]["status"], "WITHDRAWN", "{again}");
    }
}

/// Keys that cannot be opened keep no no away either; what was declared stands where it was declared.
#[tokio::test]
async fn lost_keys_keep_no_no_away() {
    for world in worlds().await {
        let World { test, client } = &world;
        let (db, staff) = (&test.app.db.writer, Staff::of(test).await);
        let input = json!({ "contactId": person(1), "purpose": "event_invitations" });
        super::done(client, &staff.consent, "withdrawConsent", input, "consents { id }").await;
        db.execute_unprepared("UPDATE subject_key SET wrapped = 'lost' WHERE category = 'consent'")
            .await
            .unwrap();
        let news = test.caller("marketing", "newsletter").await;
        assert!(shown(client, &news, 1).await);
        let input = json!({ "contactId": person(1), "purpose": "newsletter" });
        super::done(client, &staff.consent, "withdrawConsent", input, "consents { id }").await;
        assert!(!shown(client, &news, 1).await);
        // A key that is lost has a successor: the entry is there at once, with its values.
        assert_eq!(audit::write_deferred_entries(&test.app).await.unwrap(), 0);
        let whole = "SELECT COUNT(*) FROM audit_entry WHERE action = 'withdrawConsent' AND sealed LIKE '%\"consent\":\"1:%'";
        assert!(number(db, whole).await > 0);
    }
}

#[tokio::test]
async fn pages_and_files_take_it_too() {
    for site in sites().await {
        let PagesState { test, .. } = &site;
        let db = &test.app.db.writer;
        let jan = site.preference(id(0, 10), "newsletter", "jan@example.org").await;
        let anna = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let ends = "SELECT COUNT(*) FROM consent WHERE purpose_code = 'newsletter' AND status = 'WITHDRAWN'";
        let known = number(db, ends).await;
        let (client, events) = (site.client(), test.caller("marketing", "event_invitations").await);
        assert!(shown(&client, &events, 8).await);
        block(test, true).await;
        let reply = site.post(&format!("/p/{jan}"), &[("List-Unsubscribe", "One-Click")]).await;
        assert_eq!(reply.status, 200);
        let fields = [("action", "withdraw"), ("purpose", "newsletter")];
        let reply = site.post(&format!("/p/{anna}"), &fields).await;
        assert_eq!((reply.status, reply.location()), (303, "?done=withdrawn"));
        assert_eq!(number(db, ends).await, known + 2);
        let text = "email\ngina@example.org\nnobody@list.example\n";
        let (report, _) = run(&test.app, text, &list()).await.unwrap();
        assert!(report.owed && (report.matched, report.unmatched) == (1, 1), "{report}");
        assert!(report.to_string().contains("could not be written"), "{report}");
        // Of consents the noes of a file are, and they come first.
        let consents = "email,purpose,channel,status,declaredAt,textVersion,language,proof,evidence,source\n\
             hans@example.org,newsletter,EMAIL,GRANTED,2026-11-01T10:00:00Z,2026-1,de,signed_paper,folder 9,fair\n\
             hans@example.org,event_invitations,PHONE,WITHDRAWN,2026-11-01T10:00:00Z,,,,,\n";
        let before = dump(db).await["consent_event"].len();
        let refused =
            imports_consents::try_run(&test.app, consents.as_bytes(), &imports_consents::import()).await;
        let refused = refused.map(|done| done.told).unwrap_err();
        assert_eq!(refused.code.as_str(), "AUDIT_UNAVAILABLE");
        assert_eq!(dump(db).await["consent_event"].len(), before + 1);
        assert!(!shown(&client, &events, 8).await);
        // What is nobody's word is no no.
        let bounced = ObjectionImport { kind: Listing::Undeliverable, ..list() };
        let refused = run(&test.app, "email\nhans@example.org\n", &bounced).await;
        assert_eq!(refused.unwrap_err().code.as_str(), "AUDIT_UNAVAILABLE");
        block(test, false).await;
        assert!(audit::write_deferred_entries(&test.app).await.unwrap() >= 4);
        assert_eq!(number(db, OWED).await, 0);
    }
}

/// Opt-outs of contacts are taken alone; the contacts come in with the same file later.
#[tokio::test]
async fn opt_outs_of_contacts_are_taken_alone() {
    for world in worlds().await {
        let World { test, client } = &world;
        let db = &test.app.db.writer;
        audit::installation_keys(&test.app).await.unwrap();
        let news = test.caller("marketing", "newsletter").await;
        assert!(shown(client, &news, 1).await && shown(client, &news, 10).await);
        let import = ContactImport {
            map: ContactImport::map_from(["email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            opt_outs: ContactImport::opt_outs_from(["email=out"]).unwrap(),
            source: "shop".to_owned(),
            ..an_import()
        };
        // In several batches; the last row names nobody.
        let others: String = (0..250).map(|row| format!("{row},p{row}@shop.example,\n")).collect();
        let text = format!(
            "id,mail,out\na,anna@example.org,1\nb,new@shop.example,1\n{others}c,jan@example.org,x\n,,1\n"
        );
        block(test, true).await;
        let before = number(db, "SELECT COUNT(*) FROM contact").await;
        let refused = import_file(&test.app, text.as_bytes(), &import).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "AUDIT_UNAVAILABLE");
        assert!(refused.message.contains("were recorded (3)"), "{}", refused.message);
        assert_eq!(number(db, "SELECT COUNT(*) FROM contact").await, before);
        assert!(!shown(client, &news, 1).await && !shown(client, &news, 10).await);
        // Of whom no record is known the address is listed.
        assert!(number(db, "SELECT COUNT(DISTINCT digest) FROM suppression").await >= 3);
        let owed = number(db, OWED).await;
        assert!(owed >= 3, "{owed}");
        // A file without opt-outs is refused as ever.
        let plain = ContactImport { opt_outs: Vec::new(), ignore: vec!["out".to_owned()], ..import.clone() };
        let refused = import_file(&test.app, text.as_bytes(), &plain).await.unwrap_err();
        assert!(refused.message.contains("nothing was changed"), "{}", refused.message);
        block(test, false).await;
        assert_eq!(audit::write_deferred_entries(&test.app).await.unwrap(), u64::try_from(owed).unwrap());
        let report = import_file(&test.app, text.as_bytes(), &import).await.unwrap();
        assert_eq!((report.imported, report.opted_out, report.noes_not_taken), (253, 3, 1), "{report}");
        assert!(!shown(client, &news, 1).await && !shown(client, &news, 10).await);
    }
}
