//! Where the answers of operations lead: what one names, others can be asked for.

use serde_json::{Map, Value, json};

use super::{METHODS, members};

/// An operation, a place in its answer, and the address whose last parameter that is; those before
/// it are the operation's own.
pub(super) const TO_ADDRESSES: &[(&str, &str, &str)] = &[
    ("add_app_password", "/id", "/api/v1/me/app-passwords/{id}"),
    ("add_asset", "/id", "/api/v1/assets/{id}"),
    ("add_grant", "/id", "/api/v1/files/{id}/grants/{grant_id}"),
    ("add_invitation", "/id", "/api/v1/invitations/{id}"),
    ("add_link", "/id", "/api/v1/links/{id}"),
    ("copy_file", "/id", "/api/v1/files/{id}"),
    ("create_user", "/id", "/api/v1/users/{id}"),
    (
        "list_grants",
        "/items/0/id",
        "/api/v1/files/{id}/grants/{grant_id}",
    ),
    ("list_jobs", "/items/0/name", "/api/v1/admin/jobs/{name}"),
    ("list_logins", "/items/0/id", "/api/v1/me/logins/{id}"),
    (
        "list_publications",
        "/items/0/sha256",
        "/api/v1/store/{sha256}",
    ),
    ("list_shared", "/items/0/id", "/api/v1/shared/{grant_id}"),
    ("list_transfers", "/items/0/id", "/api/v1/transfers/{id}"),
    ("list_trash", "/items/0/id", "/api/v1/trash/{id}"),
    ("list_uploads", "/items/0/id", "/api/v1/uploads/{id}"),
    ("list_users", "/items/0/id", "/api/v1/users/{id}"),
    (
        "list_versions",
        "/items/0/id",
        "/api/v1/files/{id}/versions/{version_id}",
    ),
    ("make_folder", "/id", "/api/v1/files/{id}"),
    ("offer_transfer", "/id", "/api/v1/transfers/{id}"),
    ("publish_content", "/sha256", "/api/v1/store/{sha256}"),
    ("restore_trashed", "/id", "/api/v1/files/{id}"),
    ("upload_file", "/id", "/api/v1/files/{id}"),
    ("upload_files", "/items/0/id", "/api/v1/files/{id}"),
];

/// Adds the links of all operations.
pub(super) fn add(document: &mut Value) {
    let addresses = addresses(document);
    for (_, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            if METHODS.contains(&method.as_str()) {
                add_to(operation, &addresses);
            }
        }
    }
}

/// Path and name of every operation.
fn addresses(document: &mut Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, item) in members(&mut document["paths"]) {
        for (_, operation) in members(item) {
            if let Some(id) = operation["operationId"].as_str() {
                found.push((path.clone(), id.to_owned()));
            }
        }
    }
    found
}

fn add_to(operation: &mut Value, addresses: &[(String, String)]) {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let mut links = Map::new();
    for (_, place, below) in TO_ADDRESSES.iter().filter(|(from, _, _)| *from == id) {
        let mut values = Map::new();
        let names: Vec<_> = parameters(below).collect();
        for (index, name) in names.iter().enumerate() {
            let value = if index + 1 == names.len() {
                format!("$response.body#{place}")
            } else {
                format!("$request.path.{name}")
            };
            values.insert(format!("path.{name}"), value.into());
        }
        for (path, to) in addresses {
            let rest = path.strip_prefix(below);
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                let link = json!({"operationId": to, "parameters": values});
                links.insert(to.clone(), link);
            }
        }
    }
    for (to, body) in bodies(id) {
        links.insert(to.into(), json!({"operationId": to, "requestBody": body}));
    }
    if links.is_empty() {
        return;
    }
    for (status, answer) in members(&mut operation["responses"]) {
        let has_body = !answer["content"]["application/json"].is_null();
        if status.starts_with('2') && has_body {
            answer["links"] = links.clone().into();
        }
    }
}

/// Names of the parameters of a path.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    let segments = path.split('/');
    segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// What the answer of an operation goes into: other operations, and their bodies.
fn bodies(operation: &str) -> Vec<(&'static str, Value)> {
    let refresh_token = json!({"refresh_token": "$response.body#/refresh_token"});
    match operation {
        "create_user" => {
            let login = json!({
                "login": "$response.body#/username",
                "password": "$request.body#/password",
            });
            vec![("log_in", login)]
        }
        "log_in" | "refresh_tokens" => vec![
            ("refresh_tokens", refresh_token.clone()),
            ("log_out", refresh_token),
        ],
        _ => vec![],
    }
}
