//! Lines of a file of consents: each cell checked, before anything is looked up about a person.
//! Room: exchange/imports/consents.

mod grants;
mod persons;

use std::{collections::HashMap, io::Read, sync::Arc};

use chrono::{DateTime, Utc};
use entity::{consent_text, enums::Channel};
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    columns::Columns,
    consent_import::{ConsentImport, OPT_OUT},
};
use crate::{
    app::App,
    base::{error::Error, identities::Reader},
    domain::consents::DeclaredState,
    exchange::imports::{
        Problem, Reason,
        contact_lookup::PersonRef,
        csv_table::Table,
        times::instant,
        words::{self, Word},
    },
    policy::{self, Grounds, Policy, PurposeDef},
    registry::Validator,
};

/// A line that passed every check.
#[derive(Clone)]
pub(super) struct Line {
    pub line: u64,
    /// The references to the person: a consent is matched by the first, which the others must agree with; an opt-out by
    /// all of them.
    pub persons: Vec<PersonRef>,
    /// The purposes and channels; exactly one for a consent.
    pub targets: Vec<(String, Channel)>,
    /// Whether it concerns every channel of the purposes, including channels they used before.
    pub every_channel: bool,
    /// The channel in the file.
    pub channel: Option<Channel>,
    /// Purposes and groups that the line objects to.
    pub objections: Vec<String>,
    pub said: DeclaredState,
}

impl Line {
    /// 8 bytes of a digest of what the line says, beside whom it is about.
    pub fn content(&self) -> u64 {
        let text = match &self.said {
            DeclaredState::Granted(grant) => format!(
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
            DeclaredState::Ended { refused, at, source } => format!("{:?}", (refused, at, source)),
        };
        short_digest(&text)
    }

    pub fn is_no(&self) -> bool {
        matches!(self.said, DeclaredState::Ended { .. })
    }
}

/// A parsed line.
pub(super) enum ParsedLine {
    Grant(Line),
    End(Line),
    /// An opt-out, or a possible one, that cannot be recorded. Consents of these persons to these purposes, or to any,
    /// are held back.
    UnclearLine {
        persons: Vec<PersonRef>,
        purposes: Option<Vec<String>>,
    },
    /// Neither.
    Invalid,
    /// Neither, without a problem: an empty opt-out column.
    Empty,
}

/// The first 8 bytes of SHA-256.
pub(super) fn short_digest(text: &str) -> u64 {
    Sha256::digest(text).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// The context for checking lines.
pub(super) struct Rules {
    pub policy: Arc<Policy>,
    reader: Reader,
    texts: HashMap<(String, String, String), Uuid>,
    now: DateTime<Utc>,
    source: Option<String>,
}

impl Rules {
    /// The instant of the import.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub async fn load(app: &App, import: &ConsentImport) -> Result<Self, Error> {
        let texts = consent_text::Entity::find().all(&app.db.reader).await?;
        let texts = texts.into_iter().map(|text| ((text.purpose_code, text.language, text.version), text.id));
        Ok(Self {
            policy: app.policy.current(),
            reader: app.identity_reader,
            texts: texts.collect(),
            now: app.now(),
            source: import.source.clone(),
        })
    }
}

/// A line while it is parsed.
struct LineDraft<'a, R> {
    table: &'a Table<R>,
    columns: &'a Columns,
    rules: &'a Rules,
    line: u64,
    problems: Vec<Problem>,
}

/// Parses the line that begins at `line`, and returns its problems. An opt-out counts whatever else is wrong:
/// unreadable parts are interpreted as widely as possible.
pub(super) fn read<R: Read>(
    table: &Table<R>,
    columns: &Columns,
    rules: &Rules,
    line: u64,
) -> (ParsedLine, Vec<Problem>) {
    let mut draft = LineDraft { table, columns, rules, line, problems: Vec::new() };
    let parsed = draft.read();
    (parsed, draft.problems)
}

