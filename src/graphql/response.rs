//! The response as JSON: data in the order of the plan, one error per coordinate, and what was withheld or masked.
//! Room: graphql.

use async_graphql::Pos;

use crate::{
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        metrics,
    },
    engine::{Denial, write_text},
};

/// An entry of `errors`.
#[derive(Clone, Debug)]
pub(super) struct ResponseError {
    pub(super) error: Error,
    pub(super) positions: Vec<Pos>,
    /// The root field that is null because of this error.
    pub(super) root: Option<String>,
}

impl ResponseError {
    pub(super) fn new(error: Error) -> Self {
        Self { error, positions: Vec::new(), root: None }
    }

    pub(super) fn at_root(error: Error, key: &str) -> Self {
        Self { root: Some(key.to_owned()), ..Self::new(error) }
    }

    /// A denied read has no path, because it applies to every row; bad input and a refused mutation have the path of
    /// their root field.
    pub(super) fn from_denial(denial: &Denial, writes: bool) -> Self {
        let is_denied = matches!(denial.error.code, Code::Forbidden | Code::ForbiddenField);
        let root = denial.root.clone().filter(|_| writes || !is_denied);
        Self { error: denial.error.clone(), positions: denial.positions.clone(), root }
    }

    fn write(&self, out: &mut String, request_id: &str, purpose: Option<&str>) {
        metrics::count_error(self.error.code.as_str(), self.error.code.limit());
        out.push_str("{\"message\":");
        write_text(out, &self.error.message);
        if !self.positions.is_empty() {
            let positions: Vec<String> = self
                .positions
                .iter()
                .take(20)
                .map(|position| format!("{{\"line\":{},\"column\":{}}}", position.line, position.column))
                .collect();
            out.push_str(&format!(",\"locations\":[{}]", positions.join(",")));
        }
        if let Some(root) = &self.root {
            out.push_str(",\"path\":[");
            write_text(out, root);
            out.push(']');
        }
        out.push_str(",\"extensions\":{\"code\":");
        write_text(out, self.error.code.as_str());
        let named = [
            ("coordinate", self.error.coordinate.as_deref()),
            ("inputPath", self.error.input_path.as_deref()),
            ("purpose", purpose),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                out.push_str(&format!(",\"{name}\":"));
                write_text(out, value);
            }
        }
        if let Some(outcome) = self.error.outcome {
            out.push_str(",\"outcome\":");
            write_text(out, outcome.as_str());
        }
        out.push_str(",\"requestId\":");
        write_text(out, request_id);
        out.push_str("}}");
    }
}

/// Errors as a JSON list, as the WebSocket sub-protocol expects them.
pub(super) fn errors_json(errors: &[ResponseError], actor: &Actor) -> String {
    let purpose = actor.purpose.as_ref().map(|purpose| purpose.code.as_str());
    let mut out = String::from("[");
    for (index, error) in errors.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        error.write(&mut out, &actor.request_id, purpose);
    }
    out.push(']');
    out
}

/// The parts of a response.
pub(super) struct ResponseParts<'a> {
    /// Response keys with their JSON; `None` when nothing was executed.
    pub(super) data: Option<Vec<(String, String)>>,
    pub(super) errors: Vec<ResponseError>,
    pub(super) withheld: Vec<(&'a str, u64)>,
    pub(super) masked: &'a [String],
}

impl ResponseParts<'_> {
    pub(super) fn json(&self, actor: &Actor) -> Vec<u8> {
        self.text(actor).into_bytes()
    }

    pub(super) fn text(&self, actor: &Actor) -> String {
        let purpose = actor.purpose.as_ref().map(|purpose| purpose.code.as_str());
        let size = self.data.iter().flatten().map(|(key, json)| key.len() + json.len() + 8).sum::<usize>();
        let mut out = String::with_capacity(size + 256);
        out.push('{');
        if let Some(data) = &self.data {
            out.push_str("\"data\":{");
            for (index, (key, json)) in data.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_text(&mut out, key);
                out.push(':');
                out.push_str(json);
            }
            out.push('}');
        }
        if !self.errors.is_empty() {
            out.push_str(if self.data.is_some() { ",\"errors\":[" } else { "\"errors\":[" });
            for (index, error) in self.errors.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                error.write(&mut out, &actor.request_id, purpose);
            }
            out.push(']');
        }
        self.write_extensions(&mut out);
        out.push('}');
        out
    }

    fn write_extensions(&self, out: &mut String) {
        let withheld: Vec<String> = self
            .withheld
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(coordinate, count)| {
                format!(
                    "{{\"coordinate\":\"{coordinate}\",\"reason\":\"CONSENT_MISSING\",\"count\":{count}}}"
                )
            })
            .collect();
        let masked: Vec<String> = self.masked.iter().map(|coordinate| format!("\"{coordinate}\"")).collect();
        let parts: Vec<String> = [("withheld", withheld), ("masked", masked)]
            .iter()
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(name, entries)| format!("\"{name}\":[{}]", entries.join(",")))
            .collect();
        if !parts.is_empty() {
            out.push_str(&format!(",\"extensions\":{{{}}}", parts.join(",")));
        }
    }
}

/// An error that occurs before the actor is known, as a JSON list.
pub fn error_list(error: &Error, request_id: &str) -> String {
    let mut out = String::from("[");
    ResponseError::new(error.clone()).write(&mut out, request_id, None);
    out.push(']');
    out
}

/// An error for `actor`, as a JSON list.
pub fn errors_for(error: &Error, actor: &Actor) -> String {
    errors_json(&[ResponseError::new(error.clone())], actor)
}

/// The response body for a request that is refused before its operation is known.
pub fn error_body(error: &Error, request_id: &str) -> Vec<u8> {
    let mut out = String::from("{\"errors\":[");
    ResponseError::new(error.clone()).write(&mut out, request_id, None);
    out.push_str("]}");
    out.into_bytes()
}
