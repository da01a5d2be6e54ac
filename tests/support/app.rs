//! An application over a fresh database of every kind, with a clock that stands still.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{enums::LegalBasis, purpose};
use sea_orm::{ActiveValue::Set, EntityTrait};
use zweck::context::{App, Keys, ManualClock};

use super::database;

/// When tests begin.
pub fn start() -> DateTime<Utc> {
    "2026-11-02T09:00:00Z".parse().unwrap()
}

pub struct TestApp {
    pub app: Arc<App>,
    #[expect(dead_code, reason = "the files of the database go with it")]
    directory: Option<tempfile::TempDir>,
}

/// One application per database, with a few purposes of every kind of ground.
pub async fn each() -> Vec<TestApp> {
    let mut apps = Vec::new();
    for database in database::each().await {
        let app =
            App { db: database.db, clock: Arc::new(ManualClock::new(start())), keys: Keys::new([7; 32]) };
        for (code, basis, grounds, is_group) in [
            ("direct_marketing", None, "none", true),
            ("newsletter", Some(LegalBasis::Consent), "consent", false),
            ("customer_care", Some(LegalBasis::Contract), "recorded", false),
            ("rights_fulfilment", Some(LegalBasis::LegalObligation), "every_contact", false),
        ] {
            let row = purpose::ActiveModel {
                code: Set(code.to_owned()),
                title_de: Set(code.to_owned()),
                title_en: Set(code.to_owned()),
                description_de: Set(String::new()),
                description_en: Set(String::new()),
                legal_basis: Set(basis),
                grounds: Set(grounds.to_owned()),
                channels: Set("[]".to_owned()),
                is_group: Set(is_group),
                revision: Set("test".to_owned()),
                loaded_at: Set(start()),
                ..Default::default()
            };
            purpose::Entity::insert(row).exec(&app.db.writer).await.unwrap();
        }
        apps.push(TestApp { app: Arc::new(app), directory: database.directory });
    }
    apps
}
