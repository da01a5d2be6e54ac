//! Request headers: credential, purpose, format and preferences. Room: http.

use axum::http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::{
    base::error::{Code, Error},
    domain::access_tokens,
};

/// Selects the purpose of the operation among those that the credential permits.
pub const PURPOSE: HeaderName = HeaderName::from_static("x-processing-purpose");
/// Preferences (RFC 7240).
pub const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Makes retries of a mutation safe.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The media type of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    #[default]
    Json,
    /// `application/graphql-response+json`
    GraphQl,
}

impl Format {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json; charset=utf-8",
            Format::GraphQl => "application/graphql-response+json; charset=utf-8",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::GraphQl => "application/graphql-response+json",
        }
    }

    /// Chooses by `Accept` (RFC 9110, 12.5.1): JSON without the header, `None` if neither is acceptable.
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let values: Vec<&str> =
            headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or("")).collect();
        if values.is_empty() {
            return Some(Format::Json);
        }
        let ranges: Vec<Range<'_>> =
            values.iter().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
        // At equal weight prefer the one that is named first, otherwise JSON.
        let first_named = ranges.iter().find_map(Range::named);
        let order = match first_named {
            Some(Format::GraphQl) => [Format::GraphQl, Format::Json],
            _ => [Format::Json, Format::GraphQl],
        };
        // The most specific range counts, and of several the first.
        let weigh = |format: Format| {
            let fitting = ranges.iter().rev().filter_map(|range| Some((range.fits(format)?, range.weight)));
            fitting.max_by_key(|(exactness, _)| *exactness).map_or(0, |(_, weight)| weight)
        };
        let [first, second] = order.map(weigh);
        match (first, second) {
            (0, 0) => None,
            (first, second) if first >= second => order.first().copied(),
            _ => order.last().copied(),
        }
    }
}

/// A media range of an `Accept` header with its weight in thousandths.
struct Range<'a> {
    name: &'a str,
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut weight = 1000;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if key.trim().eq_ignore_ascii_case("q") {
                weight = thousandths(value.trim())?;
            } else if key.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(Self { name, weight })
    }

    fn named(&self) -> Option<Format> {
        [Format::Json, Format::GraphQl].into_iter().find(|format| self.fits(*format) == Some(2))
    }

    /// How specifically the range matches the format.
    fn fits(&self, format: Format) -> Option<u8> {
        if self.name.eq_ignore_ascii_case(format.media_type()) {
            Some(2)
        } else if self.name.eq_ignore_ascii_case("application/*") {
            Some(1)
        } else {
            (self.name == "*/*").then_some(0)
        }
    }
}

fn thousandths(text: &str) -> Option<u16> {
    let weight: f32 = text.parse().ok()?;
    // Three digits at most: the cast is exact enough for comparing.
    (0.0..=1.0).contains(&weight).then(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        let whole = (weight * 1000.0) as u16;
        whole
    })
}

/// Whether the body is encoded, e.g. compressed. Such bodies are rejected, because a small one may expand to a large
/// one.
pub fn has_encoded_body(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the body is declared as JSON in UTF-8.
pub fn has_json_body(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    json && parts.filter(|part| !part.is_empty()).all(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        !key.trim().eq_ignore_ascii_case("charset") || is_utf8(value)
    })
}

fn is_utf8(value: &str) -> bool {
    let value = value.trim().trim_matches('"');
    value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
}

/// The presented token (RFC 6750).
///
/// # Errors
/// `UNAUTHENTICATED` without a header, with several, or with another scheme.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(access_tokens::unauthenticated());
    };
    let text = value.to_str().map_err(|_| access_tokens::unauthenticated())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(access_tokens::unauthenticated()),
    }
}

