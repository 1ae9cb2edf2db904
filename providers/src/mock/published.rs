//! OpenAI's published schemas, where they are at hand: what speaks its API is held to them.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "only tests call it, and a broken file must fail them")]

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// OpenAI's specification. It is not ours to publish, so it lies beside the repository.
#[derive(Debug)]
pub struct Specification(Value);

impl Specification {
    /// None, and a word of it, where it is not at hand.
    ///
    /// # Panics
    /// It is there, and is no JSON.
    pub fn openai() -> Option<Self> {
        let shared = std::env::var_os("TROUPE_SHARED").map(PathBuf::from);
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let path = shared.unwrap_or_else(beside).join("openai/openapi_core.json");
        match std::fs::read(&path) {
            Ok(bytes) => Some(Self(serde_json::from_slice(&bytes).expect("the specification is JSON"))),
            Err(error) => {
                eprintln!("SKIPPED: {}: {error}; TROUPE_SHARED names the folder that holds openai/", path.display());
                None
            }
        }
    }

    /// The JSON Schema of the component with this name.
    ///
    /// # Panics
    /// There is none.
    pub fn schema(&self, name: &str) -> Value {
        let components = modern(self.0.get("components").cloned().unwrap_or_default());
        let known = components.get("schemas").is_some_and(|schemas| schemas.get(name).is_some());
        assert!(known, "the specification has no {name}");
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{name}"),
            "components": components,
        })
    }
}

/// OpenAPI 3.0's `nullable` in the words of JSON Schema.
fn modern(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: Map<_, _> = fields.into_iter().map(|(name, value)| (name, modern(value))).collect();
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                json!({"anyOf": [Value::Object(fields), {"type": "null"}]})
            } else {
                Value::Object(fields)
            }
        }
        Value::Array(list) => list.into_iter().map(modern).collect(),
        other => other,
    }
}
