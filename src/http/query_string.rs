//! Reads a GraphQL request from a query string: `GET /graphql?query=...`. Room: http.

use percent_encoding::percent_decode;

use super::body::{RequestParams, parse_json};
use crate::{base::error::Error, graphql::Request};

/// Reads the request from a query string, encoded as `application/x-www-form-urlencoded`. Unknown parameters are
/// ignored, as GraphQL over HTTP requires; a duplicate one is an error.
///
/// # Errors
/// `BAD_USER_INPUT` for a parameter that is missing, duplicate, not UTF-8 or of the wrong type.
pub(super) fn parse(query: &str, strict: bool) -> Result<Request, Error> {
    let mut params = RequestParams::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        // As in a body, an absent or empty parameter means null, except for the document.
        let value = match name.as_str() {
            "query" | "operationName" if name == "query" || !value.is_empty() => value.into(),
            "variables" | "extensions" if !value.is_empty() => parse_json(value.as_bytes())
                .map_err(|()| Error::bad_input(format!("the parameter `{name}` is not well-formed JSON")))?,
            _ => serde_json::Value::Null,
        };
        let slot = match name.as_str() {
            "query" => &mut params.query,
            "operationName" => &mut params.operation_name,
            "variables" => &mut params.variables,
            "extensions" => &mut params.extensions,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(Error::bad_input(format!("the parameter `{name}` is given twice")));
        }
    }
    params.request(strict)
}

fn decode(text: &str) -> Result<String, Error> {
    let text = text.replace('+', " ");
    let decoded = percent_decode(text.as_bytes()).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::bad_input("the query string is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_well_formed() {
        let request = parse(
            "query=%7Ba%7D+%23%20%C3%A4&variables=%7B%22x%22:1%7D&operationName=&extensions=&id=1&id=2&",
            true,
        )
        .unwrap();
        assert_eq!(request.query, "{a} # ä");
        assert_eq!(request.variables.len(), 1);
        assert!(request.operation_name.is_none() && request.strict && request.safe);
        assert_eq!(parse("query=a&operationName=B", false).unwrap().operation_name.as_deref(), Some("B"));
    }

    #[test]
    fn refuses_everything_else() {
        for address in [
            "",
            "Query=%7Ba%7D",
            "query=a&query=b",
            "query=%FF",
            "query=a&variables=[]",
            "query=a&variables=%7B",
            "query=a&variables=1",
            "query=a&variables=%7B%22x%22:1,%22x%22:2%7D",
            "query=a&extensions=%22x%22",
            "query=a&operationName=A&operationName=A",
        ] {
            assert!(parse(address, false).is_err(), "{address}");
        }
    }
}
