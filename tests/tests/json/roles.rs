//! Every operation as every role: `tests/roles.md` says what each is answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use harness::{Dav, Program, Setup, User, World, binary};
use serde_json::{Value, json};

use crate::operations::{OPERATIONS, Operation, Words};
use crate::phrase::{basic, login, send};
use crate::things::{Things, text};

/// The columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Without a credential.
    Anonymous,
    /// Another user, whom nothing is shared with.
    Stranger,
    /// Another user, whom the folder is shared with for reading.
    Reader,
    /// And one for writing.
    Writer,
    /// Whose file it is.
    Owner,
    /// Who administers the server, by a password of their own.
    Administrator,
    /// The owner's device, which may only read.
    ReadOnly,
    /// The owner's device, confined to another folder.
    Confined,
}

const ROLES: [(Role, &str); 8] = [
    (Role::Anonymous, "anonymous"),
    (Role::Stranger, "stranger"),
    (Role::Reader, "reader"),
    (Role::Writer, "writer"),
    (Role::Owner, "owner"),
    (Role::Administrator, "administrator"),
    (Role::ReadOnly, "read-only app password"),
    (Role::Confined, "confined app password"),
];

type Table = BTreeMap<String, Vec<u16>>;

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("roles.md")
}

/// The table as it is checked in.
fn table() -> Table {
    let text = std::fs::read_to_string(file()).expect("the table of roles");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (name, cells) = row.split_once("` |").expect("a name in backquotes");
        let cells = cells.split('|').map(str::trim);
        let cells = cells.filter(|cell| !cell.is_empty());
        let statuses = cells.map(|cell| cell.parse().expect("a status"));
        (name.to_owned(), statuses.collect())
    };
    rows.map(row).collect()
}

fn write_row(name: &str, statuses: &[u16]) -> String {
    let mut row = format!("| `{name}` |");
    for status in statuses {
        write!(row, " {status} |").expect("writing to a String cannot fail");
    }
    row
}

/// The server and those who use it.
struct Scene {
    world: World,
    owner: Dav,
    devices: [Dav; 2],
    /// Of things made so far, so that each has a name of its own.
    made: usize,
}

impl Scene {
    async fn set_up() -> Self {
        let setup = Setup::default().env("COFFER_ACCOUNTS_REGISTRATIONS_PER_ADDRESS", "1000000");
        let world = setup.start().await;
        let owner = world.alice();
        owner.mkcol("/elsewhere").await.must_be(201);
        for name in ["reader", "writer"] {
            world.add_user(name, None).await;
        }
        let device = async |bounds: Value| {
            let mut new = json!({ "name": "device" });
            new["current_password"] = json!(World::alice_user().password);
            for (name, value) in bounds.as_object().expect("an object") {
                new[name] = value.clone();
            }
            let made = send(&owner, "POST", "/me/app-passwords", new).await;
            let secret = text(&made.must_be(201).json()["password"]);
            basic(&world.anonymous(), "alice", &secret)
        };
        let devices = [
            device(json!({ "read_only": true })).await,
            device(json!({ "path": "/elsewhere" })).await,
        ];
        Self {
            world,
            owner,
            devices,
            made: 0,
        }
    }

    /// A name that nothing has yet.
    fn new_name(&mut self) -> String {
        self.made += 1;
        format!("new{}", self.made)
    }

    /// An account for one request, which may be its last; its name and password.
    async fn account(&mut self, access: &str) -> (String, String, String) {
        let name = self.new_name();
        let password = format!("{name} has a password");
        let body = json!({ "username": name, "password": password, "access": access });
        let root = self.world.as_user(&World::admin_user());
        let made = send(&root, "POST", "/users", body).await.must_be(201);
        (name, password, text(&made.json()["id"]))
    }

    /// Who asks, and what their request is about: all of it made for this one request.
    async fn prepare(&mut self, operation: &Operation, role: Role) -> (Dav, Words) {
        let mut words = Words::from([("new", self.new_name())]);
        let asks = self.caller(operation, role, &mut words).await;
        let name = self.new_name();
        let things = Things {
            world: &self.world,
            owner: &self.owner,
            user: &World::alice_user(),
            receivers: &[("writer", "write"), ("reader", "read")],
        };
        words.extend(things.make(&name, |word| operation.needs(word)).await);
        if [Role::Reader, Role::Writer].contains(&role) {
            for word in ["path", "folder_path"] {
                if let Some(path) = words.get_mut(word) {
                    path.insert_str(0, "/Shared with me");
                }
            }
        }
        if operation.needs("user") {
            let (.., id) = self.account("user").await;
            words.insert("user", id);
        }
        (asks, words)
    }

