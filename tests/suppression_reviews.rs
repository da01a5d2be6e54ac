//! The suppression list is looked over every three years.

use chrono::{Months, TimeDelta};
use entity::{purpose, suppression};
use sea_orm::{EntityTrait, IntoActiveModel};
use serde_json::json;
use zweck::{app::App, domain::suppressions};

use crate::{
    support::{app::each, client::Client},
    writes::{Staff, done},
};

async fn listed(app: &App) -> usize {
    suppression::Entity::find().all(&app.db.reader).await.unwrap().len()
}

#[tokio::test]
async fn the_list_is_looked_over_every_three_years() {
    for test in each().await {
        let (app, client, staff) = (&test.app, Client::of(&test), Staff::of(&test).await);
        let empty = suppressions::overview(app).await.unwrap();
        assert_eq!((empty.parts.len(), empty.due_at), (0, None));
        assert!(!suppressions::is_due(app).await.unwrap());
        for (email, purpose) in [
            ("a@example.org", "direct_marketing"),
            ("b@example.org", "newsletter"),
            ("c@example.org", "newsletter"),
        ] {
            let input = json!({ "email": email, "purpose": purpose });
            done(&client, &staff.consent, "recordObjection", input, "__typename").await;
        }
        let first = app.now();
        let found = suppressions::overview(app).await.unwrap();
        let told: Vec<(&str, &str, i64, bool)> =
            found.parts.iter().map(|part| (&*part.purpose, &*part.kind, part.entries, part.known)).collect();
        assert_eq!(told, [("direct_marketing", "OBJECTION", 1, true), ("newsletter", "OBJECTION", 2, true)]);
        assert_eq!((found.reviewed_at, found.due_at), (None, first.checked_add_months(Months::new(36))));
        test.clock.advance(TimeDelta::days(3 * 366));
        assert!(suppressions::is_due(app).await.unwrap());
        // What the policy knows does not end, and nothing is done by halves.
        let refused = suppressions::review(app, "cli:test", &["newsletter".to_owned()]).await.unwrap_err();
        assert!(refused.message.contains("is still a purpose of the policy"), "{refused}");
        assert!(suppressions::review(app, "cli:test", &["lottery".to_owned()]).await.is_err());
        assert!(suppressions::is_due(app).await.unwrap());
        assert_eq!(suppressions::review(app, "cli:test", &[]).await.unwrap(), 0);
        let found = suppressions::overview(app).await.unwrap();
        assert_eq!(found.reviewed_at, Some(app.now()));
        assert_eq!(found.due_at, app.now().checked_add_months(Months::new(36)));
        assert_eq!(listed(app).await, 3);
        // Of purposes that nobody knows any more what is listed goes, and only that; not while servers run by a policy that knows them.
        let row = suppression::Entity::find().one(&app.db.reader).await.unwrap().unwrap();
        let known = purpose::Entity::find_by_id("newsletter").one(&app.db.reader).await.unwrap().unwrap();
        for (code, revision) in [("events", known.revision.as_str()), ("raffles", "of before")] {
            let purpose =
                purpose::Model { code: code.to_owned(), revision: revision.to_owned(), ..known.clone() };
            purpose::Entity::insert(purpose.into_active_model()).exec(&app.db.writer).await.unwrap();
            let listed = suppression::Model {
                id: app.new_id(),
                digest: format!("digest of {code}"),
                purpose_code: code.to_owned(),
                ..row.clone()
            };
            suppression::Entity::insert(listed.into_active_model()).exec(&app.db.writer).await.unwrap();
        }
        let both = ["raffles".to_owned(), "events".to_owned()];
        let refused = suppressions::review(app, "cli:test", &both).await.unwrap_err();
        assert!(
            refused.message.contains("`events` is a purpose of the policy that the servers use"),
            "{refused}"
        );
        assert_eq!(listed(app).await, 5);
        assert_eq!(suppressions::review(app, "cli:test", &both[..1]).await.unwrap(), 1);
        assert_eq!(listed(app).await, 4);
    }
}
