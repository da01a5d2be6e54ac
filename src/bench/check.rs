//! Answers must be equal before anything is measured, byte for byte. Room: bench.

use entity::{consent, consent_change, enums::ConsentChangeKind};
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder, QuerySelect};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    BenchError, Servers, Tokens,
    data::{self, Data},
    queries::{Kind, Query},
};
use crate::{app::App, base::error::Error};

/// Contacts that are asked for one by one.
const SAMPLE_SIZE: usize = 20;

/// What the comparison has found and done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Of the withdrawable consents the first so many are withdrawn now.
    pub withdrawn: u64,
    /// Bytes of the answers to Q1 and Q3.
    pub bytes: [usize; 2],
}

/// Asks everybody for everything and compares.
///
/// # Errors
/// `Differs`, with the query and the place of the first difference.
pub async fn equal(
    app: &App,
    servers: &Servers,
    tokens: &Tokens,
    data: &Data,
) -> Result<Checked, BenchError> {
    let mut bytes = [0; 2];
    let answers = bytes.iter_mut();
    for ((query, most), length) in [(Query::Q1, 100), (Query::Q3, 1_000)].into_iter().zip(answers) {
        let governed = same(servers, tokens, query, None).await?;
        *length = governed.len();
        let nodes = parsed(query, &governed)?;
        let count = nodes.pointer("/data/contacts/nodes").and_then(Json::as_array).map_or(0, Vec::len);
        let expected = data.visible.len().min(most);
        if count != expected {
            return Err(BenchError::Differs(format!(
                "{} shows {count} contacts of {expected}",
                query.as_str()
            )));
        }
        if query == Query::Q1 {
            denied(servers, tokens, nodes).await?;
        }
    }
    let step = (data.visible.len() / SAMPLE_SIZE).max(1);
    for id in data.visible.iter().step_by(step) {
        let governed = same(servers, tokens, Query::Q2, Some(*id)).await?;
        if !governed.contains(&id.to_string()) {
            return Err(BenchError::Differs(format!("Q2 does not show the contact {id}")));
        }
    }
    // Without a live consent a contact does not exist, for anybody.
    for id in data.hidden.iter().take(SAMPLE_SIZE).copied().chain([Uuid::max()]) {
        let governed = same(servers, tokens, Query::Q2, Some(id)).await?;
        if governed != r#"{"data":{"contact":null}}"# {
            return Err(BenchError::Differs(format!("Q2 shows the contact {id}, which has no live consent")));
        }
    }
    Ok(Checked { withdrawn: withdrawn(app, servers, tokens, data).await?, bytes })
}

/// The answer that everybody who answers `query` gives.
async fn same(
    servers: &Servers,
    tokens: &Tokens,
    query: Query,
    id: Option<Uuid>,
) -> Result<String, BenchError> {
    let mut first: Option<String> = None;
    for kind in Kind::ALL {
        let mut request = query.request(kind);
        if let Some(id) = id {
            request = request.about(&id.to_string());
        }
        let body = servers.of(kind)?.body(&request, &tokens.allowed).await?;
        match &first {
            Some(first) => compare(query, kind, first, &body)?,
            None => first = Some(body),
        }
    }
    first.ok_or_else(|| BenchError::Failed("nobody was asked".to_owned()))
}

/// The denial: the values are null, one error says why, and nothing else differs from Q1.
async fn denied(servers: &Servers, tokens: &Tokens, mut allowed: Json) -> Result<(), BenchError> {
    let nodes = allowed.pointer_mut("/data/contacts/nodes").and_then(Json::as_array_mut);
    for node in nodes.into_iter().flatten() {
        if let Some(company) = node.get_mut("company") {
            *company = Json::Null;
        }
    }
    let request = Query::Q4.request(Kind::Governed);
    let body = servers.of(Kind::Governed)?.body(&request, &tokens.denied).await?;
    // All but the closing brace, behind which the errors follow.
    let expected = allowed.to_string();
    let data = expected.strip_suffix('}').unwrap_or(&expected);
    if !body.starts_with(&format!("{data},\"errors\":[")) {
        return compare(Query::Q4, Kind::Governed, &expected, &body);
    }
    let errors = parsed(Query::Q4, &body)?;
    let errors = errors.get("errors").and_then(Json::as_array).cloned().unwrap_or_default();
    let text = |at: &str| errors.first().and_then(|error| error.pointer(at)?.as_str());
    let actual = (errors.len(), text("/extensions/code"), text("/extensions/coordinate"));
    if actual != (1, Some("FORBIDDEN_FIELD"), Some("Contact.company")) {
        return Err(BenchError::Differs(format!("Q4 denies otherwise than expected: {actual:?}")));
    }
    Ok(())
}

