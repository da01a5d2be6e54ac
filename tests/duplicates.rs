//! Likely duplicates: found by what the caller may read, and by nothing else.

use std::collections::BTreeMap;

use entity::contact;
use sea_orm::EntityTrait;
use uuid::Uuid;
use zweck::{
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::access_tokens,
    exchange::{
        duplicates::{self, Common, Duplicates, Likelihood},
        imports::ContactImport,
    },
    graphql::Pipeline,
};

use crate::support::{
    an_import,
    app::{TestApp, each},
    client::Caller,
    import,
};

async fn find(test: &TestApp, caller: &Caller) -> Result<Duplicates, Error> {
    let actor = async || {
        let credential = access_tokens::authenticate(&test.app, caller.token.expose_secret()).await?;
        Actor::new(test.app.policy.current(), &credential, Some(&caller.purpose), "test".to_owned())
    };
    duplicates::find(&test.app, &Pipeline::new().unwrap(), actor).await
}

async fn fill(test: &TestApp, rows: &str) {
    let map = [
        "givenName=given",
        "familyName=family",
        "email=mail",
        "email:old=old",
        "phone=phone",
        "birthDate=born",
        "street=street",
        "postalCode=code",
        "notes=key",
    ];
    let import_ = ContactImport {
        map: ContactImport::map_from(map).unwrap(),
        external_id: Some("key".to_owned()),
        ..an_import()
    };
    let text = format!("key,given,family,mail,old,phone,born,street,code\n{rows}");
    let report = import(&test.app, text.as_bytes(), &import_).await.unwrap();
    assert_eq!(report.rejected, 0, "{report}");
}

/// The pairs by the keys of the rows, in any order.
async fn told(test: &TestApp, found: &Duplicates) -> Vec<(String, Likelihood, Vec<Common>)> {
    let all = contact::Entity::find().all(&test.app.db.reader).await.unwrap();
    let keys: BTreeMap<Uuid, String> =
        all.into_iter().map(|contact| (contact.id, contact.notes.unwrap_or_default())).collect();
    let mut told: Vec<_> = found
        .pairs
        .iter()
        .map(|pair| {
            let mut pair_keys = [keys[&pair.id].as_str(), keys[&pair.duplicate_id].as_str()];
            pair_keys.sort_unstable();
            (pair_keys.join(" "), pair.likelihood, pair.common.clone())
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

const ROWS: &str = "a,Anna,Köhler,anna@example.org,,0711 2842222,1980-01-02,,
b,Köhler,ANNA,,,+49 711 2842222,1980-01-02,,
c,Jürgen,Köhler,family@example.org,,,,Hof 1,10115
d,Petra,Köhler,FAMILY@example.org,,,,Hof 1,10115
e,Stefan,Maier,,,,1975-05-05,,
f,Stefan,Meier,,,,1975-05-05,,
g,Karla,Other,,,,1975-05-05,,
h,Emil,Bauer,emil@example.org,,,,,
i,,,new@example.org,emil@example.org,,,,
j,Lena,Vogt,,,110,,Am Markt 2,20095
k,LENA,Vogt,,,110,,am markt 2,20095
";

#[tokio::test]
async fn pairs_are_found_by_what_they_have_in_common() {
    use Common::{BirthDateAndSimilarName, Email, NameAndAddress, NameAndBirthDate, Phone};
    use Likelihood::{Likely, Possible};
    for test in each().await {
        fill(&test, ROWS).await;
        let pair = |keys: &str, likelihood, common: &[Common]| (keys.to_owned(), likelihood, common.to_vec());
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let found = find(&test, &dpo).await.unwrap();
        assert_eq!(found.contacts, 11);
        assert_eq!(
            told(&test, &found).await,
            [
                pair("a b", Likely, &[Phone, NameAndBirthDate]),
                pair("c d", Possible, &[Email]),
                pair("e f", Possible, &[BirthDateAndSimilarName]),
                pair("h i", Likely, &[Email]),
                pair("j k", Likely, &[NameAndAddress]),
            ]
        );
        assert_eq!(found.pairs[0].likelihood, Likely, "the likely ones come first");
        // Support sees of the birth date the year alone: nothing may be told by it.
        let support = test.caller("support", "customer_care").await;
        let found = find(&test, &support).await.unwrap();
        assert_eq!(
            told(&test, &found).await,
            [
                pair("a b", Likely, &[Phone]),
                pair("c d", Possible, &[Email]),
                pair("h i", Likely, &[Email]),
                pair("j k", Likely, &[NameAndAddress]),
            ]
        );
        // Nobody has consented: the partner sees nobody. Who may read nothing of contacts is refused.
        let partner = test.caller("partner", "newsletter").await;
        assert_eq!(find(&test, &partner).await.unwrap().contacts, 0);
        let admin = test.caller("admin", "administration").await;
        assert_eq!(find(&test, &admin).await.unwrap_err().code, Code::ForbiddenField);
    }
}

#[tokio::test]
async fn an_address_of_many_tells_nothing() {
    for test in each().await {
        let rows: String = (0..60)
            .map(|number| format!("{number},Given {number},Family {number},info@example.org,,,,,\n"))
            .collect();
        fill(&test, &rows).await;
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let found = find(&test, &dpo).await.unwrap();
        assert_eq!((found.contacts, found.pairs.len(), found.shared_too_often), (60, 0, 1));
    }
}

#[tokio::test]
async fn numbers_and_birthdays_alone_tell_little() {
    for test in each().await {
        let mut rows = "a,,,,,030 2312500;ext=1,,,\nb,,,,,030 2312500;ext=2,,,\nc,,,,,030 9999999,,,\nd,,,,,+49 30 9999999,,,\n".to_owned();
        rows.push_str("k,Kathrin,Schneider,,,,1980-01-01,,\nl,Katrin,Schneider,,,,1980-01-01,,\n");
        (0..60).for_each(|number| {
            rows.push_str(&format!("n{number},Anna{number},Zoller{number},,,,1980-01-01,,\n"))
        });
        fill(&test, &rows).await;
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let found = find(&test, &dpo).await.unwrap();
        assert_eq!(
            told(&test, &found).await,
            [
                ("c d".to_owned(), Likelihood::Possible, vec![Common::Phone]),
                ("k l".to_owned(), Likelihood::Possible, vec![Common::BirthDateAndSimilarName]),
            ]
        );
        // Sixty names that begin alike on one day are passed over, and that is told.
        assert_eq!(found.shared_too_often, 1);
    }
}
