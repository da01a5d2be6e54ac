//! Downloads for persons: the receipt of a consent and its printable record. Room: http/pages.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::page_request::{Download, PageRequest};
use crate::base::error::Error;
use crate::http::pages::{queries, responses::PageResponse};

const RECEIPT: &str = "query($id: ID!, $language: String) { consentReceipt(consentId: $id) { document html(language: $language) } }";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptData {
    consent_receipt: Option<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    document: Option<String>,
    html: Option<String>,
}

/// The requested document of a consent of the person `contact`; other persons' consents are not found.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(
    request: &PageRequest,
    contact: Uuid,
    download: &Download,
) -> Result<PageResponse, Error> {
    let actor = request.subject(contact)?;
    let variables = json!({ "id": download.consent, "language": request.texts.language });
    let ReceiptData { consent_receipt } = queries::execute(request, &actor, RECEIPT, variables).await?;
    let Some(receipt) = consent_receipt else { return request.invalid_link() };
    let response = match download.printed {
        true => receipt.html.map(PageResponse::Record),
        false => receipt.document.map(PageResponse::Receipt),
    };
    response.map_or_else(|| request.invalid_link(), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_are_named_by_consent_and_kind() {
        let id = Uuid::from_u128(7);
        let text = id.to_string();
        assert_eq!(
            Download::parse(Some(&text), Some("record")),
            Some(Download { consent: id, printed: true })
        );
        assert_eq!(
            Download::parse(Some(&text), Some("receipt")),
            Some(Download { consent: id, printed: false })
        );
        for (consent, kind) in
            [(None, Some("record")), (Some("x"), Some("record")), (Some(text.as_str()), Some("x"))]
        {
            assert_eq!(Download::parse(consent, kind), None);
        }
    }
}
