//! The OpenAPI document, and the table of `docs/API.md` that is checked against it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::World;
use serde_json::Value;

async fn document(world: &World) -> Value {
    let asked = world.anonymous().request_at("GET", "/api/openapi.json");
    let answer = asked.send().await.must_be(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// E6: a complete OpenAPI document, for anyone; the command line prints the same.
#[tokio::test]
async fn e6_the_document_is_served_and_printed() {
    let world = World::start().await;
    let served = document(&world).await;
    assert_eq!(served["openapi"], "3.1.0");
    let printed = world.cli(&["openapi"], "").await;
    assert!(printed.status.success());
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON is printed");
    assert_eq!(served, printed);
}

/// E6: Swagger UI, whose policy knows this server alone.
#[tokio::test]
async fn e6_swagger_ui_is_served_from_here_alone() {
    let world = World::start().await;
    let anyone = world.anonymous();
    for (file, kind) in [
        ("", "text/html"),
        ("/start.js", "text/javascript"),
        ("/swagger-ui-bundle.js", "text/javascript"),
        ("/swagger-ui.css", "text/css"),
    ] {
        let asked = anyone.request_at("GET", &format!("/api/docs{file}"));
        let answer = asked.send().await.must_be(200);
        assert!(answer.header("content-type").starts_with(kind), "{file}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"));
    }
    let other = anyone.request_at("GET", "/api/docs/index.html");
    other.send().await.must_be(404);
}

/// One row of the table of the specifications.
struct Row {
    line: String,
    coffer: Vec<String>,
    names: Vec<String>,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let page = read(&repository().join("docs/API.md"));
    let table = page.split("\n## ").nth(1).expect("a first section");
    assert!(
        table.starts_with("From the specifications"),
        "API.md opens with it"
    );
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let rows = lines.skip(1).filter(|line| !line.starts_with("| ---"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let [_, _, coffer, names, id, tests] = cells[..] else {
            panic!("a row has six cells: {line}");
        };
        assert!(!id.trim().is_empty(), "a row has its requirement: {line}");
        Row {
            line: line.to_owned(),
            coffer: quoted(coffer),
            names: quoted(names),
            tests: quoted(tests),
        }
    })
    .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("our own sources can be read")
}

fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests lie in the repository").into()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// Names of all fields and parameters in the document.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                found.extend(properties.keys().cloned());
            }
            if fields.contains_key("in")
                && let Some(name) = fields.get("name").and_then(Value::as_str)
            {
                found.insert(name.to_owned());
            }
            fields.values().for_each(|value| names(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

/// E6: each row of the table names operations of the document, fields of it, keys of the
/// configuration, and tests that there are.
#[tokio::test]
async fn e6_the_table_of_the_specifications_holds() {
    let world = World::start().await;
    let document = document(&world).await;
    let mut known = BTreeSet::new();
    names(&document, &mut known);
    let operations = read(&repository().join("docs/OPERATIONS.md"));
    let sources = sources(&repository().join("tests/tests"));
    let rows = rows();
    assert!(rows.len() > 30);
    for row in rows {
        let line = &row.line;
        for said in row.coffer {
            match said.split_once(' ') {
                Some((method, path)) if path.starts_with('/') => {
                    let path = path.split('?').next().expect("a first part");
                    let item = &document["paths"][format!("/api/v1{path}")];
                    let item = item.as_object().or(document["paths"][path].as_object());
                    let method = method.to_lowercase();
                    let is_there = item.is_some_and(|item| item.contains_key(&method));
                    assert!(is_there, "no operation {said}: {line}");
                }
                _ if said.starts_with('/') => {
                    let asked = world.anonymous().request_at("GET", &said);
                    asked.send().await.must_be_one_of(&[200, 401]);
                }
                _ => {}
            }
        }
        for name in row.names {
            let is_key = operations.contains(&format!("| `{name}` |"));
            let field = name.rsplit('.').next().expect("a last part");
            let is_known = is_key || known.contains(field);
            assert!(is_known, "no field or key {name}: {line}");
        }
        assert!(!row.tests.is_empty(), "no test: {line}");
        for test in row.tests {
            let declared = format!("fn {test}(");
            assert!(sources.contains(&declared), "no test {test}: {line}");
        }
    }
}

/// All sources below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("our own sources can be read") {
        let path = entry.expect("our own sources can be listed").path();
        if path.is_dir() {
            all.push_str(&sources(&path));
        } else {
            all.push_str(&read(&path));
        }
    }
    all
}
