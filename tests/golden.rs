//! Every decision of the shipped policy, in a golden file and through real GraphQL requests.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde_json::Value;
use zweck::{
    policy::{Decision, Policy},
    registry::{self, FieldSource, OBJECTS},
};

use crate::support::{
    app::each,
    client::{Client, problems},
    world::{persons, seed},
};

const FILE: &str = "tests/golden/decisions.txt";

/// The decision of every role, purpose and field.
fn matrix(policy: &Policy) -> BTreeMap<(String, String, String), Decision> {
    let mut cells = BTreeMap::new();
    for role in policy.roles() {
        for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
            let table = policy.table(std::slice::from_ref(role), &purpose.code, None).unwrap();
            for object in OBJECTS {
                for field in object.fields {
                    let coordinate = format!("{}.{}", object.name, field.name);
                    let decision = table.decide(policy.object(&coordinate).unwrap());
                    cells.insert((role.clone(), purpose.code.clone(), coordinate), decision);
                }
            }
        }
    }
    cells
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "ZWECK_BLESS writes the file anew")]
async fn the_golden_file_holds_every_decision() {
    let policy = crate::policy::shipped().await;
    let mut text =
        String::from("# role purpose Type: decision fields; `*` stands for every field of the type\n");
    let cells = matrix(&policy);
    for role in policy.roles() {
        for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
            for object in OBJECTS {
                write!(text, "{role} {} {}:", purpose.code, object.name).unwrap();
                for decision in [Decision::Allow, Decision::Mask, Decision::Deny] {
                    let cell = |field: &&registry::Field| {
                        let coordinate = format!("{}.{}", object.name, field.name);
                        cells[&(role.clone(), purpose.code.clone(), coordinate)] == decision
                    };
                    let fields: Vec<&str> =
                        object.fields.iter().filter(cell).map(|field| field.name).collect();
                    match fields.len() {
                        0 => {}
                        all if all == object.fields.len() => {
                            write!(text, " {} *", decision.as_str()).unwrap()
                        }
                        _ => write!(text, " {} {}", decision.as_str(), fields.join(",")).unwrap(),
                    }
                }
                text.push('\n');
            }
        }
    }
    assert_eq!(
        cells.len(),
        policy.roles().len() * 14 * OBJECTS.iter().map(|object| object.fields.len()).sum::<usize>()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var("ZWECK_BLESS").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "{FILE} is stale, first at {changed:?}; to repair: ZWECK_BLESS=1 cargo test golden"
    );
}

/// A selection of every field of a type, links with their key alone.
fn everything(object: &registry::ObjectType) -> String {
    let fields = object.fields.iter().map(|field| match field.source {
        FieldSource::One { object, .. } | FieldSource::Many { object, .. } => {
            format!("{} {{ {} }}", field.name, object.key)
        }
        FieldSource::Connection { object, .. } => format!("{} {{ nodes {{ {} }} }}", field.name, object.key),
        _ => field.name.to_owned(),
    });
    fields.collect::<Vec<_>>().join(" ")
}

/// The way from the root to a type, where its rows are to be had.
fn way(name: &str) -> Option<(&'static str, Vec<&'static str>, &'static str)> {
    Some(match name {
        "Contact" => ("contacts { nodes {", vec!["Query.contacts"], "} }"),
        "Consent" => ("consents { nodes {", vec!["Query.consents"], "} }"),
        "PrivacyRequest" => ("privacyRequests { nodes {", vec!["Query.privacyRequests"], "} }"),
        "Purpose" => ("purposes {", vec!["Query.purposes"], "}"),
        "Recipient" => ("recipients {", vec!["Query.recipients"], "}"),
        "AccessToken" => ("accessTokens {", vec!["Query.accessTokens"], "}"),
        "Access" => ("accesses {", vec!["Query.accesses"], "}"),
        "ContactPoint" => {
            ("contacts { nodes { contactPoints {", vec!["Query.contacts", "Contact.contactPoints"], "} } }")
        }
        "Provenance" => {
            ("contacts { nodes { provenance {", vec!["Query.contacts", "Contact.provenance"], "} } }")
        }
        "Restriction" => {
            ("contacts { nodes { restrictions {", vec!["Query.contacts", "Contact.restrictions"], "} } }")
        }
        "AuditEntry" => ("auditLog { nodes {", vec!["Query.auditLog"], "} }"),
        "Ground" => ("contacts { nodes { grounds {", vec!["Query.contacts", "Contact.grounds"], "} } }"),
        "Objection" => {
            ("contacts { nodes { objections {", vec!["Query.contacts", "Contact.objections"], "} } }")
        }
        "Block" => ("contacts { nodes { blocks {", vec!["Query.contacts", "Contact.blocks"], "} } }"),
        "Stop" => ("stops { nodes {", vec!["Query.stops"], "} }"),
        "ConsentEvent" => ("consents { nodes { events {", vec!["Query.consents", "Consent.events"], "} } }"),
        "ConsentText" => ("consents { nodes { text {", vec!["Query.consents", "Consent.text"], "} } }"),
        "ConsentChange" => ("consentChanges { nodes {", vec!["Query.consentChanges"], "} }"),
        _ => return None,
    })
}