/// The purpose that the request names, if any.
///
/// # Errors
/// `BAD_USER_INPUT` for several purposes or an empty one: one operation has one purpose (Art. 5(1)(b)).
pub fn purpose(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(PURPOSE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    if values.next().is_some() || text.contains(',') {
        return Err(Error::new(Code::BadUserInput, "an operation has exactly one purpose"));
    }
    if text.is_empty() {
        return Err(Error::new(Code::BadUserInput, "the header X-Processing-Purpose names no purpose"));
    }
    Ok(Some(text))
}

/// The client's key for safe retries, if any: 1 to 255 visible characters.
///
/// # Errors
/// `BAD_USER_INPUT` for several keys, and for a key that is empty, too long or has other characters.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if values.next().is_some() || text.is_empty() || text.len() > 255 || !visible {
        let message = "the header Idempotency-Key must be one key of 1 to 255 visible characters";
        return Err(Error::new(Code::BadUserInput, message));
    }
    Ok(Some(text))
}

/// Whether the caller prefers failure to partial responses: `Prefer: strict`.
pub fn strict(headers: &HeaderMap) -> bool {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| {
            let token = preference.split(';').next().unwrap_or("");
            // RFC 7240, 2: an empty value is the same as none.
            let (name, value) = token.split_once('=').unwrap_or((token, ""));
            name.trim().eq_ignore_ascii_case("strict") && matches!(value.trim(), "" | "\"\"")
        })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append((*name).clone(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn negotiates_the_format() {
        let negotiate = |accept: &str| Format::negotiate(&headers(&[(&ACCEPT, accept)]));
        assert_eq!(Format::negotiate(&HeaderMap::new()), Some(Format::Json));
        for (accept, format) in [
            ("*/*", Some(Format::Json)),
            ("application/*", Some(Format::Json)),
            ("application/json", Some(Format::Json)),
            ("application/graphql-response+json", Some(Format::GraphQl)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(Format::GraphQl),
            ),
            ("application/json, application/graphql-response+json", Some(Format::Json)),
            ("application/json;q=0.5, application/graphql-response+json", Some(Format::GraphQl)),
            ("application/graphql-response+json, */*", Some(Format::GraphQl)),
            ("application/json;q=0, */*", Some(Format::GraphQl)),
            ("APPLICATION/JSON", Some(Format::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json; charset=utf-16", None),
            ("", None),
        ] {
            assert_eq!(negotiate(accept), format, "{accept}");
        }
    }

    #[test]
    fn knows_json_bodies() {
        let json = |value: &str| has_json_body(&headers(&[(&CONTENT_TYPE, value)]));
        assert!(json("application/json"));
        assert!(json("application/json; charset=UTF-8"));
        assert!(json("application/json;charset=\"utf-8\""));
        assert!(!json("application/json; charset=latin1"));
        assert!(!json("text/plain"));
        assert!(!json("application/jsonx"));
        assert!(!has_json_body(&HeaderMap::new()));
        let twice = [(&CONTENT_TYPE, "application/json"), (&CONTENT_TYPE, "text/plain")];
        assert!(!has_json_body(&headers(&twice)));
    }

    #[test]
    fn takes_one_credential() {
        assert_eq!(bearer(&headers(&[(&AUTHORIZATION, "bearer x")])).unwrap(), "x");
        assert!(bearer(&headers(&[(&AUTHORIZATION, "Basic x")])).is_err());
        assert!(bearer(&headers(&[(&AUTHORIZATION, "Bearer")])).is_err());
        assert!(bearer(&headers(&[(&AUTHORIZATION, "Bearer x"), (&AUTHORIZATION, "Bearer x")])).is_err());
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn takes_one_purpose() {
        assert_eq!(purpose(&HeaderMap::new()).unwrap(), None);
        assert_eq!(purpose(&headers(&[(&PURPOSE, " newsletter ")])).unwrap(), Some("newsletter"));
        assert!(purpose(&headers(&[(&PURPOSE, "a,b")])).is_err());
        assert!(purpose(&headers(&[(&PURPOSE, "a"), (&PURPOSE, "a")])).is_err());
        assert!(purpose(&headers(&[(&PURPOSE, "")])).is_err());
    }

    #[test]
    fn reads_the_preference() {
        for value in ["strict", "Strict", "return=minimal, strict", "strict; foo=bar", "strict=\"\""] {
            assert!(strict(&headers(&[(&PREFER, value)])), "{value}");
        }
        for value in ["strict=no", "stricter", "handling=strict", ""] {
            assert!(!strict(&headers(&[(&PREFER, value)])), "{value}");
        }
    }
}
