//! Strict JSON: a repeated key is an error, since two readers may see different values of it. Room: base.
//!
//! A proxy that checks a request may see one value and the engine the other; of a signed document one may be read and
//! another signed. serde_json keeps the last value and has no setting against it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

/// A JSON value whose objects have no key twice.
pub struct NoDuplicateKeys(pub Value);

impl<'de> Deserialize<'de> for NoDuplicateKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoDuplicateKeysVisitor)
    }
}

struct NoDuplicateKeysVisitor;

impl<'de> Visitor<'de> for NoDuplicateKeysVisitor {
    type Value = NoDuplicateKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without members given twice")
    }

    fn visit_unit<E>(self) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(Value::Null))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(yes.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<NoDuplicateKeys, E> {
        Ok(NoDuplicateKeys(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NoDuplicateKeys, A::Error> {
        let mut list = Vec::new();
        while let Some(NoDuplicateKeys(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(NoDuplicateKeys(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<NoDuplicateKeys, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((name, NoDuplicateKeys(value))) = members.next_entry::<String, NoDuplicateKeys>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(NoDuplicateKeys(Value::Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_refused_at_any_depth() {
        let text = r#"{"a": [null, true, -1, 2, 1.5, "x"], "b": {"a": {}}}"#;
        let NoDuplicateKeys(value) = serde_json::from_str(text).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        for twice in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            let error = serde_json::from_str::<NoDuplicateKeys>(twice).err().unwrap();
            assert!(error.is_data() && error.to_string().contains("a key is repeated"), "{twice}");
        }
    }
}
