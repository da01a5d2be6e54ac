//! An application over a fresh database of every kind, with a clock that the test moves.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use zweck::{
    context::{App, Keys, ManualClock},
    policy::Live,
    purposes,
    tokens::{self, BearerToken, NewToken},
};

use super::database;

/// When tests begin.
pub fn start() -> DateTime<Utc> {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

/// The application and what a test needs beside it; the database goes with it.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Arc<ManualClock>,
    #[expect(dead_code, reason = "the files of the database go with it")]
    directory: Option<tempfile::TempDir>,
}

impl TestApp {
    /// A token for `roles` and `purposes`, valid for 30 days.
    pub async fn token(&self, roles: &[&str], purposes: &[&str]) -> BearerToken {
        let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
        let new = NewToken {
            name: "test".to_owned(),
            roles: owned(roles),
            purposes: owned(purposes),
            fields: None,
            expires_at: self.app.now() + TimeDelta::days(30),
            recipient_id: None,
            created_by: "cli:test".to_owned(),
        };
        tokens::create(&self.app.db.writer, &self.app, new).await.unwrap().1
    }
}

/// One application per database, with the shipped policy and its purposes.
pub async fn each() -> Vec<TestApp> {
    let mut apps = Vec::new();
    for database in database::each().await {
        let clock = Arc::new(ManualClock::new(start()));
        let policy = Live::new(crate::policy::shipped().await);
        let app = App { db: database.db, policy, clock: clock.clone(), keys: Keys::new([7; 32]) };
        purposes::sync(&app).await.unwrap();
        // Twice: an update of what is there.
        purposes::sync(&app).await.unwrap();
        apps.push(TestApp { app: Arc::new(app), clock, directory: database.directory });
    }
    apps
}
