//! The digest of a report, so that an edit by hand and a damaged file are noticed.
//!
//! It guards against mistakes and not against forgers: anyone who edits a report on purpose can
//! make its digest anew. It is SHA-256 over the report's JSON without the fields `schema` and
//! `digest`, with the fields of every object in the order of their bytes, without blanks, numbers
//! as `serde_json` writes them.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The field that holds it, in hexadecimal digits.
pub const FIELD: &str = "digest";
/// Stands before a report's own fields, and is looked at by itself.
const SCHEMA: &str = "schema";

/// A report is not the one that was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigestError {
    /// The field is not there; every program that writes this version of a report puts it in.
    #[error("it has no digest: it was edited or damaged, take the original or measure again")]
    Missing,
    /// The field says something else.
    #[error(
        "its digest is {computed} and it says {stored}: it was edited or damaged, take the \
         original or measure again"
    )]
    Differs {
        /// What the report says.
        stored: Value,
        /// What its content gives.
        computed: String,
    },
}

/// Puts the digest into a report, in place of one that it has.
pub fn seal(report: &mut Map<String, Value>) {
    report.insert(FIELD.to_owned(), of(report).into());
}

/// Whether a report has the digest of its content.
///
/// # Errors
/// Another digest, or none.
pub fn check(report: &Value) -> Result<(), DigestError> {
    let found = report.get(FIELD).zip(report.as_object());
    let (stored, fields) = found.ok_or(DigestError::Missing)?;
    let computed = of(fields);
    match stored.as_str() == Some(&computed) {
        true => Ok(()),
        false => Err(DigestError::Differs {
            stored: stored.clone(),
            computed,
        }),
    }
}

fn of(fields: &Map<String, Value>) -> String {
    let outer = |name: &str| [SCHEMA, FIELD].contains(&name);
    let mut text = String::new();
    object(fields, &outer, &mut text);
    sha256(&text)
}

fn sha256(text: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(text) {
        write!(digits, "{byte:02x}").expect("text grows");
    }
    digits
}

fn object(fields: &Map<String, Value>, leaves_out: &dyn Fn(&str) -> bool, text: &mut String) {
    let mut names: Vec<&String> = fields.keys().filter(|name| !leaves_out(name)).collect();
    names.sort_unstable();
    text.push('{');
    for (place, name) in names.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        canonical(&fields[name], text);
    }
    text.push('}');
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => object(fields, &|_| false, text),
        Value::Array(values) => {
            text.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                canonical(value, text);
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sealed() -> Value {
        let mut report = json!({
            "b": [1, {"d": null, "c": "x"}], "a": 0.1, "rate": 61_000.519_283_746_1, "n": u64::MAX,
        });
        seal(report.as_object_mut().expect("an object"));
        report
    }

    #[test]
    fn a_report_has_the_digest_of_its_content_however_it_is_written() {
        let report = sealed();
        assert_eq!(check(&report), Ok(()));
        let sorted = r#"{"a":0.1,"b":[1,{"c":"x","d":null}],"n":18446744073709551615,"#;
        let text = format!("{sorted}\"rate\":61000.5192837461}}");
        assert_eq!(report[FIELD], sha256(&text).as_str());
        let again: Value = serde_json::from_str(&report.to_string()).expect("JSON");
        let pretty = serde_json::to_string_pretty(&again).expect("written");
        assert_eq!(check(&serde_json::from_str(&pretty).expect("JSON")), Ok(()));
        let mut named = report;
        named[SCHEMA] = "clearway/run/1".into();
        assert_eq!(check(&named), Ok(()));
    }

    #[test]
    fn every_edit_is_noticed_and_so_is_a_digest_that_was_taken_out() {
        for (pointer, value) in [
            ("/a", json!(0.2)),
            ("/b/0", json!(2)),
            ("/b/1/c", json!("y")),
            ("/b/1/d", json!(0)),
            ("/n", json!("18446744073709551615")),
            ("/digest", json!("00")),
            ("/digest", json!(null)),
        ] {
            let mut report = sealed();
            *report.pointer_mut(pointer).expect(pointer) = value;
            check(&report).expect_err(pointer);
        }
        let mut more = sealed();
        more["new"] = 1.into();
        check(&more).expect_err("a field that was added");
        assert_eq!(check(&json!({ "a": 1 })), Err(DigestError::Missing));
    }
}
