//! Consent records and receipts according to ISO/IEC TS 27560:2023 in terms of the W3C Data Privacy Vocabulary,
//! signed. Room: domain/receipts.
//!
//! A receipt is a signed copy of the complete record: who declared what, to which text, when and where, and what
//! followed (Art. 7(1) GDPR; BGH I ZR 164/09).
//!
//! Receipts are made from the events of a consent, not from its row, so that state and history always agree. The
//! caller must see the consent and read in full every coordinate a receipt shows (`registry::receipt_coordinates`);
//! the plan checks that, `graphql` makes the document. It is canonicalised (RFC 8785), hashed and signed with a key
//! that survives rotations of the master key; the key's name is its RFC 7638 thumbprint, which verifiers compute
//! and do not take from the document.

mod document;
mod html;
mod labels;
mod load;
mod parsing;
mod signatures;
mod vocabulary;

use sea_orm::ConnectionTrait;
use serde_json::Value;
use uuid::Uuid;

pub use html::html;
pub use parsing::parse;
pub use signatures::{KEYS_PATH, PublicKey, published_keys, verify};

use crate::{app::App, audit, base::error::Error};

/// The signed receipt of a consent; `None` if there is no such consent. The caller must see the consent and read
/// what [`crate::registry::receipt_coordinates`] lists.
///
/// # Errors
/// `INTERNAL` from the database, and for keys that cannot be had.
pub async fn document<C: ConnectionTrait>(
    connection: &C,
    app: &App,
    consent: Uuid,
) -> Result<Option<Value>, Error> {
    let (policy, now) = (app.policy.current(), app.now());
    let Some(record) = load::load_record(connection, &policy, consent, now).await? else { return Ok(None) };
    let unsigned = document::document(&record, &policy, &app.pages, app.new_id(), now);
    let installation_keys = audit::installation_keys(app).await?;
    signatures::sign(unsigned, installation_keys, &app.pages, now).map(Some)
}
