//! Reads the additional data of a Zweck export. Room: exchange/imports.

use std::io::Read;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use entity::enums::{Channel, ContactPointKind};
use sea_orm::ActiveEnum;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    Reason,
    row_draft::{
        CheckedRow, NativeExtras, NativeSource, RowDraft, RowOptOut, SeenKeys, ValueChecks, external_id,
    },
};
use crate::exchange::imports::bounded_lines::BoundedLines;
use crate::{
    base::error::Error,
    registry::{CONTACT, CONTACT_POINT, Validator},
};

pub(super) use crate::base::csv_injection::unescape;

/// Most sources of a contact.
const MAX_SOURCES: usize = 100;
/// Most bytes of a line: a contact with all its contact points and sources takes far less.
const MAX_LINE_BYTES: usize = 4 << 20;

/// The additional data of a contact, before its id is checked.
pub(super) struct NativeFields {
    created_at: Option<DateTime<Utc>>,
    sources: Vec<NativeSource>,
}

impl NativeFields {
    /// Takes over the contact points and sources; refuses a row that is not of an active contact, since what restricts
    /// it does not come along.
    pub fn new(
        created_at: Option<&str>,
        state: Option<&str>,
        points: Option<Json>,
        sources: Option<Json>,
        today: NaiveDate,
        draft: &mut RowDraft,
    ) -> Self {
        if state != Some("ACTIVE") {
            draft.reject(Some("state"), Reason::NotActive);
        }
        let created_at = created_at.and_then(|text| instant(text, "createdAt", today, draft));
        if points.is_some_and(|points| add_points(&points, today, draft).is_none()) {
            draft.reject(Some("contactPoints"), Reason::InvalidJson);
        }
        let sources: Vec<NativeSource> = match sources.map(serde_json::from_value) {
            None => Vec::new(),
            Some(Ok(sources)) => sources,
            Some(Err(_)) => {
                draft.reject(Some("provenance"), Reason::InvalidJson);
                Vec::new()
            }
        };
        if sources.len() > MAX_SOURCES || sources.iter().any(|source| !source.is_sound(today)) {
            draft.reject(Some("provenance"), Reason::InvalidJson);
        }
        Self { created_at, sources }
    }

    /// The same of the cells of a CSV file: when it was made, its state, its contact points and sources.
    pub fn from_cells(cells: [Option<String>; 4], today: NaiveDate, draft: &mut RowDraft) -> Self {
        let [created_at, state, points, sources] = cells;
        let mut json = |cell: Option<String>, name: &str| {
            let parsed = cell.map(|cell| serde_json::from_str(&cell));
            parsed.transpose().unwrap_or_else(|_| {
                draft.reject(Some(name), Reason::InvalidJson);
                None
            })
        };
        let (points, sources) = (json(points, "contactPoints"), json(sources, "provenance"));
        Self::new(created_at.as_deref(), state.as_deref(), points, sources, today, draft)
    }

    /// The additional data of the contact with this id.
    pub fn into_extras(self, id: &str, column: &str, draft: &mut RowDraft) -> Option<NativeExtras> {
        // In one spelling alone, or the same contact could come twice.
        match id.parse::<Uuid>() {
            Ok(parsed) if parsed.to_string() == id => {
                Some(NativeExtras { id: parsed, created_at: self.created_at, sources: self.sources })
            }
            _ => {
                draft.reject(Some(column), Reason::InvalidId);
                None
            }
        }
    }
}

impl NativeSource {
    fn is_sound(&self, today: NaiveDate) -> bool {
        let texts = [
            Some(&self.source),
            self.external_id.as_ref(),
            self.recorded_by.as_ref(),
            self.notice_version.as_ref(),
        ];
        let times = [self.collected_at, self.recorded_at, self.informed_at];
        let is_field = |name: &String| CONTACT.field(name).is_some();
        !self.source.trim().is_empty()
            && texts.into_iter().flatten().all(|line| Validator::Line.validate(line, today).is_ok())
            && times.into_iter().flatten().all(|at| is_plausible(at, today))
            && self.fields.len() <= CONTACT.fields.len()
            && self.fields.iter().all(is_field)
    }
}

/// Not before there were computers, and not after today.
fn is_plausible(at: DateTime<Utc>, today: NaiveDate) -> bool {
    at.year() >= 1950 && at.date_naive() <= today
}

fn instant(text: &str, column: &str, today: NaiveDate, draft: &mut RowDraft) -> Option<DateTime<Utc>> {
    match text.parse::<DateTime<Utc>>() {
        Ok(at) if is_plausible(at, today) => Some(at),
        _ => {
            draft.invalid_value(column, Reason::InvalidDate);
            None
        }
    }
}

/// Adds the contact points in `points`; `None` if it is not such a list.
fn add_points(points: &Json, today: NaiveDate, draft: &mut RowDraft) -> Option<()> {
    for point in points.as_array()? {
        let point = point.as_object()?;
        let kind = ContactPointKind::try_from_value(&point.get("kind")?.as_str()?.to_owned()).ok()?;
        let values: Vec<(&str, &str)> = CONTACT_POINT
            .writable_fields()
            .filter_map(|(field, _)| Some((field.name, point.get(field.name)?.as_str()?)))
            .collect();
        let created_at = point.get("createdAt").and_then(Json::as_str);
        let created_at = created_at.and_then(|text| instant(text, "contactPoints", today, draft));
        draft.point(kind, "contactPoints", &values, created_at);
    }
    Some(())
}

