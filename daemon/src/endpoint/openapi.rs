//! The OpenAPI document: what the handlers say of themselves, and what holds for all of them.
//!
//! A handler names what it answers and, for each status, the codes of the problems that are its
//! own: `(status = 409, description = "already_exists, parent_missing")`. What any request of its
//! kind can meet (no credential, a body that is no JSON, …), parameters `{id}` of the path, and the
//! formats of fields whose names say them are added here.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, OpenApi, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;

use super::AppState;
use crate::server::problem::code;

mod links;

const METHODS: [&str; 7] = ["get", "head", "options", "put", "post", "delete", "patch"];

/// Bytes of any kind, as the body of a request or an answer.
pub struct Content;

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some("Bytes of any kind."));
        bytes.into()
    }
}

impl ToSchema for Content {}

/// A form with files in it, each a part with a file name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; `multipart` reads it")]
pub struct Form {
    /// A file. The name of the part does not matter, that of the file does.
    file: Content,
}

/// The same handlers below addresses with `?path=` for the `{id}`: `/files/{id}/zip` and
/// `/files/zip?path=`.
pub fn by_path(of_id: UtoipaMethodRouter<AppState>) -> UtoipaMethodRouter<AppState> {
    let (schemas, mut paths, handlers) = of_id;
    paths.paths = std::mem::take(&mut paths.paths)
        .into_iter()
        .map(|(path, mut item)| {
            operations(&mut item).for_each(name_by_path);
            (path.replace("/{id}", ""), item)
        })
        .collect();
    (schemas, paths, handlers)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ];
    all.into_iter().flatten()
}

fn name_by_path(operation: &mut Operation) {
    let id = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(format!("{id}_by_path"));
    let path = ParameterBuilder::new()
        .name("path")
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some("Where it is: `/a/b`."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("/docs/report.pdf")));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(path.build().into());
}

/// The whole document, of what the handlers said.
pub fn document(collected: OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).expect("a document has keys that are texts");
    name_rests(&mut document["paths"]);
    document["info"] = json!({
        "title": "Coffer",
        "version": env!("CARGO_PKG_VERSION"),
        "description": include_str!("openapi.md"),
        "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
    });
    document["security"] = json!([{"bearer": []}, {"basic": []}, {"cookie": []}]);
    document["tags"] = tags();
    let mut problems = BTreeMap::new();
    for (path, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            if METHODS.contains(&method.as_str()) {
                complete(path, method, operation, &mut problems);
            }
        }
    }
    links::add(&mut document);
    let components = &mut document["components"];
    components["schemas"]["Problem"] = problem_schema();
    constrain(&mut components["schemas"]);
    for (_, schema) in members(&mut components["schemas"]) {
        say_formats(schema);
    }
    components["responses"] = problems.into_iter().collect::<Map<_, _>>().into();
    components["securitySchemes"] = security_schemes();
    document
}

/// A parameter that takes the rest of the path is one like others here: `{*path}` as `{path}`.
fn name_rests(paths: &mut Value) {
    if let Value::Object(paths) = paths {
        let named = std::mem::take(paths).into_iter();
        paths.extend(named.map(|(path, item)| (path.replace("{*", "{"), item)));
    }
}

fn members(object: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    object.as_object_mut().into_iter().flatten()
}

fn tags() -> Value {
    json!([
        {"name": "accounts", "description": "Registering, and one's own account"},
        {"name": "log-ins", "description": "Tokens, log-ins and app passwords"},
        {"name": "files", "description": "Files and folders, by path or by id"},
        {"name": "uploads", "description": "Resumable uploads (tus 1.0)"},
        {"name": "trash", "description": "Versions of files, and what was deleted"},
        {"name": "sharing", "description": "Files shared with other users"},
        {"name": "links", "description": "Links for whoever knows them"},
        {"name": "assets", "description": "The catalogue of assets"},
        {"name": "store", "description": "Contents published by their hash"},
        {"name": "events", "description": "Live notices"},
        {"name": "administration", "description": "For administrators"},
        {"name": "health", "description": "How the server is doing"},
    ])
}

fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The access token of a log-in.",
        },
        "basic": {
            "type": "http", "scheme": "basic",
            "description": "User name or e-mail address, and the password or an app password.",
        },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": "coffer_token",
            "description": "The access token; over TLS the cookie is `__Host-coffer_token`.",
        },
    })
}

fn problem_schema() -> Value {
    let schema = <api::Problem as PartialSchema>::schema();
    let mut schema = serde_json::to_value(schema).expect("a schema has keys that are texts");
    let lines = code::ALL.iter();
    let lines = lines.map(|(code, meaning)| format!("- `{code}`:{meaning}"));
    let meanings = lines.collect::<Vec<_>>().join("\n");
    let codes: Vec<_> = code::ALL.iter().map(|(code, _)| *code).collect();
    let field = &mut schema["properties"]["code"];
    field["description"] =
        format!("Stable name of the problem, for programs.\n\n{meanings}").into();
    field["enum"] = codes.into();
    schema
}

/// Adds to an operation what all of its kind have in common; `problems` collects the answers that
/// operations share.
fn complete(
    path: &str,
    method: &str,
    operation: &mut Value,
    problems: &mut BTreeMap<String, Value>,
) {
    add_ids(path, operation);
    let parameters = operation.get_mut("parameters");
    for parameter in parameters
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        say_format(&name, &mut parameter["schema"]);
    }
    allow_no_body(&mut operation["requestBody"]);
    if operation["requestBody"].is_null() {
        operation
            .as_object_mut()
            .and_then(|it| it.remove("requestBody"));
    }
    let mut codes = common(path, method, operation);
    for (status, answer) in members(&mut operation["responses"]) {
        let status: u16 = status.parse().expect("statuses are numbers");
        let text = answer["description"].as_str().unwrap_or_default();
        if status >= 400 {
            let named = text.split(',').map(|code| (status, code.trim().to_owned()));
            codes.extend(named);
        } else if text.is_empty() {
            let reason = StatusCode::from_u16(status).ok();
            let reason = reason.and_then(|status| status.canonical_reason());
            answer["description"] = reason.unwrap_or("Done").into();
        }
    }
    let mut by_status: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for (status, code) in codes {
        by_status.entry(status).or_default().insert(code);
    }
    for (status, codes) in by_status {
        let words: Vec<_> = codes.iter().map(String::as_str).collect();
        let name = format!("{status}_{}", words.join("_or_"));
        operation["responses"][status.to_string()] =
            json!({"$ref": format!("#/components/responses/{name}")});
        problems
            .entry(name)
            .or_insert_with(|| problem_answer(status, &words));
    }
}

/// Describes `{id}` and `{…_id}` of the path where the handler has not.
fn add_ids(path: &str, operation: &mut Value) {
    let names = path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        (name == "id" || name.ends_with("_id")).then_some(name)
    });
    for name in names {
        if operation["parameters"].is_null() {
            operation["parameters"] = json!([]);
        }
        let parameters = operation["parameters"].as_array_mut();
        let parameters = parameters.expect("parameters are a list");
        if !parameters.iter().any(|one| one["name"] == name) {
            let schema = json!({"type": "string"});
            parameters
                .push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
        }
    }
}

/// A body that may be left out is not one that may be `null`; no bytes are an empty content.
fn allow_no_body(body: &mut Value) {
    if !body["content"]["application/octet-stream"].is_null() {
        body["required"] = false.into();
    }
    let Some(schema) = body.pointer_mut("/content/application~1json/schema") else {
        return;
    };
    let Some(Value::Array(kinds)) = schema.get_mut("oneOf") else {
        return;
    };
    kinds.retain(|kind| kind["type"] != "null");
    if let [_] = kinds.as_slice() {
        *schema = kinds.remove(0);
        body["required"] = false.into();
    }
}

