//! JSON in which no object has a field twice: of two, each reader may take another one.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one value.
///
/// # Errors
/// No JSON, or a field twice, with the line.
pub fn from_str(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Distinct.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

struct Distinct;

impl<'de> DeserializeSeed<'de> for Distinct {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the field `{name}` is there twice"
                )));
            }
            object.insert(name, fields.next_value_seed(Self)?);
        }
        Ok(object.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_any_reader_does_unless_a_field_is_there_twice() {
        let whole = r#"{"a":[1,-2,0.5,true,null,"x\n",{"b":{}}],"c":18446744073709551615}"#;
        let expected: Value = serde_json::from_str(whole).expect("JSON");
        assert_eq!(from_str(whole).expect("JSON"), expected);
        for (text, words) in [
            (r#"{"a":1,"a":1}"#, "`a` is there twice"),
            (r#"{"a":{"b":1,"c":2,"b":3}}"#, "`b` is there twice"),
            (r#"[{"a":1,"\u0061":2}]"#, "`a` is there twice"),
            ("{} {}", "trailing"),
            ("{", "EOF"),
            ("", "EOF"),
        ] {
            let error = from_str(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