/// What a person objects to, in an export as JSON.
pub(super) const OPT_OUTS: &str = "optOuts";

/// The lines of an export of Zweck as JSON, each a contact.
pub(super) struct JsonRows<R> {
    lines: BoundedLines<R>,
    line: Vec<u8>,
    checks: ValueChecks,
    today: NaiveDate,
    seen: SeenKeys,
    /// Whether a line must contain opt-outs.
    needs_opt_outs: bool,
    /// The name of the version that a line is based on.
    expected_version: Option<String>,
}

impl<R: Read> JsonRows<R> {
    pub fn new(
        file: R,
        checks: ValueChecks,
        today: NaiveDate,
        needs_opt_outs: bool,
        expected_version: Option<String>,
    ) -> Self {
        Self {
            lines: BoundedLines::new(file, MAX_LINE_BYTES),
            line: Vec::new(),
            checks,
            today,
            seen: SeenKeys::new(),
            needs_opt_outs,
            expected_version,
        }
    }

    /// The next contact.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<CheckedRow>, Error> {
        loop {
            let Some(read) = self.lines.next(&mut self.line).map_err(|_| {
                crate::exchange::imports::csv_scanner::broken_off_error(self.lines.read() + 1)
            })?
            else {
                return Ok(None);
            };
            if read.too_long {
                return Ok(Some(unreadable_line(read.number, Reason::TooLong, true)));
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(match serde_json::from_slice(&self.line) {
                Ok(Json::Object(contact)) => self.contact(read.number, &contact),
                _ => unreadable_line(read.number, Reason::InvalidJson, may_opt_out(&self.line)),
            }));
        }
    }

    fn contact(&mut self, line: u64, contact: &Map<String, Json>) -> CheckedRow {
        let mut draft = RowDraft::new(self.checks, line);
        for (name, value) in contact {
            let Some(field) = CONTACT.field(name) else {
                if name != OPT_OUTS {
                    draft.mark_left_out("unknown");
                }
                continue;
            };
            match value {
                Json::String(text) if field.validator.is_some() => draft.value(field, field.name, text),
                Json::Null => {}
                _ if field.validator.is_some() => draft.invalid_value(field.name, Reason::WrongType),
                // Fields that Zweck computes.
                _ => {}
            }
        }
        match contact.get(OPT_OUTS) {
            None | Some(Json::Null) if self.needs_opt_outs => {
                draft.reject(Some(OPT_OUTS), Reason::MissingValue);
            }
            None | Some(Json::Null) => {}
            Some(Json::Array(all)) => {
                for parse_opt_out in all {
                    let text_of =
                        |name: &str| parse_opt_out.get(name).and_then(Json::as_str).map(str::to_owned);
                    let channel =
                        text_of("channel").and_then(|channel| Channel::try_from_value(&channel).ok());
                    let at = text_of("objectedAt").and_then(|at| at.parse().ok());
                    draft.add_opt_out(RowOptOut { channel, purpose: text_of("purpose"), at });
                }
            }
            // An opt-out that cannot be read.
            Some(_) => {
                draft.invalid_value(OPT_OUTS, Reason::WrongType);
                draft.add_opt_out(RowOptOut { channel: None, purpose: None, at: None });
            }
        }
        if let Some(name) = &self.expected_version {
            match contact.get(name) {
                None | Some(Json::Null) => {}
                Some(Json::String(text)) => draft.expect_version(name, text),
                Some(other) => draft.expect_version(name, &other.to_string()),
            }
        }
        let text = |name: &str| contact.get(name).and_then(Json::as_str);
        let list = |name: &str| contact.get(name).filter(|list| !list.is_null()).cloned();
        let (points, sources) = (list("contactPoints"), list("provenance"));
        let native_fields =
            NativeFields::new(text("createdAt"), text("state"), points, sources, self.today, &mut draft);
        match external_id(text("id").unwrap_or_default()) {
            Ok(id) => {
                let native = native_fields.into_extras(&id, "id", &mut draft);
                draft.finish(id, Some("id"), native, &mut self.seen)
            }
            Err(reason) => draft.without_id("id", reason),
        }
    }
}

/// Whether a line of invalid JSON may contain an opt-out: it has a list of them that is not empty.
fn may_opt_out(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let Some((_, list)) = text.split_once(OPT_OUTS) else { return false };
    let list: String = list.chars().filter(|c| !c.is_whitespace()).take(4).collect();
    !list.starts_with("\":[]")
}

/// A line that cannot be read and may opt out.
fn unreadable_line(line: u64, reason: Reason, may_opt_out: bool) -> CheckedRow {
    let mut checked = CheckedRow::unreadable(line, reason);
    checked.problems.iter_mut().for_each(|problem| problem.no_not_taken = may_opt_out);
    checked
}

/// What a cell or card of an export of Zweck names: the code of a purpose or group, and since when behind an `@`.
pub(super) fn parse_opt_out(text: &str, channel: Option<Channel>) -> RowOptOut {
    let (code, at) = text.split_once('@').unwrap_or((text, ""));
    RowOptOut { channel, purpose: Some(code.to_owned()), at: at.parse().ok() }
}
