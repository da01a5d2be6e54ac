//! The page of one person is complete: every purpose in use, on which basis, since when, and who else may see the data of it.

use chrono::TimeDelta;
use entity::{enums::RecipientKind, ground};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;
use zweck::{
    audit::{self, Author},
    domain::{
        access_tokens::NewToken,
        recipients::{self, NewRecipient},
    },
};

use super::{PagesState, sites};
use crate::support::world::id;

/// The card of a purpose.
fn card<'h>(html: &'h str, title: &str) -> Option<&'h str> {
    html.split("<li class=\"card\">")
        .skip(1)
        .find(|card| card.contains(&format!("<h3>{title}</h3>")))
        .map(|card| card.split("</li>").next().unwrap())
}

async fn recipient(site: &PagesState, name: &str, kind: RecipientKind, country: Option<&str>) -> uuid::Uuid {
    let app = &site.test.app;
    let mut tx = audit::begin(app, Author::command(app, "cli:test", None)).await.unwrap();
    let new = NewRecipient {
        name: name.to_owned(),
        kind,
        country: country.map(str::to_owned),
        transfer_mechanism: None,
        contract_until: None,
    };
    let made = recipients::create(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    made
}

async fn token(site: &PagesState, recipient: Option<uuid::Uuid>, purposes: &[&str], days: i64) -> uuid::Uuid {
    let new = NewToken {
        name: "secret name".to_owned(),
        roles: vec!["partner".to_owned()],
        purposes: purposes.iter().map(|purpose| (*purpose).to_owned()).collect(),
        fields: None,
        expires_at: site.test.app.now() + TimeDelta::days(days),
        recipient_id: recipient,
    };
    site.test.make_token(new).await.unwrap().0
}

#[tokio::test]
async fn every_purpose_in_use_is_told_with_basis_since_and_recipients() {
    for site in sites().await {
        let days = |days| site.test.app.now() - TimeDelta::days(days);
        for (number, purpose, since, until) in [
            (1_u128, "accounting", 30, None),
            (2, "business_contact", 20, None),
            // An older one that has ended, and one that is to begin.
            (3, "customer_care", 300, Some(200)),
            (4, "pre_contract", -5, None),
            (5, "legal_claims", 40, Some(1)),
        ] {
            let row = ground::ActiveModel {
                id: Set(id(3, 900 + number)),
                contact_id: Set(id(0, 1)),
                purpose_code: Set(purpose.to_owned()),
                reference: Set(Some("secret reference".to_owned())),
                since: Set(days(since)),
                until: Set(until.map(days)),
                recorded_by: Set("test".to_owned()),
                created_at: Set(days(0)),
            };
            ground::Entity::insert(row).exec(&site.test.app.db.writer).await.unwrap();
        }
        let house = recipient(&site, "Mailing house", RecipientKind::Processor, Some("Switzerland")).await;
        let office = recipient(&site, "Tax <office>", RecipientKind::Authority, None).await;
        let gone = recipient(&site, "Gone Ltd", RecipientKind::Controller, None).await;
        token(&site, Some(house), &["newsletter", "customer_care"], 30).await;
        token(&site, Some(house), &["newsletter"], 30).await;
        token(&site, Some(office), &["accounting"], 30).await;
        token(&site, None, &["business_contact"], 30).await;
        token(&site, Some(gone), &["business_contact"], 1).await;
        let revoked = token(&site, Some(gone), &["newsletter"], 30).await;
        site.test.revoke_token(revoked).await.unwrap();
        site.test.clock.advance(TimeDelta::days(2));

        let path = format!("/p/{}", site.fresh(id(0, 1)).await);
        let page = site.get(&path).await.body;
        let told = |title: &str, parts: &[&str]| {
            let card = card(&page, title).unwrap_or_else(|| panic!("{title}: {page}"));
            for part in parts {
                assert!(card.contains(part), "{title}: {part}: {card}");
            }
            card.to_owned()
        };
        let nobody = "No access of a recipient is set up for this in this system at present.";
        told(
            "Newsletter",
            &[
                "Consent (Art. 6(1)(a) GDPR)",
                "13 September 2026",
                "Mailing house, Switzerland (processor)",
                "Withdraw consent",
            ],
        );
        let care = told(
            "Customer care",
            &[
                "Contract (Art. 6(1)(b) GDPR)",
                "23 October 2026",
                "Mailing house, Switzerland (processor)",
                "we need the data for the contract",
            ],
        );
        assert!(!care.contains("<button") && care.contains("In use"));
        let books = told(
            "Accounting",
            &[
                "Legal obligation (Art. 6(1)(c) GDPR)",
                "3 October 2026",
                "Tax &#60;office&#62; (public authority)",
                "a law obliges us",
            ],
        );
        assert!(!books.contains("<button"));
        told(
            "Business contact",
            &["Legitimate interests (Art. 6(1)(f) GDPR)", "13 October 2026", nobody, "<button"],
        );
        // What holds for everybody holds since the record is kept.
        told("Consent management", &["Legal obligation", "25 July 2026", nobody]);
        told("Rights fulfilment", &["Legal obligation", "25 July 2026"]);
        // What is not in use has neither; what is none of this person's is not there.
        assert!(!told("Mail to existing customers", &["Not in use"]).contains("Legal basis"));
        for absent in ["Before a contract", "Legal claims", "Security audit", "Administration"] {
            assert!(card(&page, absent).is_none(), "{absent}");
        }
        assert_eq!(page.matches("Mailing house").count(), 2);
        for secret in ["Gone Ltd", "secret name", "secret reference"] {
            assert!(!page.contains(secret), "{secret}");
        }
        let german = site.get(&format!("{path}?lang=de")).await.body;
        let card = card(&german, "Kundenbetreuung").unwrap();
        for part in [
            "Rechtsgrundlage",
            "Vertrag (Art. 6 Abs. 1 lit. b DSGVO)",
            "23.10.2026",
            "Empfänger, die dafür Zugang haben",
            "Mailing house, Switzerland (Auftragsverarbeiter)",
            "Wir brauchen die Daten für den Vertrag",
        ] {
            assert!(card.contains(part), "{part}: {card}");
        }
        // A link that may have been passed on tells none of it.
        let mailed = site.preference(id(0, 1), "newsletter", "anna@example.org").await;
        let short = site.get(&format!("/p/{mailed}")).await.body;
        assert!(
            !short.contains("Customer care")
                && !short.contains("Mailing house")
                && !short.contains("Legal basis")
        );
        let own = site.preference(id(0, 1), "customer_care", "anna@example.org").await;
        assert!(!site.get(&format!("/p/{own}")).await.body.contains("Legal basis"));
    }
}

/// A purpose that is not in use any more is not told as one.
#[tokio::test]
async fn what_ended_is_in_use_no_more() {
    for site in sites().await {
        let path = format!("/p/{}", site.fresh(id(0, 1)).await);
        assert!(card(&site.get(&path).await.body, "Customer care").is_some());
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let restrict = json!({ "contactId": id(0, 1), "limb": "A", "reason": "contested" });
        crate::writes::done(&site.client(), &desk, "restrictContact", restrict, "contact { id }").await;
        let page = site.get(&path).await.body;
        assert!(card(&page, "Customer care").is_none());
        assert!(card(&page, "Newsletter").unwrap().contains("not used at present"));
        assert!(card(&page, "Rights fulfilment").unwrap().contains("In use"));
    }
}

/// Who may fetch data is one list, for staff as for persons.
#[tokio::test]
async fn accesses_are_told_as_long_as_they_hold() {
    for site in sites().await {
        let house = site.test.recipient().await;
        let made = token(&site, Some(house), &["newsletter"], 30).await;
        let desk = site.test.caller("privacy_desk", "rights_fulfilment").await;
        let query = "{ accesses { purposes recipient { name kind } } }";
        let told = site.client().data(&desk, query).await;
        let wanted = json!([{ "purposes": ["newsletter"], "recipient": { "name": "Mailing house", "kind": "PROCESSOR" } }]);
        assert_eq!(told["accesses"], wanted);
        site.test.revoke_token(made).await.unwrap();
        assert_eq!(site.client().data(&desk, query).await["accesses"], json!([]));
        let support = site.test.caller("support", "customer_care").await;
        let refused = site.client().ask(&support, query).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}