impl<R: Read> LineDraft<'_, R> {
    fn invalid_value(&mut self, field: &str, reason: Reason) {
        let column = self.columns.column(field).map_or(field, |(_, header_name)| header_name).to_owned();
        self.problems.push(Problem::new(self.line, Some(column), reason));
    }

    /// The cell of `field`, checked to be a single line of valid text.
    fn cell(&mut self, field: &str) -> Option<String> {
        let (index, _) = self.columns.column(field)?;
        let text = self.table.text(index);
        let text = text.and_then(|text| Ok(Validator::Line.validate(&text, self.rules.now.date_naive())?));
        text.unwrap_or_else(|reason| {
            self.invalid_value(field, reason);
            None
        })
    }

    fn required_cell(&mut self, field: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.cell(field);
        if text.is_none() && self.problems.len() == before {
            self.invalid_value(field, Reason::MissingValue);
        }
        text
    }

    fn read(&mut self) -> ParsedLine {
        if let Some(parsed) = self.opt_out() {
            return parsed;
        }
        let status = self.required_cell("status");
        match status.as_deref().map(words::status) {
            Some(Word::Yes) => {
                if let Some(header_name) = self.columns.header_saying_no(self.table) {
                    self.problems.push(Problem::new(
                        self.line,
                        Some(header_name.to_owned()),
                        Reason::HeldBack,
                    ));
                    return self.unclear();
                }
                match self.grant_line().filter(|_| self.problems.is_empty()) {
                    Some(line) => ParsedLine::Grant(line),
                    None => ParsedLine::Invalid,
                }
            }
            Some(Word::No { refused }) => self.end_line(refused),
            Some(Word::Undeliverable) => {
                self.invalid_value("status", Reason::Undeliverable);
                ParsedLine::Invalid
            }
            Some(Word::Unknown) => {
                self.invalid_value("status", Reason::UnknownStatus);
                self.unclear()
            }
            // An unreadable cell may be an opt-out; an empty one is not.
            None if self.problems.iter().any(|problem| problem.reason != Reason::MissingValue) => {
                self.unclear()
            }
            None => ParsedLine::Invalid,
        }
    }

    /// The result of an opt-out column; `None` if there is none, or if it is empty beside a status column.
    fn opt_out(&mut self) -> Option<ParsedLine> {
        let (index, _) = self.columns.column(OPT_OUT)?;
        let with_status = self.columns.column("status").is_some();
        let text = self.cell(OPT_OUT);
        let Some(text) = text else {
            // An unreadable cell may be an opt-out.
            let is_unreadable = !self.problems.is_empty() || self.table.text(index).is_err();
            return if is_unreadable {
                Some(self.unclear())
            } else {
                (!with_status).then_some(ParsedLine::Empty)
            };
        };
        match words::status(&text) {
            Word::Undeliverable => {
                self.invalid_value(OPT_OUT, Reason::Undeliverable);
                Some(ParsedLine::Invalid)
            }
            Word::No { refused: true } => Some(self.end_line(true)),
            _ if words::opts_out(&text) => Some(self.end_line(false)),
            _ => (!with_status).then_some(ParsedLine::Empty),
        }
    }

    /// A line that may be an opt-out, or is one that cannot be read completely.
    fn unclear(&mut self) -> ParsedLine {
        let before = self.problems.len();
        let persons = self.all_persons();
        let purposes = self.cell("purpose").and_then(|code| self.find_purpose(&code)).map(|purpose| {
            let consent_targets = self.consent_targets(&purpose, None).into_iter().map(|(code, _)| code);
            consent_targets.chain([purpose.code.clone()]).collect()
        });
        // Further problems of the line are not reported twice.
        self.problems.truncate(before);
        self.problems = std::mem::take(&mut self.problems).into_iter().map(Problem::not_taken).collect();
        ParsedLine::UnclearLine { persons, purposes }
    }

    fn grant_line(&mut self) -> Option<Line> {
        let persons = self.sole_person();
        let purpose = self.purpose_on_consent();
        let channel = self.required_cell("channel").and_then(|word| {
            let channel = words::channel(&word);
            if channel.is_none() {
                self.invalid_value("channel", Reason::InvalidChannel);
            }
            channel
        });
        if let (Some(purpose), Some(channel)) = (&purpose, channel)
            && !uses_channel(purpose, channel)
        {
            self.invalid_value("channel", Reason::ChannelNotUsed);
        }
        let (purpose, channel) = (purpose?, channel?);
        let addresses = self.addresses_on_channel(channel);
        let grant = self.grant(&purpose, channel, (persons.first(), addresses));
        persons.first()?;
        Some(Line {
            line: self.line,
            persons,
            targets: vec![(purpose.code.clone(), channel)],
            every_channel: false,
            channel: Some(channel),
            objections: Vec::new(),
            said: DeclaredState::Granted(Box::new(grant?)),
        })
    }

    fn end_line(&mut self, refused: bool) -> ParsedLine {
        let persons = self.all_persons();
        if persons.is_empty() && self.problems.is_empty() {
            self.invalid_value("contactId", Reason::MissingValue);
        }
        let purpose = self.required_cell("purpose").and_then(|code| {
            let purpose = self.find_purpose(&code);
            if purpose.is_none() {
                self.invalid_value("purpose", Reason::UnknownPurpose);
            }
            purpose
        });
        let is_objectable = purpose.as_ref().is_some_and(|purpose| {
            purpose.grounds != Grounds::Consent
                && crate::exchange::imports::objection_recorder::can_be_objected_to(purpose)
        });
        if let Some(purpose) = &purpose
            && purpose.grounds != Grounds::Consent
            && !is_objectable
        {
            self.invalid_value("purpose", Reason::NotOnConsent);
        }
        let is_lost = persons.is_empty()
            || purpose.as_ref().is_none_or(|purpose| purpose.grounds != Grounds::Consent && !is_objectable);
        self.problems = std::mem::take(&mut self.problems).into_iter().map(Problem::not_taken).collect();
        let (Some(purpose), false) = (purpose, is_lost) else { return self.unclear() };
        let mut channel = self.cell("channel").and_then(|word| {
            let channel = words::channel(&word);
            if channel.is_none() {
                self.invalid_value("channel", Reason::InvalidChannel);
            }
            channel
        });
        let mut targets = self.consent_targets(&purpose, channel);
        if targets.is_empty() && purpose.grounds == Grounds::Consent && channel.is_some() {
            // Where it uses another alone, that one was meant.
            self.invalid_value("channel", Reason::ChannelNotUsed);
            channel = None;
            targets = self.consent_targets(&purpose, None);
        }
        let (source, at) = (self.source(), self.time("declaredAt", true));
        ParsedLine::End(Line {
            line: self.line,
            persons,
            every_channel: channel.is_none(),
            targets,
            channel,
            objections: if is_objectable { vec![purpose.code.clone()] } else { Vec::new() },
            said: DeclaredState::Ended { refused, at, source },
        })
    }

    /// The consent-based purposes that `purpose` covers, with their channels.
    fn consent_targets(&self, purpose: &PurposeDef, channel: Option<Channel>) -> Vec<(String, Channel)> {
        let purposes = self.rules.policy.purposes().iter();
        let matching = purposes.filter(|purpose_def| {
            purpose_def.code == purpose.code || purpose_def.group.as_deref() == Some(&purpose.code)
        });
        let matching = matching.filter(|purpose_def| purpose_def.grounds == Grounds::Consent);
        let matching = matching.flat_map(|purpose_def| {
            purpose_def
                .channels
                .iter()
                .map(|used_channel| (purpose_def.code.clone(), to_entity_channel(*used_channel)))
        });
        matching.filter(|(_, used_channel)| channel.is_none_or(|channel| channel == *used_channel)).collect()
    }

    /// The purpose or group with this code, ignoring case.
    fn find_purpose(&self, code: &str) -> Option<Arc<PurposeDef>> {
        let mut purposes = self.rules.policy.purposes().iter();
        purposes.find(|purpose| purpose.code.eq_ignore_ascii_case(code)).cloned()
    }

    fn purpose_on_consent(&mut self) -> Option<Arc<PurposeDef>> {
        let code = self.required_cell("purpose")?;
        let Some(purpose) = self.rules.policy.purpose(&code).cloned() else {
            self.invalid_value("purpose", Reason::UnknownPurpose);
            return None;
        };
        if purpose.grounds != Grounds::Consent {
            // Consent is given per kind, never to a group (Recital 43).
            self.invalid_value("purpose", Reason::NotOnConsent);
            return None;
        }
        Some(purpose)
    }

    fn source(&mut self) -> Option<String> {
        self.cell("source").or_else(|| self.rules.source.clone())
    }

    /// An instant, or the beginning of a day; for an end, the end of the day: uncertainty favours the withdrawal.
    fn time(&mut self, field: &str, is_end: bool) -> Option<DateTime<Utc>> {
        let text = self.cell(field)?;
        let Some(at) = instant(&text, is_end) else {
            self.invalid_value(field, Reason::InvalidTime);
            return None;
        };
        // An end on the current day counts as now.
        let has_begun = is_end && instant(&text, false).is_some_and(|begin| begin <= self.rules.now);
        let at = if has_begun { at.min(self.rules.now) } else { at };
        if at > self.rules.now && field != "expiresAt" {
            self.invalid_value(field, Reason::FutureTime);
            return None;
        }
        Some(at)
    }
}

fn to_entity_channel(channel: policy::Channel) -> Channel {
    match channel {
        policy::Channel::Email => Channel::Email,
        policy::Channel::Phone => Channel::Phone,
        policy::Channel::Sms => Channel::Sms,
        policy::Channel::Post => Channel::Post,
    }
}

fn uses_channel(purpose: &PurposeDef, channel: Channel) -> bool {
    purpose.channels.iter().any(|used| to_entity_channel(*used) == channel)
}