#[tokio::test]
async fn requests_get_the_same_decisions() {
    let policy = crate::policy::shipped().await;
    let cells = matrix(&policy);
    let decision = |role: &str, purpose: &str, coordinate: String| {
        cells[&(role.to_owned(), purpose.to_owned(), coordinate)]
    };
    let test = each().await.remove(0);
    seed(&test.app.db.writer, &persons()).await;
    let client = Client::of(&test);
    let mut asked = 0;
    for role in policy.roles() {
        for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
            let purpose = purpose.code.as_str();
            let caller = test.caller(role, purpose).await;
            let table = policy.table(std::slice::from_ref(role), purpose, None).unwrap();
            for object in OBJECTS {
                // What the viewer is told of his decisions.
                let query =
                    format!("{{ viewer {{ fields(type: \"{}\") {{ coordinate decision }} }} }}", object.name);
                let told = client.data(&caller, &query).await;
                for field in told["viewer"]["fields"].as_array().unwrap() {
                    let coordinate = field["coordinate"].as_str().unwrap().to_owned();
                    let expected = decision(role, purpose, coordinate).as_str();
                    assert_eq!(field["decision"], expected, "{role} {purpose} {field}");
                }
                // And what he gets.
                let (open, steps, close) = way(object.name).unwrap();
                let answer =
                    client.ask(&caller, &format!("{{ {open} {} {close} }}", everything(object))).await;
                let open_way = steps.iter().all(|step| {
                    let id = policy.object(step).unwrap();
                    table.allows(id, zweck::policy::Action::Execute) || table.decide(id) == Decision::Allow
                });
                let key = decision(role, purpose, format!("{}.{}", object.name, object.key));
                if !open_way || key == Decision::Deny {
                    assert!(!problems(&answer).is_empty(), "{role} {purpose} {}", object.name);
                    continue;
                }
                let denied: Vec<String> = object
                    .fields
                    .iter()
                    .filter(|field| {
                        let target = match field.source {
                            FieldSource::One { object, .. }
                            | FieldSource::Many { object, .. }
                            | FieldSource::Connection { object, .. } => {
                                decision(role, purpose, format!("{}.{}", object.name, object.key))
                            }
                            _ => Decision::Allow,
                        };
                        let own = decision(role, purpose, format!("{}.{}", object.name, field.name));
                        own == Decision::Deny || target == Decision::Deny
                    })
                    .map(|field| format!("FORBIDDEN_FIELD {}.{}", object.name, field.name))
                    .collect();
                let told: Vec<String> = problems(&answer).into_iter().collect();
                let mut expected = denied.clone();
                expected.sort();
                assert_eq!(told, expected, "{role} {purpose} {}", object.name);
                let masked: Vec<&str> = answer["extensions"]["masked"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                for field in object.fields {
                    let coordinate = format!("{}.{}", object.name, field.name);
                    let is_masked = decision(role, purpose, coordinate.clone()) == Decision::Mask;
                    assert_eq!(
                        masked.contains(&coordinate.as_str()),
                        is_masked,
                        "{role} {purpose} {coordinate}"
                    );
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "only {asked} types were read");
}
