//! The status of a consent at an instant, made of its events (floor 2).

use chrono::{DateTime, Utc};
use entity::consent_event::{Column, Entity};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter};

use super::{
    arguments::{Arguments, instant},
    fetched::Seen,
    levels::Level,
    plan::Planner,
    read::Reader,
    write::write_text,
};
use crate::{declarations::status_at, error::Error, policy::Decision, register::CONSENT};

/// Which consent, and when.
#[derive(Debug)]
pub(super) struct ConsentState {
    contact: Option<uuid::Uuid>,
    purpose: String,
    channel: String,
    at: Option<DateTime<Utc>>,
}

impl ConsentState {
    pub(super) fn plan(planner: &Planner<'_>, arguments: &Arguments) -> Result<Self, Error> {
        // By asking for one instant after another one would learn the others.
        let needed: &[&str] = match arguments.get("at") {
            Some(_) => &["status", "declaredAt", "grantedAt", "withdrawnAt", "expiresAt"],
            None => &["status"],
        };
        for field in needed {
            let coordinate = format!("Consent.{field}");
            if planner.decide(&coordinate) != Decision::Allow {
                return Err(Error::not_readable(&coordinate));
            }
        }
        let text = |name: &str| Ok::<_, Error>(arguments.text(name)?.unwrap_or_default().to_owned());
        Ok(Self {
            // What is no id is the id of nobody.
            contact: uuid::Uuid::try_parse(&text("contactId")?).ok(),
            purpose: text("purpose")?,
            channel: text("channel")?,
            at: arguments.get("at").map(|value| instant("at", value)).transpose()?,
        })
    }
}

impl Reader<'_> {
    /// The status, by the row rule of consents.
    pub(super) async fn state(&self, state: &ConsentState) -> Result<String, Error> {
        let Some(contact) = state.contact else { return Ok("null".to_owned()) };
        let level = Level::new(&CONSENT);
        let mut sql = self.scope.select(&level, "");
        sql.push(" AND t.contact_id = ").bind(contact);
        sql.push(" AND t.purpose_code = ").bind(state.purpose.as_str());
        sql.push(" AND t.channel = ").bind(state.channel.as_str());
        let fetched = self.fetch(sql, &level).await?;
        let consent = fetched.lines(&level.columns).first().map(|line| line.seen(0)).transpose()?;
        let Some(Seen::Uuid(consent)) = consent else { return Ok("null".to_owned()) };
        let events = Entity::find().filter(Column::ConsentId.eq(consent)).all(self.db).await?;
        let mut out = String::new();
        let status = status_at(&events, state.at.unwrap_or(self.scope.now));
        write_text(&mut out, &status.to_value());
        Ok(out)
    }
}
