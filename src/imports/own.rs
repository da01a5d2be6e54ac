//! What an export of Zweck tells beyond the values of a contact (floor 4).

use std::io::Read;

use chrono::{DateTime, NaiveDate, Utc};
use entity::enums::ContactPointKind;
use sea_orm::ActiveEnum;
use serde_json::{Map, Value as Json};

use super::{
    Reason,
    bounded::BoundedLines,
    drafts::{Checked, Checks, Draft, Own, OwnSource, Seen, external_id},
};
use crate::{
    error::Error,
    register::{CONTACT, CONTACT_POINT, Check},
};

pub(super) use crate::formulas::unguarded;

/// What is told of a contact, before it is known whether its id can be read.
pub(super) struct Told {
    created_at: Option<DateTime<Utc>>,
    sources: Vec<OwnSource>,
}

impl Told {
    /// Takes over the contact points and sources; refuses a row that is not of an active contact, since what restricts it
    /// does not come along.
    pub fn new(
        created_at: Option<&str>,
        state: Option<&str>,
        points: Option<Json>,
        sources: Option<Json>,
        today: NaiveDate,
        draft: &mut Draft,
    ) -> Self {
        if state.is_some_and(|state| state != "ACTIVE") {
            draft.refuse(Some("state"), Reason::NotActive);
        }
        let created_at = created_at.and_then(|text| instant(text, "createdAt", today, draft));
        if points.is_some_and(|points| add_points(&points, today, draft).is_none()) {
            draft.refuse(Some("contactPoints"), Reason::InvalidJson);
        }
        let sources: Vec<OwnSource> = match sources.map(serde_json::from_value) {
            None => Vec::new(),
            Some(Ok(sources)) => sources,
            Some(Err(_)) => {
                draft.refuse(Some("provenance"), Reason::InvalidJson);
                Vec::new()
            }
        };
        if sources.iter().any(|source| !source.is_sound(today)) {
            draft.refuse(Some("provenance"), Reason::InvalidJson);
        }
        Self { created_at, sources }
    }

    /// The same of the cells of a CSV file: when it was made, its state, its contact points and sources.
    pub fn of_cells(cells: [Option<String>; 4], today: NaiveDate, draft: &mut Draft) -> Self {
        let [created_at, state, points, sources] = cells;
        let mut json = |cell: Option<String>, name: &str| {
            let parsed = cell.map(|cell| serde_json::from_str(&cell));
            parsed.transpose().unwrap_or_else(|_| {
                draft.refuse(Some(name), Reason::InvalidJson);
                None
            })
        };
        let (points, sources) = (json(points, "contactPoints"), json(sources, "provenance"));
        Self::new(created_at.as_deref(), state.as_deref(), points, sources, today, draft)
    }

    /// All that is told of the contact with this id.
    pub fn own(self, id: &str, column: &str, draft: &mut Draft) -> Option<Own> {
        let Ok(id) = id.parse() else {
            draft.refuse(Some(column), Reason::InvalidId);
            return None;
        };
        Some(Own { id, created_at: self.created_at, sources: self.sources })
    }
}

impl OwnSource {
    fn is_sound(&self, today: NaiveDate) -> bool {
        let texts = [&self.source, &self.external_id, &self.recorded_by, &self.notice_version];
        let lines = texts.into_iter().flatten().chain(&self.fields);
        self.source.as_deref().is_some_and(|source| !source.trim().is_empty())
            && lines.into_iter().all(|line| Check::Line.check(line, today).is_ok())
    }
}

fn instant(text: &str, column: &str, today: NaiveDate, draft: &mut Draft) -> Option<DateTime<Utc>> {
    match text.parse::<DateTime<Utc>>() {
        Ok(at) if at.date_naive() <= today => Some(at),
        _ => {
            draft.fault(column, Reason::InvalidDate);
            None
        }
    }
}

/// Adds the contact points that `points` lists; `None` where it is no such list.
fn add_points(points: &Json, today: NaiveDate, draft: &mut Draft) -> Option<()> {
    for point in points.as_array()? {
        let point = point.as_object()?;
        let kind = ContactPointKind::try_from_value(&point.get("kind")?.as_str()?.to_owned()).ok()?;
        let values: Vec<(&str, &str)> = CONTACT_POINT
            .given()
            .filter_map(|(field, _)| Some((field.name, point.get(field.name)?.as_str()?)))
            .collect();
        let created_at = point.get("createdAt").and_then(Json::as_str);
        let created_at = created_at.and_then(|text| instant(text, "contactPoints", today, draft));
        draft.point(kind, "contactPoints", &values, created_at);
    }
    Some(())
}

/// The lines of an export of Zweck as JSON, each a contact.
pub(super) struct JsonRows<R> {
    lines: BoundedLines<R>,
    line: Vec<u8>,
    checks: Checks,
    today: NaiveDate,
    seen: Seen,
}

impl<R: Read> JsonRows<R> {
    pub fn new(file: R, checks: Checks, today: NaiveDate) -> Self {
        Self { lines: BoundedLines::new(file), line: Vec::new(), checks, today, seen: Seen::new() }
    }

    /// The next contact.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<Checked>, Error> {
        loop {
            let Some(read) = self.lines.next(&mut self.line).map_err(|_| super::broken_off())? else {
                return Ok(None);
            };
            if read.too_long {
                return Ok(Some(Checked::refused(read.number, Reason::TooLong)));
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(match serde_json::from_slice(&self.line) {
                Ok(Json::Object(contact)) => self.contact(read.number, &contact),
                _ => Checked::refused(read.number, Reason::InvalidJson),
            }));
        }
    }

    fn contact(&mut self, line: u64, contact: &Map<String, Json>) -> Checked {
        let mut draft = Draft::new(self.checks, line);
        for (name, value) in contact {
            let Some(field) = CONTACT.field(name) else {
                draft.leave_out("unknown");
                continue;
            };
            match value {
                Json::String(text) if field.check.is_some() => draft.value(field, field.name, text),
                Json::Null => {}
                _ if field.check.is_some() => draft.fault(field.name, Reason::WrongType),
                // What Zweck tells of its own record.
                _ => {}
            }
        }
        let text = |name: &str| contact.get(name).and_then(Json::as_str);
        let list = |name: &str| contact.get(name).filter(|list| !list.is_null()).cloned();
        let (points, sources) = (list("contactPoints"), list("provenance"));
        let told = Told::new(text("createdAt"), text("state"), points, sources, self.today, &mut draft);
        match external_id(text("id").unwrap_or_default()) {
            Ok(id) => {
                let own = told.own(&id, "id", &mut draft);
                draft.finish(id, Some("id"), own, &mut self.seen)
            }
            Err(reason) => draft.without_id("id", reason),
        }
    }
}
