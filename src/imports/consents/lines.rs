//! Lines of a file of consents: each cell checked, before anything is looked up about a person (floor 4).

use std::{collections::HashMap, io::Read};

use chrono::{DateTime, Days, NaiveDate, SubsecRound, TimeDelta, Utc};
use entity::{consent_text, enums::Channel};
use sea_orm::{ActiveEnum, EntityTrait};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ConsentImport;
use crate::{
    consents::{self, Grant, Said},
    context::App,
    error::Error,
    fold::mailbox,
    imports::{Problem, Reason, table::Table},
    policy::{DOUBLE_OPT_IN, Grounds, Policy, PurposeDef},
    register::Check,
};

/// What a column may hold.
pub(super) const FIELDS: [&str; 15] = [
    "contactId",
    "email",
    "externalId",
    "purpose",
    "channel",
    "status",
    "declaredAt",
    "confirmedAt",
    "textVersion",
    "language",
    "proof",
    "source",
    "evidence",
    "address",
    "expiresAt",
];

/// By what a line names the contact.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Id(Uuid),
    /// Id in a source.
    External(String),
    /// Key of a mailbox.
    Email(String),
}

/// A line that passed every check.
#[derive(Clone)]
pub(super) struct Line {
    pub line: u64,
    pub who: Who,
    pub purpose: String,
    pub channel: Channel,
    pub said: Said,
}

impl Line {
    /// 8 bytes of a digest of what the line says, beside whom it is about.
    pub fn content(&self) -> u64 {
        let text = match &self.said {
            Said::Granted(grant) => format!(
                "{:?}",
                (
                    grant.declared_at,
                    grant.confirmed_at,
                    grant.text_id,
                    &grant.proof,
                    &grant.source,
                    &grant.evidence,
                    &grant.address,
                    grant.expires_at
                )
            ),
            Said::Ended { refused, at, source } => format!("{:?}", (refused, at, source)),
        };
        short(&text)
    }
}

/// The first 8 bytes of SHA-256.
pub(super) fn short(text: &str) -> u64 {
    Sha256::digest(text).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// What every line is checked against.
pub(super) struct Rules {
    pub policy: std::sync::Arc<Policy>,
    texts: HashMap<(String, String, String), Uuid>,
    now: DateTime<Utc>,
    source: Option<String>,
}

impl Rules {
    /// The instant of the import.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub async fn of(app: &App, import: &ConsentImport) -> Result<Self, Error> {
        let texts = consent_text::Entity::find().all(&app.db.reader).await?;
        let texts = texts.into_iter().map(|text| ((text.purpose_code, text.language, text.version), text.id));
        Ok(Self {
            policy: app.policy.current(),
            texts: texts.collect(),
            now: app.now(),
            source: import.source.clone(),
        })
    }
}

/// The columns of a file, by what they hold.
pub(super) struct Columns {
    known: Vec<(&'static str, usize, String)>,
    /// Columns that hold nothing which is imported, with their heads.
    unmapped: Vec<(usize, String)>,
}

impl Columns {
    /// Finds those that are mapped, and those that are called as what they hold.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice, and where contact, purpose or channel have none.
    pub fn of<R: Read>(table: &Table<R>, import: &ConsentImport) -> Result<Self, Error> {
        let mut known: Vec<(&'static str, usize, String)> = Vec::new();
        for field in FIELDS {
            let mapped = import.map.iter().find(|(name, _)| *name == field);
            match mapped {
                Some((_, column)) => known.push((field, table.find(column)?, column.clone())),
                None if import.reading.header => {
                    known.extend(table.find(field).ok().map(|index| (field, index, field.to_owned())));
                }
                None => {}
            }
        }
        let has = |names: &[&str]| known.iter().any(|(field, ..)| names.contains(field));
        for names in [&["contactId", "externalId", "email"][..], &["purpose"], &["channel"]] {
            if !has(names) {
                return Err(Error::input(format!("the file has no column for `{}`", names.join("` or `"))));
            }
        }
        let heads = table.heads().into_iter().enumerate();
        let unmapped = heads.filter(|(index, _)| !known.iter().any(|(_, known, _)| known == index)).collect();
        Ok(Self { known, unmapped })
    }

    /// Heads of columns that hold nothing which is imported, where the row has something there.
    pub fn left_out<'a, R: Read>(&'a self, table: &'a Table<R>) -> impl Iterator<Item = &'a str> {
        self.unmapped.iter().filter(|(index, _)| table.is_filled(*index)).map(|(_, head)| head.as_str())
    }
}

/// A line in the making.
struct Draft<'a, R> {
    table: &'a Table<R>,
    columns: &'a Columns,
    rules: &'a Rules,
    line: u64,
    problems: Vec<Problem>,
}

/// The line that begins at `line`, if it can be taken, and what is wrong with it. Who says no is believed whatever else is wrong: the
/// time is not known then, and goes to the withdrawal.
pub(super) fn read<R: Read>(
    table: &Table<R>,
    columns: &Columns,
    rules: &Rules,
    line: u64,
) -> (Option<Line>, Vec<Problem>) {
    let mut draft = Draft { table, columns, rules, line, problems: Vec::new() };
    let read = draft.read();
    let taken = read.filter(|line| draft.problems.is_empty() || matches!(line.said, Said::Ended { .. }));
    (taken, draft.problems)
}

impl<R: Read> Draft<'_, R> {
    fn fault(&mut self, field: &str, reason: Reason) {
        let column = self.columns.known.iter().find(|(known, ..)| *known == field);
        let column = column.map_or(field, |(_, _, column)| column).to_owned();
        self.problems.push(Problem { line: self.line, last_line: None, column: Some(column), reason });
    }