/// Problems that any operation of its kind can have.
fn common(path: &str, method: &str, operation: &Value) -> Vec<(u16, String)> {
    let mut found = vec![
        (400, code::BAD_REQUEST),
        (500, code::INTERNAL),
        (503, code::UNAVAILABLE),
    ];
    if operation["security"] != json!([{}]) {
        found.extend([
            (401, code::UNAUTHORIZED),
            (401, code::WRONG_CREDENTIALS),
            (429, code::TOO_MANY_ATTEMPTS),
        ]);
        if !matches!(method, "get" | "head" | "options") {
            found.push((403, code::CROSS_SITE));
        }
    }
    let parameters = operation["parameters"].as_array();
    if parameters.is_some_and(|all| all.iter().any(|one| one["in"] == "query")) {
        found.push((400, code::INVALID_QUERY));
    }
    if path.contains('{') {
        found.push((404, code::NOT_FOUND));
    }
    if !operation["requestBody"].is_null() {
        found.push((408, code::REQUEST_TIMEOUT));
    }
    if !operation["requestBody"]["content"]["application/json"].is_null() {
        found.extend([
            (400, code::INVALID_JSON),
            (413, code::BODY_TOO_LARGE),
            (415, code::UNSUPPORTED_MEDIA_TYPE),
            (422, code::INVALID_FIELDS),
        ]);
    }
    let owned = found.into_iter();
    owned
        .map(|(status, code)| (status, code.to_owned()))
        .collect()
}

/// The answer with one of the problems `codes`.
fn problem_answer(status: u16, codes: &[&str]) -> Value {
    let meaning = |code: &str| {
        let known = code::ALL.iter().find(|(name, _)| *name == code);
        known.map_or("", |(_, meaning)| meaning)
    };
    let lines = codes.iter();
    let lines = lines.map(|code| format!("`{code}`:{}", meaning(code)));
    let title = StatusCode::from_u16(status).ok();
    let title = title.and_then(|status| status.canonical_reason());
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"status": {"const": status}, "code": {"enum": codes}},
    });
    let example = json!({
        "title": title,
        "status": status,
        "code": codes.first(),
        "detail": codes.first().map(|code| meaning(code).trim()),
    });
    json!({
        "description": lines.collect::<Vec<_>>().join("\n\n"),
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    })
}

/// Says which fields need or exclude each other.
fn constrain(schemas: &mut Value) {
    let given =
        |field: &str| json!({"required": [field], "properties": {field: {"type": "string"}}});
    schemas["NewUser"]["anyOf"] = json!([given("username"), given("email")]);
    let not_path = json!({"properties": {"path": {"type": "null"}}});
    let path_alone =
        json!({"properties": {"name": {"type": "null"}, "parent_id": {"type": "null"}}});
    schemas["FileChange"]["anyOf"] = json!([not_path, path_alone]);
    schemas["FileCopy"]["anyOf"] = json!([
        {"allOf": [given("path"), path_alone]},
        {"allOf": [given("name"), not_path]},
        {"allOf": [given("parent_id"), not_path]},
    ]);
}

/// Gives the fields below a schema the formats that their names say.
fn say_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (name, property) in properties.iter_mut() {
                    say_format(name, property);
                }
            }
            fields.values_mut().for_each(say_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(say_formats),
        _ => {}
    }
}

fn say_format(name: &str, schema: &mut Value) {
    let kinds = &schema["type"];
    let is = |kind: &str| {
        kinds == kind
            || kinds
                .as_array()
                .is_some_and(|all| all.contains(&kind.into()))
    };
    let (is_text, is_number) = (is("string"), is("integer"));
    if is_text && (name == "id" || name.ends_with("_id")) {
        schema["format"] = "uuid".into();
    } else if is_text && (name == "at" || name.ends_with("_at")) {
        schema["format"] = "date-time".into();
    } else if is_text && name == "sha256" {
        schema["pattern"] = "^[0-9a-f]{64}$".into();
    } else if is_number && name.ends_with("_bytes") {
        // Sizes are exact in every language with JSON numbers.
        schema["maximum"] = (1_u64 << 53).into();
        if schema["example"].is_null() {
            schema["example"] = 4096.into();
        }
    }
}

#[cfg(test)]
mod tests;
