//! Issued receipts, each with an entry in the audit log. Room: exchange/exports.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::record;
use crate::{
    app::App,
    audit::{ChangeSet, Entry},
    auth::actor::Actor,
    base::error::{Code, Error},
    exchange::contact_pages,
    graphql::{Pipeline, Request},
    registry::{CONSENT, DataCategory},
};

/// How a receipt is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptFormat {
    /// The signed JSON-LD.
    JsonLd,
    /// The printable record, German.
    German,
    /// The printable record, English.
    English,
}

impl ReceiptFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::JsonLd => "jsonld",
            Self::German | Self::English => "html",
        }
    }

    fn selection(self) -> &'static str {
        match self {
            Self::JsonLd => "text: document document",
            Self::German => "text: html(language: \"de\") document",
            Self::English => "text: html(language: \"en\") document",
        }
    }
}

/// The receipt of a consent, as a client of the API gets it. The audit log records it before it is returned.
///
/// # Errors
/// `NOT_FOUND` where there is no such consent for this caller; `FORBIDDEN` and `FORBIDDEN_FIELD` where it may not be
/// read; `AUDIT_UNAVAILABLE`.
pub async fn receipt(
    app: &App,
    pipeline: &Pipeline,
    actor: &Actor,
    consent: Uuid,
    format: ReceiptFormat,
) -> Result<String, Error> {
    let query = format!("query($id: ID!) {{ consentReceipt(consentId: $id) {{ {} }} }}", format.selection());
    let variables = Map::from_iter([("id".to_owned(), json!(consent))]);
    let request = Request { query, variables, strict: true, ..Request::default() };
    let answer = pipeline.execute(app, actor, request).await;
    let data = contact_pages::data(&answer.body)?;
    let not_found = || Error::new(Code::NotFound, "there is no such consent");
    let field = |name: &str| data.get("consentReceipt").and_then(|it| it.get(name)).and_then(Json::as_str);
    let (text, document) = (field("text").ok_or_else(not_found)?, field("document").ok_or_else(not_found)?);
    let details = json!({"format": format.as_str()});
    let entry = Entry {
        action: "issueReceipt",
        entity_type: CONSENT.name,
        entity_id: Some(consent),
        contact_id: contact_of(document),
        changes: ChangeSet::single("AuditEntry.action", DataCategory::Audit, Json::Null, details),
    };
    record(app, actor, entry).await?;
    Ok(text.to_owned())
}

/// Whose consent a receipt is about.
fn contact_of(document: &str) -> Option<Uuid> {
    let document: Json = serde_json::from_str(document).ok()?;
    let contact_of = document.get("record")?.get("pii_principal_id")?.as_str()?;
    Uuid::try_parse(contact_of.strip_prefix("urn:uuid:")?).ok()
}
