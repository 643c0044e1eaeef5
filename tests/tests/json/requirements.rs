//! That each requirement is proven by a test of its name.

use std::path::Path;

/// The ids in the table of `requirements.md`.
fn ids() -> Vec<String> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("requirements.md");
    let table = std::fs::read_to_string(table).expect("the table of requirements");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let first_cells = rows.filter_map(|row| row.split(" |").next());
    let is_id = |cell: &&str| {
        let mut characters = cell.chars();
        characters.next().is_some_and(|c| c.is_ascii_uppercase())
            && characters.next().is_some_and(|c| c.is_ascii_digit())
    };
    first_cells.filter(is_id).map(str::to_lowercase).collect()
}

/// All sources of tests below a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("our own sources") {
        let path = entry.expect("our own sources").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(&path).expect("our own sources");
        }
    }
    text
}

#[test]
fn every_requirement_id_has_a_test() {
    let ids = ids();
    assert!(ids.len() > 20, "{ids:?}");
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let without = ids.iter().filter(|id| {
        let beginning = format!("fn {id}_");
        !sources.contains(&beginning)
    });
    let without: Vec<&String> = without.collect();
    assert!(without.is_empty(), "no test is named after {without:?}");
}