    /// Whoever asks; with an account of their own where the request changes that.
    async fn caller(&mut self, operation: &Operation, role: Role, words: &mut Words) -> Dav {
        let anyone = self.world.anonymous();
        let user = match role {
            Role::Stranger => World::bob_user(),
            Role::Reader => User::named("reader"),
            Role::Writer => User::named("writer"),
            Role::Administrator => World::admin_user(),
            _ => World::alice_user(),
        };
        let (mut name, mut password) = (user.name, user.password);
        let is_own = ["password", "refresh_token"]
            .iter()
            .any(|word| operation.needs(word));
        let is_person = ![Role::ReadOnly, Role::Confined].contains(&role);
        if is_own && is_person {
            let access = match role {
                Role::Administrator => "administrator",
                _ => "user",
            };
            (name, password, _) = self.account(access).await;
        }
        if operation.needs("refresh_token") {
            let tokens = login(&anyone, &name, &password).await.must_be(200).json();
            words.insert("refresh_token", text(&tokens["refresh_token"]));
        }
        let asks = match role {
            Role::Anonymous => anyone,
            Role::ReadOnly => self.devices[0].clone(),
            Role::Confined => self.devices[1].clone(),
            _ => basic(&anyone, &name, &password),
        };
        words.insert("name", name);
        words.insert("password", password);
        asks
    }
}

/// The role × operation table: what is another's is 404, not 403.
#[tokio::test]
async fn each_role_is_answered_as_the_table_says() {
    let expected = table();
    let mut scene = Scene::set_up().await;
    let mut wrong = String::new();
    for operation in OPERATIONS {
        let mut statuses = Vec::new();
        for (role, _) in ROLES {
            let (asks, words) = scene.prepare(operation, role).await;
            let answer = operation.request(&asks, &words).send().await;
            statuses.push(answer.status());
        }
        if expected.get(operation.name) != Some(&statuses) {
            wrong += &write_row(operation.name, &statuses);
            wrong.push('\n');
        }
    }
    let columns: Vec<&str> = ROLES.iter().map(|(_, name)| *name).collect();
    assert!(
        wrong.is_empty(),
        "tests/roles.md says otherwise of these:\n| operation | {} |\n{wrong}",
        columns.join(" | ")
    );
}

/// What the server's own document says there is, and the table does not have.
#[tokio::test]
async fn no_operation_of_the_document_is_without_a_row() {
    let printed = Program::new(binary("cofferd")).args(["openapi"]);
    let printed = printed.run().await.success().stdout;
    let document: Value = serde_json::from_str(&printed).expect("the document is JSON");
    let mut without = Vec::new();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let methods = item.as_object().expect("a path has methods").keys();
        for method in methods.filter(|key| *key != "parameters") {
            operations += 1;
            let name = format!("{} {path}", method.to_uppercase());
            let is_known = OPERATIONS.iter().any(|operation| {
                let route = operation.name.split(" (").next();
                route.is_some_and(|route| same_route(route, &name))
            });
            if !is_known {
                without.push(name);
            }
        }
    }
    assert!(operations > 40, "{operations} operations");
    assert!(
        without.is_empty(),
        "no row in tests/roles.md for {without:#?}"
    );
}

/// Whether two routes are one, whatever their parameters are called.
fn same_route(one: &str, other: &str) -> bool {
    let parts = |route: &str| -> Vec<String> {
        let parts = route.split('/');
        let named = parts.map(|part| if part.starts_with('{') { "{}" } else { part });
        named.map(str::to_owned).collect()
    };
    parts(one) == parts(other)
}

#[test]
fn the_table_of_roles_holds_every_operation_once() {
    let rows = table();
    let names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    let without: Vec<_> = names
        .iter()
        .filter(|name| !rows.contains_key(**name))
        .collect();
    assert!(without.is_empty(), "no row for {without:?}");
    let unknown: Vec<_> = rows
        .keys()
        .filter(|row| !names.contains(&row.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no request for {unknown:?}");
    assert_eq!(rows.len(), names.len());
    assert!(rows.values().all(|cells| cells.len() == ROLES.len()));
}
