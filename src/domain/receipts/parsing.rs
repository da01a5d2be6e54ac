//! Parses documents strictly: with a repeated member, one value might be read and another signed.
//! Room: domain/receipts.

use serde_json::Value;

use crate::base::{
    error::{Code, Error},
    strict_json::NoDuplicateKeys,
};

/// Parses the document in `bytes`.
///
/// # Errors
/// `BAD_USER_INPUT` for invalid JSON, `CONFLICT` for a repeated member name.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let parsed = serde_json::from_slice::<NoDuplicateKeys>(bytes);
    parsed.map(|NoDuplicateKeys(value)| value).map_err(|error| {
        if error.is_data() {
            return Error::new(Code::Conflict, "a member name is repeated in one of its objects");
        }
        Error::bad_input("it is not a JSON document")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        let text = r#"{"a": [null, true, -1, 2, 1.5, "x"], "b": {"a": {}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for twice in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            assert_eq!(parse(twice.as_bytes()).unwrap_err().code, Code::Conflict, "{twice}");
        }
        for none in ["", "{", "{} {}", "<html>", "\u{feff}{}", &"[".repeat(1_000)] {
            assert_eq!(parse(none.as_bytes()).unwrap_err().code, Code::BadUserInput, "{none}");
        }
        assert_eq!(parse(b"\"\xff\"").unwrap_err().code, Code::BadUserInput);
    }
}
