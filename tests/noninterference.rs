//! Proof 6: two worlds that differ only in what a caller may not know give byte-identical answers.

use entity::access_token;
use sea_orm::{EntityTrait, IntoActiveModel};
use serde_json::json;

use crate::support::{
    app::{TestApp, each},
    client::{Caller, Client},
    world::{Person, id, persons, seed},
};

/// Everything a caller could try to learn something by.
fn battery() -> Vec<String> {
    let mut queries = vec![
        "{ contacts { nodes { id givenName familyName email phone birthDate city notes company state version } } }".to_owned(),
        "{ contacts { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id consents { totalCount nodes { id status } } requests { totalCount } grounds { since } objections { objectedAt } provenance { source } contactPoints { email } } } } }".to_owned(),
        "{ consents { totalCount nodes { id status contact { givenName notes } events { actor } } } privacyRequests { totalCount nodes { kind } } }".to_owned(),
        "{ contacts(first: 1) { pageInfo { hasNextPage endCursor } } }".to_owned(),
        "{ contacts(last: 1) { pageInfo { hasPreviousPage startCursor } } }".to_owned(),
    ];
    for number in 1..12 {
        queries
            .push(format!("{{ contact(id: \"{}\") {{ id email phone notes familyName }} }}", id(0, number)));
        queries
            .push(format!("{{ consent(id: \"{}\") {{ id status contact {{ id }} }} }}", id(1, number * 100)));
        queries.push(format!(
            "{{ privacyRequest(id: \"{}\") {{ id kind contact {{ id }} }} }}",
            id(5, number * 100)
        ));
    }
    for field in ["givenName", "familyName", "email", "phone", "city", "company", "street"] {
        for test in [
            "isNull: true",
            "isNull: false",
            "eq: \"secret\"",
            "startsWith: \"s\"",
            "contains: \"e\"",
            "in: [\"secret\", \"hans@example.org\"]",
        ] {
            queries.push(format!("{{ contacts(filter: {{ {field}: {{ {test} }} }}) {{ nodes {{ id }} }} }}"));
            queries.push(format!(
                "{{ contacts(filter: {{ not: {{ or: [{{ {field}: {{ {test} }} }}] }} }}) {{ totalCount }} }}"
            ));
        }
    }
    for field in ["GIVEN_NAME", "FAMILY_NAME", "EMAIL", "PHONE", "CITY", "COMPANY", "STATE", "UPDATED_AT"] {
        for direction in ["ASC", "DESC"] {
            queries.push(format!(
                "{{ contacts(first: 2, orderBy: [{{ field: {field}, direction: {direction} }}]) {{ nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }}"
            ));
        }
    }
    for words in ["secret", "example.org", "hans", "zz-secret", "anna kohler", "+49"] {
        queries.push(format!("{{ contacts(search: \"{words}\") {{ totalCount nodes {{ id }} }} }}"));
    }
    queries
}

/// The answer without the id of its request, and with a word for each id that was made meanwhile: those of the world begin
/// alike.
async fn answer(client: &Client, caller: &Caller, query: &str) -> String {
    let (status, body) = client.send(caller, json!({ "query": query }), &[]).await;
    let mut body = body;
    while let Some(at) = body.find("\"requestId\":\"") {
        body.replace_range(at..at + "\"requestId\":\"".len() + 37, "");
    }
    let fresh = |word: &&str| {
        word.len() == 36 && uuid::Uuid::try_parse(word).is_ok() && !word.starts_with("01990000-")
    };
    let made: Vec<String> = body.split('"').filter(fresh).map(str::to_owned).collect();
    for (index, id) in made.iter().enumerate() {
        body = body.replace(id.as_str(), &format!("made {index}"));
    }
    format!("{status} {body}")
}

/// The same credential in both worlds.
async fn copy_token(from: &TestApp, to: &TestApp) {
    for token in access_token::Entity::find().all(&from.app.db.reader).await.unwrap() {
        access_token::Entity::insert(token.into_active_model())
            .exec_without_returning(&to.app.db.writer)
            .await
            .unwrap();
    }
}

async fn indistinguishable(role: &str, purpose: &str, change: impl Fn(&mut Vec<Person>)) {
    compare(role, purpose, &battery(), change).await;
}

/// Sends `queries` in two worlds of which one is changed, in the same order; each answer must be the same.
pub async fn compare(role: &str, purpose: &str, queries: &[String], change: impl Fn(&mut Vec<Person>)) {
    let mut other_persons = persons();
    change(&mut other_persons);
    for (one, other) in each().await.into_iter().zip(each().await) {
        seed(&one.app.db.writer, &persons()).await;
        seed(&other.app.db.writer, &other_persons).await;
        let caller = one.caller(role, purpose).await;
        copy_token(&one, &other).await;
        let (here, there) = (Client::of(&one), Client::of(&other));
        for query in queries {
            let (seen, expected) =
                (answer(&there, &caller, query).await, answer(&here, &caller, query).await);
            assert_eq!(seen, expected, "{role} {purpose} {query}");
        }
    }
}

#[tokio::test]
async fn a_partner_cannot_tell_worlds_apart_by_what_it_may_not_read() {
    indistinguishable("partner", "newsletter", |persons| {
        for person in persons.iter_mut() {
            person.family_name = "Secret";
            person.phone = None;
            person.city = Some("Secretville");
            person.notes = Some("secret");
            person.birth_date = None;
            person.requests.clear();
            person.points.clear();
            person.grounds.clear();
            // Consents to other purposes.
            person.consents.retain(|consent| consent.0 == "newsletter");
        }
        // Persons without a ground for the purpose.
        persons.retain(|person| !["Bernd", "Clara", "Fritz"].contains(&person.given_name));
        let dora = persons.iter_mut().find(|person| person.given_name == "Dora").unwrap();
        (dora.given_name, dora.email) = ("Secretia", Some("secret@example.org"));
    })
    .await;
}

#[tokio::test]
async fn an_uncovered_channel_tells_nothing() {
    indistinguishable("marketing", "event_invitations", |persons| {
        let hans = persons.iter_mut().find(|person| person.given_name == "Hans").unwrap();
        hans.email = Some("zz-secret@example.com");
        let gina = persons.iter_mut().find(|person| person.given_name == "Gina").unwrap();
        gina.phone = None;
    })
    .await;
}

#[tokio::test]
async fn a_mask_tells_no_two_values_apart() {
    indistinguishable("marketing", "newsletter", |persons| {
        for person in persons.iter_mut().filter(|person| person.city.is_some()) {
            person.city = Some("Suhl an der Secret");
            person.birth_date = Some("1901-01-01");
            person.phone = None;
        }
    })
    .await;
    indistinguishable("support", "customer_care", |persons| {
        for person in persons.iter_mut() {
            person.birth_date = Some("1984-12-31");
            person.notes = Some("secret");
        }
    })
    .await;
}

/// The battery is able to tell: a difference that the caller may know shows.
#[tokio::test]
async fn the_battery_sees_what_may_be_seen() {
    let (one, other) = (each().await.remove(0), each().await.remove(0));
    let mut changed = persons();
    changed[0].email = Some("ANNA@example.org");
    seed(&one.app.db.writer, &persons()).await;
    seed(&other.app.db.writer, &changed).await;
    let caller = one.caller("partner", "newsletter").await;
    copy_token(&one, &other).await;
    let (here, there) = (Client::of(&one), Client::of(&other));
    let mut differences = 0;
    for query in battery() {
        differences +=
            u32::from(answer(&here, &caller, &query).await != answer(&there, &caller, &query).await);
    }
    assert!(differences > 0);
}
