//! What persons may take with them: the receipt of a consent, and its record in print. Room: http/pages.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::visit::{Download, PageRequest};
use crate::base::error::Error;
use crate::http::pages::{queries, responses::Answer};

const RECEIPT: &str = "query($id: ID!, $language: String) { consentReceipt(consentId: $id) { document html(language: $language) } }";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    consent_receipt: Option<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    document: Option<String>,
    html: Option<String>,
}

/// The paper of a consent of the person `contact`; of somebody else's there is none.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(visit: &PageRequest, contact: Uuid, paper: &Download) -> Result<Answer, Error> {
    let actor = visit.subject(contact)?;
    let variables = json!({ "id": paper.consent, "language": visit.texts.language });
    let Answered { consent_receipt } = queries::ask(visit, &actor, RECEIPT, variables).await?;
    let Some(receipt) = consent_receipt else { return visit.invalid() };
    let told = match paper.printed {
        true => receipt.html.map(Answer::Record),
        false => receipt.document.map(Answer::Receipt),
    };
    told.map_or_else(|| visit.invalid(), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_are_named_by_consent_and_kind() {
        let id = Uuid::from_u128(7);
        let text = id.to_string();
        assert_eq!(Download::of(Some(&text), Some("record")), Some(Download { consent: id, printed: true }));
        assert_eq!(
            Download::of(Some(&text), Some("receipt")),
            Some(Download { consent: id, printed: false })
        );
        for (consent, kind) in
            [(None, Some("record")), (Some("x"), Some("record")), (Some(text.as_str()), Some("x"))]
        {
            assert_eq!(Download::of(consent, kind), None);
        }
    }
}