    /// What the line holds of `field`, one line of sound text.
    fn cell(&mut self, field: &str) -> Option<String> {
        let (_, index, _) = self.columns.known.iter().find(|(known, ..)| *known == field)?;
        let text = self.table.text(*index);
        let text = text.and_then(|text| Ok(Check::Line.check(&text, self.rules.now.date_naive())?));
        text.unwrap_or_else(|reason| {
            self.fault(field, reason);
            None
        })
    }

    fn needed(&mut self, field: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.cell(field);
        if text.is_none() && self.problems.len() == before {
            self.fault(field, Reason::MissingValue);
        }
        text
    }

    fn read(&mut self) -> Option<Line> {
        let who = self.who();
        let purpose = self.purpose();
        let channel = self.needed("channel").and_then(|word| {
            let channel = Channel::try_from_value(&word.to_ascii_uppercase());
            channel.map_err(|_| self.fault("channel", Reason::InvalidChannel)).ok()
        });
        let used = |purpose: &PurposeDef, channel: Channel| {
            purpose.channels.iter().any(|known| known.as_str() == channel.to_value())
        };
        if let (Some(purpose), Some(channel)) = (&purpose, channel)
            && !used(purpose, channel)
        {
            self.fault("channel", Reason::ChannelNotUsed);
        }
        let status = self.cell("status").map(|word| word.to_ascii_uppercase());
        let said = match status.as_deref() {
            None | Some("GRANTED") => self
                .grant(purpose.as_ref()?, channel?, who.as_ref())
                .map(|grant| Said::Granted(Box::new(grant))),
            Some(word @ ("WITHDRAWN" | "REFUSED")) => {
                let (source, at) = (self.source(), self.time("declaredAt", true));
                Some(Said::Ended { refused: word == "REFUSED", at, source })
            }
            Some(_) => {
                self.fault("status", Reason::InvalidStatus);
                None
            }
        };
        Some(Line {
            line: self.line,
            who: who?,
            purpose: purpose?.code.clone(),
            channel: channel?,
            said: said?,
        })
    }

    fn who(&mut self) -> Option<Who> {
        let (id, external, email) = (self.cell("contactId"), self.cell("externalId"), self.cell("email"));
        match (id, external, email) {
            (Some(id), ..) => {
                let id = Uuid::parse_str(&id).map_err(|_| self.fault("contactId", Reason::InvalidId));
                id.ok().map(Who::Id)
            }
            (None, Some(external), _) => Some(Who::External(external)),
            (None, None, Some(email)) => Some(Who::Email(mailbox(&email))),
            (None, None, None) => {
                if self.problems.is_empty() {
                    self.fault("contactId", Reason::MissingValue);
                }
                None
            }
        }
    }

    fn purpose(&mut self) -> Option<std::sync::Arc<PurposeDef>> {
        let code = self.needed("purpose")?;
        let Some(purpose) = self.rules.policy.purpose(&code).cloned() else {
            self.fault("purpose", Reason::UnknownPurpose);
            return None;
        };
        if purpose.grounds != Grounds::Consent {
            // Consent is given per kind, never to a group (Recital 43).
            self.fault("purpose", Reason::NotOnConsent);
            return None;
        }
        Some(purpose)
    }

    fn source(&mut self) -> Option<String> {
        self.cell("source").or_else(|| self.rules.source.clone())
    }

