//! Parses documents strictly: with a repeated member, one value might be read and another signed.
//! Room: domain/receipts.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::base::error::{Code, Error};

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

struct NoDuplicateKeys(Value);

impl<'de> Deserialize<'de> for NoDuplicateKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(NoDuplicateKeys(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, NoDuplicateKeys(value))) = members.next_entry::<String, NoDuplicateKeys>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member name is repeated"));
            }
        }
        Ok(Value::Object(object))
    }
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
