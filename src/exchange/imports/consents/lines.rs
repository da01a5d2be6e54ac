//! Lines of a file of consents: each cell checked, before anything is looked up about a person. Room: exchange/imports/consents.

mod grants;
mod naming;

use std::{collections::HashMap, io::Read, sync::Arc};

use chrono::{DateTime, Utc};
use entity::{consent_text, enums::Channel};
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    columns::Columns,
    wanted::{ConsentImport, OPT_OUT},
};
use crate::{
    app::App,
    base::{error::Error, identities::Reader},
    domain::consents::Said,
    exchange::imports::{
        Problem, Reason,
        csv_table::Table,
        known::Who,
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
    /// By what it names the person: a yes by the first, which the others must agree with, a no by all that it tells.
    pub who: Vec<Who>,
    /// Purposes and channels that are meant: of a yes one.
    pub targets: Vec<(String, Channel)>,
    /// Whether the purposes are meant on every channel, those too that they used once.
    pub every_channel: bool,
    /// The channel that is told.
    pub channel: Option<Channel>,
    /// Purposes and groups that the line objects to.
    pub objections: Vec<String>,
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

    pub fn is_no(&self) -> bool {
        matches!(self.said, Said::Ended { .. })
    }
}

/// What a line says.
pub(super) enum Told {
    Yes(Line),
    No(Line),
    /// It says no, or may say it, and cannot be taken: no yes of these persons to these purposes, or to any, is taken either.
    Unclear {
        who: Vec<Who>,
        purposes: Option<Vec<String>>,
    },
    /// Neither.
    Nothing,
    /// Neither, and nothing is wrong: a column of opt-outs that says none.
    Silent,
}

/// The first 8 bytes of SHA-256.
pub(super) fn short(text: &str) -> u64 {
    Sha256::digest(text).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// What every line is checked against.
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

    pub async fn of(app: &App, import: &ConsentImport) -> Result<Self, Error> {
        let texts = consent_text::Entity::find().all(&app.db.reader).await?;
        let texts = texts.into_iter().map(|text| ((text.purpose_code, text.language, text.version), text.id));
        Ok(Self {
            policy: app.policy.current(),
            reader: app.reader,
            texts: texts.collect(),
            now: app.now(),
            source: import.source.clone(),
        })
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

/// What the line that begins at `line` says, and what is wrong with it. Who says no is believed whatever else is wrong: what is not
/// known of it is taken as widely as it can be meant.
pub(super) fn read<R: Read>(
    table: &Table<R>,
    columns: &Columns,
    rules: &Rules,
    line: u64,
) -> (Told, Vec<Problem>) {
    let mut draft = Draft { table, columns, rules, line, problems: Vec::new() };
    let told = draft.read();
    (told, draft.problems)
}

impl<R: Read> Draft<'_, R> {
    fn fault(&mut self, field: &str, reason: Reason) {
        let column = self.columns.column(field).map_or(field, |(_, head)| head).to_owned();
        self.problems.push(Problem::of(self.line, Some(column), reason));
    }

    /// What the line holds of `field`, one line of sound text.
    fn cell(&mut self, field: &str) -> Option<String> {
        let (index, _) = self.columns.column(field)?;
        let text = self.table.text(index);
        let text = text.and_then(|text| Ok(Validator::Line.check(&text, self.rules.now.date_naive())?));
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

    fn read(&mut self) -> Told {
        if let Some(told) = self.opt_out() {
            return told;
        }
        let status = self.needed("status");
        match status.as_deref().map(words::status) {
            Some(Word::Yes) => {
                if let Some(head) = self.columns.no_beside(self.table) {
                    self.problems.push(Problem::of(self.line, Some(head.to_owned()), Reason::HeldBack));
                    return self.unclear();
                }
                match self.yes().filter(|_| self.problems.is_empty()) {
                    Some(line) => Told::Yes(line),
                    None => Told::Nothing,
                }
            }
            Some(Word::No { refused }) => self.no(refused),
            Some(Word::Undeliverable) => {
                self.fault("status", Reason::Undeliverable);
                Told::Nothing
            }
            Some(Word::Unknown) => {
                self.fault("status", Reason::UnknownStatus);
                self.unclear()
            }
            // What cannot be read may be a no; an empty cell is none.
            None if self.problems.iter().any(|problem| problem.reason != Reason::MissingValue) => {
                self.unclear()
            }
            None => Told::Nothing,
        }
    }

    /// What a column of opt-outs says; nothing where there is none, or where it says nothing beside a status.
    fn opt_out(&mut self) -> Option<Told> {
        let (index, _) = self.columns.column(OPT_OUT)?;
        let with_status = self.columns.column("status").is_some();
        let text = self.cell(OPT_OUT);
        let Some(text) = text else {
            // What cannot be read may be a no.
            let unread = !self.problems.is_empty() || self.table.text(index).is_err();
            return if unread { Some(self.unclear()) } else { (!with_status).then_some(Told::Silent) };
        };
        match words::status(&text) {
            Word::Undeliverable => {
                self.fault(OPT_OUT, Reason::Undeliverable);
                Some(Told::Nothing)
            }
            Word::No { refused: true } => Some(self.no(true)),
            _ if words::opts_out(&text) => Some(self.no(false)),
            _ => (!with_status).then_some(Told::Silent),
        }
    }

    /// A line that may say no, or says it of what cannot be read.
    fn unclear(&mut self) -> Told {
        let before = self.problems.len();
        let who = self.everyone();
        let purposes = self.cell("purpose").and_then(|code| self.named(&code)).map(|purpose| {
            let kinds = self.kinds(&purpose, None).into_iter().map(|(code, _)| code);
            kinds.chain([purpose.code.clone()]).collect()
        });
        // What is wrong beside is not told again.
        self.problems.truncate(before);
        self.problems = std::mem::take(&mut self.problems).into_iter().map(Problem::not_taken).collect();
        Told::Unclear { who, purposes }
    }

    fn yes(&mut self) -> Option<Line> {
        let who = self.one();
        let purpose = self.purpose_on_consent();
        let channel = self.needed("channel").and_then(|word| {
            let channel = words::channel(&word);
            if channel.is_none() {
                self.fault("channel", Reason::InvalidChannel);
            }
            channel
        });
        if let (Some(purpose), Some(channel)) = (&purpose, channel)
            && !uses(purpose, channel)
        {
            self.fault("channel", Reason::ChannelNotUsed);
        }
        let (purpose, channel) = (purpose?, channel?);
        let told = self.told_on(channel);
        let grant = self.grant(&purpose, channel, (who.first(), told));
        who.first()?;
        Some(Line {
            line: self.line,
            who,
            targets: vec![(purpose.code.clone(), channel)],
            every_channel: false,
            channel: Some(channel),
            objections: Vec::new(),
            said: Said::Granted(Box::new(grant?)),
        })
    }

    fn no(&mut self, refused: bool) -> Told {
        let who = self.everyone();
        if who.is_empty() && self.problems.is_empty() {
            self.fault("contactId", Reason::MissingValue);
        }
        let purpose = self.needed("purpose").and_then(|code| {
            let purpose = self.named(&code);
            if purpose.is_none() {
                self.fault("purpose", Reason::UnknownPurpose);
            }
            purpose
        });
        let objected = purpose.as_ref().is_some_and(|purpose| {
            purpose.grounds != Grounds::Consent && crate::exchange::imports::door::can_be_objected_to(purpose)
        });
        if let Some(purpose) = &purpose
            && purpose.grounds != Grounds::Consent
            && !objected
        {
            self.fault("purpose", Reason::NotOnConsent);
        }
        let lost = who.is_empty()
            || purpose.as_ref().is_none_or(|purpose| purpose.grounds != Grounds::Consent && !objected);
        self.problems = std::mem::take(&mut self.problems).into_iter().map(Problem::not_taken).collect();
        let (Some(purpose), false) = (purpose, lost) else { return self.unclear() };
        let mut channel = self.cell("channel").and_then(|word| {
            let channel = words::channel(&word);
            if channel.is_none() {
                self.fault("channel", Reason::InvalidChannel);
            }
            channel
        });
        let mut targets = self.kinds(&purpose, channel);
        if targets.is_empty() && purpose.grounds == Grounds::Consent && channel.is_some() {
            // Where it uses another alone, that one was meant.
            self.fault("channel", Reason::ChannelNotUsed);
            channel = None;
            targets = self.kinds(&purpose, None);
        }
        let (source, at) = (self.source(), self.time("declaredAt", true));
        Told::No(Line {
            line: self.line,
            who,
            every_channel: channel.is_none(),
            targets,
            channel,
            objections: if objected { vec![purpose.code.clone()] } else { Vec::new() },
            said: Said::Ended { refused, at, source },
        })
    }

    /// The purposes on consent that `purpose` stands for, with their channels.
    fn kinds(&self, purpose: &PurposeDef, channel: Option<Channel>) -> Vec<(String, Channel)> {
        let all = self.rules.policy.purposes().iter();
        let meant =
            all.filter(|known| known.code == purpose.code || known.group.as_deref() == Some(&purpose.code));
        let meant = meant.filter(|known| known.grounds == Grounds::Consent);
        let meant =
            meant.flat_map(|known| known.channels.iter().map(|used| (known.code.clone(), stored(*used))));
        meant.filter(|(_, used)| channel.is_none_or(|channel| channel == *used)).collect()
    }

    /// The purpose or group that is called so, in whatever case.
    fn named(&self, code: &str) -> Option<Arc<PurposeDef>> {
        let mut all = self.rules.policy.purposes().iter();
        all.find(|purpose| purpose.code.eq_ignore_ascii_case(code)).cloned()
    }

    fn purpose_on_consent(&mut self) -> Option<Arc<PurposeDef>> {
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
}

fn stored(channel: policy::Channel) -> Channel {
    match channel {
        policy::Channel::Email => Channel::Email,
        policy::Channel::Phone => Channel::Phone,
        policy::Channel::Sms => Channel::Sms,
        policy::Channel::Post => Channel::Post,
    }
}

fn uses(purpose: &PurposeDef, channel: Channel) -> bool {
    purpose.channels.iter().any(|known| stored(*known) == channel)
}
