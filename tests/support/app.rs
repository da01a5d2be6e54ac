//! An application over a fresh database of every kind, with a clock that the test moves.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use zweck::{
    app::App,
    audit::{self, Author},
    base::{clock::ManualClock, error::Error},
    config::public_pages::PublicPages,
    crypto::master_keys::MasterKeys,
    domain::{
        access_tokens::{self, BearerToken, NewToken},
        purposes, recipients,
    },
    policy::PolicyHandle,
};

use super::database::{self, TestDatabase};

/// When tests begin.
pub fn start() -> DateTime<Utc> {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

/// The public pages of tests.
pub fn pages() -> PublicPages {
    PublicPages {
        enabled: true,
        public_url: Some("https://crm.example".to_owned()),
        controller: Some("Example GmbH".to_owned()),
        controller_address: Some("Musterstrasse 1, 10115 Berlin".to_owned()),
        controller_contact: Some("privacy office, room 4".to_owned()),
        ..PublicPages::default()
    }
}

/// The application and what a test needs beside it; the database goes with it.
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Arc<ManualClock>,
    /// Address of the database, for others who open it.
    pub url: String,
    #[expect(dead_code, reason = "the files of the database go with it")]
    directory: Option<tempfile::TempDir>,
}

impl TestApp {
    /// The application over `database`, with the shipped policy and its purposes.
    pub async fn over(database: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        let policy = PolicyHandle::new(crate::policy::shipped().await);
        let app = App::new(
            database.db,
            policy,
            clock.clone(),
            MasterKeys::new([7; 32]),
            zweck::auth::oidc::Issuers::default(),
        )
        .with_pages(pages());
        audit::adopt_master_key(&app).await.unwrap();
        purposes::sync(&app, "cli:test").await.unwrap();
        // Twice: nothing is left to be done.
        purposes::sync(&app, "cli:test").await.unwrap();
        Self { app: Arc::new(app), clock, url: database.url, directory: database.directory }
    }

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
        };
        self.make_token(new).await.unwrap().1
    }

    /// Makes a token as the command line does.
    pub async fn make_token(&self, new: NewToken) -> Result<(Uuid, BearerToken), Error> {
        let mut tx = self.begin().await;
        let made = access_tokens::create(&mut tx, &self.app.policy.current(), new).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Ends a token as the command line does.
    pub async fn revoke_token(&self, id: Uuid) -> Result<(), Error> {
        let mut tx = self.begin().await;
        access_tokens::revoke(&mut tx, id).await?;
        tx.commit().await
    }

    /// Rotates a token as the command line does.
    pub async fn rotate_token(
        &self,
        id: Uuid,
        overlap: TimeDelta,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(Uuid, BearerToken), Error> {
        let mut tx = self.begin().await;
        let made =
            access_tokens::rotate(&mut tx, &self.app.policy.current(), id, overlap, expires_at).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// A recipient of data.
    pub async fn recipient(&self) -> Uuid {
        let mut tx = self.begin().await;
        let new = recipients::NewRecipient {
            name: "Mailing house".to_owned(),
            kind: entity::enums::RecipientKind::Processor,
            country: None,
            transfer_mechanism: None,
            contract_until: None,
        };
        let id = recipients::create(&mut tx, new).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn begin(&self) -> audit::Transaction {
        audit::begin(&self.app, Author::command(&self.app, "cli:test", None)).await.unwrap()
    }
}

/// One application per database, with the shipped policy and its purposes.
pub async fn each() -> Vec<TestApp> {
    let mut apps = Vec::new();
    for database in database::each().await {
        apps.push(TestApp::over(database).await);
    }
    apps
}