/// Withdrawals by both who withdraw: the answers are equal, the id aside, and so is what those who follow are told: once that the
/// consent has ended, and nothing when it is withdrawn again.
async fn withdrawn(app: &App, servers: &Servers, tokens: &Tokens, data: &Data) -> Result<u64, BenchError> {
    let mut first: Option<String> = None;
    let mut done = 0;
    for (kind, consent) in [Kind::Governed, Kind::Hand].into_iter().zip(&data.withdrawable) {
        let id = consent.to_string();
        let request = Query::M1.request(kind).about(&id);
        let before = changes(app).await?;
        for expected in [1, 1] {
            let body = servers.of(kind)?.body(&request, &tokens.allowed).await?.replace(&id, "ID");
            match &first {
                Some(first) => compare(Query::M1, kind, first, &body)?,
                None => first = Some(body),
            }
            if changes(app).await?.saturating_sub(before) != expected || !is_last(app, *consent).await? {
                let text = format!("M1 of {} does not tell those who follow of one end", kind.as_str());
                return Err(BenchError::Differs(text));
            }
        }
        done += 1;
    }
    match first.as_deref() {
        Some(r#"{"data":{"withdrawConsent":{"consent":{"id":"ID","status":"WITHDRAWN"}}}}"#) => Ok(done),
        other => Err(BenchError::Differs(format!("M1 answers {}", other.unwrap_or("nothing")))),
    }
}

/// Changes there are, once all have their place.
async fn changes(app: &App) -> Result<u64, BenchError> {
    data::numbered(app).await?;
    let count = consent_change::Entity::find().count(&app.db.reader).await;
    count.map_err(|error| BenchError::from(Error::from(error)))
}

/// Whether the last change that those who follow will see is the end of `consent`.
async fn is_last(app: &App, consent: Uuid) -> Result<bool, BenchError> {
    let last = consent_change::Entity::find().order_by_desc(consent_change::Column::Id).limit(1);
    let last = last.one(&app.db.reader).await.map_err(Error::from)?;
    let consent = consent::Entity::find_by_id(consent).one(&app.db.reader).await.map_err(Error::from)?;
    Ok(last.zip(consent).is_some_and(|(last, consent)| {
        let about = (last.contact_id, &last.purpose_code, last.channel);
        last.kind == ConsentChangeKind::Ended
            && about == (consent.contact_id, &consent.purpose_code, consent.channel)
    }))
}

fn parsed(query: Query, body: &str) -> Result<Json, BenchError> {
    serde_json::from_str(body).map_err(|_| BenchError::Differs(format!("{} answers no JSON", query.as_str())))
}

/// Says where two answers differ, if they do.
fn compare(query: Query, kind: Kind, governed: &str, other: &str) -> Result<(), BenchError> {
    if governed == other {
        return Ok(());
    }
    let same = governed.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let part = bytes.get(same.saturating_sub(40)..(same + 60).min(bytes.len())).unwrap_or_default();
        String::from_utf8_lossy(part).into_owned()
    };
    Err(BenchError::Differs(format!(
        "{} of {} differs at byte {same}:\n  {}\n  {}",
        query.as_str(),
        kind.as_str(),
        around(governed),
        around(other)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        assert!(compare(Query::Q1, Kind::Hand, "same", "same").is_ok());
        let error = compare(Query::Q1, Kind::Hand, r#"{"a":1}"#, r#"{"a":2}"#).unwrap_err().to_string();
        assert!(error.contains("Q1 of hand differs at byte 5"), "{error}");
        assert!(compare(Query::Q1, Kind::Hand, "ä", "ö").is_err());
        assert!(compare(Query::Q1, Kind::Hand, "ab", "abc").is_err());
    }
}
