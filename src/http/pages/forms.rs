//! Form data, read within its limits. Room: http/pages.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;

use crate::{base::limits::Limits, http::body};

/// Most bytes of a form.
const MAX_FORM_BYTES: usize = 32 * 1024;
/// Most fields that are looked at.
const MAX_FIELDS: usize = 200;

/// The fields of a form, in order.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Vec<(String, String)>,
    multipart: bool,
}

impl Form {
    /// Reads the body.
    ///
    /// # Errors
    /// 413, 408 and 400 as for every body; 415 for a media type that is no form.
    pub(super) async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Self, StatusCode> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let boundary = match essence.as_str() {
            "application/x-www-form-urlencoded" => None,
            "multipart/form-data" => {
                Some(multer::parse_boundary(kind).map_err(|_| StatusCode::UNSUPPORTED_MEDIA_TYPE)?)
            }
            _ => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        };
        let limits = Limits { body_bytes: limits.body_bytes.min(MAX_FORM_BYTES), ..*limits };
        let bytes = body::read(headers, body, &limits).await.map_err(|(status, _)| status)?;
        match boundary {
            None => Ok(Self::decode(&bytes)),
            Some(boundary) => Self::split(bytes, boundary).await.ok_or(StatusCode::BAD_REQUEST),
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).take(MAX_FIELDS);
        let fields = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Self { fields, multipart: false }
    }

    async fn split(bytes: Bytes, boundary: String) -> Option<Self> {
        let mut parts = multer::Multipart::new(Body::from(bytes).into_data_stream(), boundary);
        let mut fields = Vec::new();
        while let Some(part) = parts.next_field().await.ok()? {
            if fields.len() == MAX_FIELDS {
                break;
            }
            let name = part.name().unwrap_or_default().to_owned();
            fields.push((name, part.text().await.ok()?));
        }
        Some(Self { fields, multipart: true })
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a field that occurs exactly once.
    pub(super) fn single(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value.as_str())
    }

    /// Whether it is multipart, as mail programs send it; the forms of these pages are not.
    pub(super) fn is_multipart(&self) -> bool {
        self.multipart
    }

    /// Whether the field `name` has `value` among its values.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.fields.iter().any(|(key, actual)| key == name && actual == value)
    }

    /// Whether it is a one-click unsubscribe of a mail program (RFC 8058, 3.1).
    pub(super) fn is_one_click(&self) -> bool {
        self.has("List-Unsubscribe", "One-Click")
    }

    /// Whether the hidden honeypot field is filled.
    pub(super) fn is_honeypot_filled(&self) -> bool {
        self.get("subject_line").is_some_and(|text| !text.is_empty())
    }
}
