//! Nothing is served that the document does not describe, and nothing is described by halves.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Codes that belong to no operation: they come up before one is found, or over WebDAV alone.
const ELSEWHERE: [&str; 5] = [
    code::CURSOR_EXPIRED,
    code::HEADERS_TOO_LARGE,
    code::METHOD_NOT_ALLOWED,
    code::NO_SUCH_LOCK,
    code::NOT_IMPLEMENTED,
];

/// Path, method and operation of everything in the document.
fn all_operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        let path = path.clone();
        let operations = item.into_iter();
        operations.map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_operation_is_described() {
    let document = crate::endpoint::document();
    let mut ids = BTreeSet::new();
    let operations = all_operations(&document);
    assert!(operations.len() > 40);
    for (path, method, operation) in operations {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{at}: {id} is taken");
        assert!(id.contains('_') || id.len() > 3, "{at}: {id} says little");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
        let tag = &operation["tags"][0];
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|one| one["name"] == *tag), "{at}: {tag}");
        let empty = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&empty);
        for segment in path.split('/') {
            let Some(name) = segment.strip_prefix('{') else {
                continue;
            };
            let name = name.trim_end_matches('}');
            let is_it = |one: &&Value| one["name"] == name && one["in"] == "path";
            assert!(parameters.iter().any(|one| is_it(&one)), "{at}: {name}");
        }
        for parameter in parameters {
            assert!(!parameter["schema"].is_null(), "{at}: {parameter}");
        }
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('4')), "{at}");
        let well = answers
            .iter()
            .filter(|(status, _)| *status < &"4".to_owned());
        assert!(well.clone().count() > 0, "{at}: no success");
        for (status, answer) in well {
            let has_body = !matches!(status.as_str(), "101" | "204" | "303" | "304");
            assert_eq!(has_body, !answer["content"].is_null(), "{at}: {status}");
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                let says = !content["schema"].is_null() || !content["example"].is_null();
                assert!(says, "{at}: {status} {kind}");
            }
        }
    }
}

#[test]
fn references_lead_somewhere() {
    let document = crate::endpoint::document();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1);
    let references: BTreeSet<_> = references
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(references.len() > 20);
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[test]
fn links_lead_to_operations() {
    let document = crate::endpoint::document();
    let operations = all_operations(&document);
    let ids = operations
        .iter()
        .map(|(_, _, one)| one["operationId"].clone());
    let ids: Vec<_> = ids.collect();
    let mut linking = BTreeSet::new();
    for (_, _, operation) in &operations {
        for answer in operation["responses"].as_object().unwrap().values() {
            for link in answer["links"].as_object().into_iter().flatten() {
                assert!(ids.contains(&link.1["operationId"]), "{}", link.0);
                linking.insert(operation["operationId"].as_str().unwrap());
            }
        }
    }
    for (from, _, below) in links::TO_ADDRESSES {
        assert!(linking.contains(from), "{from} links nowhere below {below}");
    }
}

#[test]
fn every_problem_is_documented() {
    let document = crate::endpoint::document();
    let known: BTreeSet<_> = code::ALL.iter().map(|(code, _)| *code).collect();
    let mut named = BTreeSet::from(ELSEWHERE);
    let answers = document["components"]["responses"].as_object().unwrap();
    for (name, answer) in answers {
        let schema = &answer["content"]["application/problem+json"]["schema"];
        for code in schema["properties"]["code"]["enum"].as_array().unwrap() {
            let code = code.as_str().unwrap();
            let code = known.get(code);
            named.insert(code.unwrap_or_else(|| panic!("{name} names what is no code")));
        }
    }
    let unnamed: Vec<_> = known.difference(&named).collect();
    assert!(unnamed.is_empty(), "no operation names {unnamed:?}");
    let page = include_str!("../../../../docs/API.md");
    for code in known {
        assert!(page.contains(&format!("`{code}`")), "API.md lacks {code}");
    }
}

/// `OpenApiRouter::route` would take a handler that says nothing of itself.
#[test]
fn no_route_goes_past_the_document() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/endpoint")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("openapi/tests.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                assert!(!source.contains(".route("), "{}", path.display());
            }
        }
    }
}