    /// An instant, or the beginning of a day; of an end it is the end of the day: what is not known goes to the withdrawal.
    fn time(&mut self, field: &str, ends: bool) -> Option<DateTime<Utc>> {
        let text = self.cell(field)?;
        let Some(at) = instant(&text, ends) else {
            self.fault(field, Reason::InvalidTime);
            return None;
        };
        // What ended on the day that is not over ended by now.
        let begun = ends && instant(&text, false).is_some_and(|begin| begin <= self.rules.now);
        let at = if begun { at.min(self.rules.now) } else { at };
        if at > self.rules.now && field != "expiresAt" {
            self.fault(field, Reason::FutureTime);
            return None;
        }
        Some(at)
    }

    /// A consent with the evidence that its purpose wants (Art. 7(1)).
    fn grant(&mut self, purpose: &PurposeDef, channel: Channel, who: Option<&Who>) -> Option<Grant> {
        let text = (self.needed("language"), self.needed("textVersion"));
        let text_id = if let (Some(language), Some(version)) = text {
            let text = self.rules.texts.get(&(purpose.code.clone(), language, version)).copied();
            if text.is_none() {
                self.fault("textVersion", Reason::UnknownText);
            }
            text
        } else {
            None
        };
        let declared_at = match self.cell("declaredAt") {
            None => self.needed("declaredAt").and(None),
            Some(_) => self.time("declaredAt", false),
        };
        let confirmed_at = self.time("confirmedAt", false);
        let evidence = self.cell("evidence");
        let proof = self.needed("proof");
        match proof.as_deref() {
            // By mail nothing is proved but of e-mail (BGH I ZR 164/09).
            Some(DOUBLE_OPT_IN) if channel != Channel::Email || !accepts(purpose, DOUBLE_OPT_IN) => {
                self.fault("proof", Reason::ProofNotAccepted);
            }
            Some(DOUBLE_OPT_IN) => self.confirmation(declared_at, confirmed_at, evidence.as_deref()),
            Some(proof) if !accepts(purpose, proof) => self.fault("proof", Reason::ProofNotAccepted),
            Some(_) if confirmed_at.is_some() => self.fault("confirmedAt", Reason::UnexpectedValue),
            _ => {}
        }
        let source = self.source();
        if source.is_none() {
            self.needed("source");
        }
        let address = self.cell("address").or_else(|| match (channel, who) {
            (Channel::Email, Some(Who::Email(key))) => Some(key.clone()),
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
            self.fault("evidence", Reason::MissingEvidence);
        }
        match (declared_at, confirmed_at) {
            (_, None) => _ = self.needed("confirmedAt"),
            (Some(declared), Some(confirmed)) if confirmed < declared => {
                self.fault("confirmedAt", Reason::InvalidTime);
            }
            _ => {}
        }
    }

    /// Until when a consent holds that was granted at `from`: never longer than the purpose says.
    fn end(&mut self, purpose: &PurposeDef, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = purpose.validity.as_deref().map(|validity| consents::after(from, validity));
        let Ok(latest) = latest.transpose() else {
            self.fault("declaredAt", Reason::InvalidTime);
            return None;
        };
        let told = self.time("expiresAt", false);
        if told.is_some_and(|end| end <= from || latest.is_some_and(|latest| end > latest)) {
            self.fault("expiresAt", Reason::InvalidExpiry);
        }
        told.or(latest)
    }
}

fn accepts(purpose: &PurposeDef, proof: &str) -> bool {
    purpose.proof.iter().any(|known| known == proof)
}

/// RFC 3339, or a date with an offset, e.g. `2026-10-01+02:00`: its first or last microsecond.
fn instant(text: &str, last: bool) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc().trunc_subsecs(6));
    }
    let (date, offset) = text.split_at_checked(10)?;
    let date: NaiveDate = date.parse().ok()?;
    let date = if last { date.checked_add_days(Days::new(1))? } else { date };
    let at = DateTime::parse_from_rfc3339(&format!("{date}T00:00:00{offset}")).ok()?.to_utc();
    Some(if last { at - TimeDelta::microseconds(1) } else { at })
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn instants_have_an_offset() {
        let told = |text: &str, last| instant(text, last).map(|at| at.to_rfc3339());
        assert_eq!(told("2026-10-01T10:00:00+02:00", false).unwrap(), "2026-10-01T08:00:00+00:00");
        assert_eq!(told("2026-10-01+02:00", false).unwrap(), "2026-09-30T22:00:00+00:00");
        assert_eq!(told("2026-10-01Z", true).unwrap(), "2026-10-01T23:59:59.999999+00:00");
        for bad in ["2026-10-01", "2026-10-01T10:00:00", "yesterday", "", "2026-13-01Z", "01.10.2026"] {
            assert_eq!(told(bad, false), None, "{bad}");
        }
    }
}
