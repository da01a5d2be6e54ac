//! Plans the status of a consent at an instant. Room: engine/planner.

use super::context::Planner;
use crate::{
    base::error::Error,
    engine::{
        document::arguments::{Arguments, instant},
        plan::PlannedConsentState,
    },
    policy::Decision,
};

impl PlannedConsentState {
    pub(in crate::engine) fn plan(planner: &Planner<'_>, arguments: &Arguments) -> Result<Self, Error> {
        // Asking for one instant after another would reveal the other fields, so they must be readable too.
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
            // Text that is no id becomes the id of nobody.
            contact: uuid::Uuid::try_parse(&text("contactId")?).ok(),
            purpose: text("purpose")?,
            channel: text("channel")?,
            at: arguments.get("at").map(|value| instant("at", value)).transpose()?,
        })
    }
}
