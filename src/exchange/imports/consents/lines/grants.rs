//! The evidence of a consent. Room: exchange/imports/consents/lines.

use std::io::Read;

use chrono::{DateTime, Utc};
use entity::enums::Channel;

use super::LineDraft;
use crate::domain::contacts::{Reachable, kind_on};
use crate::{
    domain::consents::{self, Grant},
    exchange::imports::{Reason, contact_lookup::PersonRef},
    policy::{DOUBLE_OPT_IN, PurposeDef},
};

impl<R: Read> LineDraft<'_, R> {
    /// A consent with the evidence that its purpose requires (Art. 7(1)).
    pub(super) fn grant(
        &mut self,
        purpose: &PurposeDef,
        channel: Channel,
        (person, addresses): (Option<&PersonRef>, Vec<Reachable>),
    ) -> Option<Grant> {
        let text = (self.required_cell("language"), self.required_cell("textVersion"));
        let text_id = if let (Some(language), Some(version)) = text {
            let text = self.rules.texts.get(&(purpose.code.clone(), language, version)).copied();
            if text.is_none() {
                self.invalid_value("textVersion", Reason::UnknownText);
            }
            text
        } else {
            None
        };
        let declared_at = match self.cell("declaredAt") {
            None => self.required_cell("declaredAt").and(None),
            Some(_) => self.time("declaredAt", false),
        };
        let confirmed_at = self.time("confirmedAt", false);
        let evidence = self.cell("evidence");
        let proof = self.required_cell("proof");
        match proof.as_deref() {
            // A double opt-in by mail only proves consent to e-mail (BGH I ZR 164/09).
            Some(DOUBLE_OPT_IN) if channel != Channel::Email || !accepts(purpose, DOUBLE_OPT_IN) => {
                self.invalid_value("proof", Reason::ProofNotAccepted);
            }
            Some(DOUBLE_OPT_IN) => self.confirmation(declared_at, confirmed_at, evidence.as_deref()),
            Some(proof) if !accepts(purpose, proof) => self.invalid_value("proof", Reason::ProofNotAccepted),
            Some(_) if confirmed_at.is_some() => self.invalid_value("confirmedAt", Reason::UnexpectedValue),
            _ => {}
        }
        let source = self.source();
        if source.is_none() {
            self.required_cell("source");
        }
        let address = self.cell("address").or_else(|| match (channel, person) {
            // It was given for the address that it names.
            (channel, Some(PersonRef::Address(reachable)))
                if kind_on(channel) == reachable.identity().kind() =>
            {
                Some(reachable.identity().key().to_owned())
            }
            _ => None,
        });
        let mut grant = Grant {
            declared_at: declared_at?,
            confirmed_at,
            text_id: text_id?,
            proof: proof?,
            source: source?,
            evidence,
            address,
            stated_addresses: addresses,
            expires_at: None,
        };
        grant.expires_at = self.end(purpose, grant.granted_at());
        Some(grant)
    }

    fn confirmation(
        &mut self,
        declared_at: Option<DateTime<Utc>>,
        confirmed_at: Option<DateTime<Utc>>,
        evidence: Option<&str>,
    ) {
        if evidence.is_none() {
            self.invalid_value("evidence", Reason::MissingEvidence);
        }
        match (declared_at, confirmed_at) {
            (_, None) => _ = self.required_cell("confirmedAt"),
            (Some(declared), Some(confirmed)) if confirmed < declared => {
                self.invalid_value("confirmedAt", Reason::InvalidTime);
            }
            _ => {}
        }
    }

    /// When a consent granted at `from` expires: never later than the purpose allows.
    fn end(&mut self, purpose: &PurposeDef, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = purpose.validity.as_deref().map(|validity| consents::add_period(from, validity));
        let Ok(latest) = latest.transpose() else {
            self.invalid_value("declaredAt", Reason::InvalidTime);
            return None;
        };
        let requested = self.time("expiresAt", false);
        if requested.is_some_and(|end| end <= from || latest.is_some_and(|latest| end > latest)) {
            self.invalid_value("expiresAt", Reason::InvalidExpiry);
        }
        requested.or(latest)
    }
}

fn accepts(purpose: &PurposeDef, proof: &str) -> bool {
    purpose.proof.iter().any(|accepted| accepted == proof)
}
