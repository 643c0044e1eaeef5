//! P2: what a user is shown is the same byte for byte, at the same cost in statements, whether or
//! not others have anything here.
//!
//! Two servers are asked the same: one where the stranger is alone with accounts that hold nothing,
//! and one where dave has an account and something of everything. What no two runs have in common
//! is written in the same way first: ids are numbered as they appear, instants and secrets blotted
//! out, header fields `date`, `x-request-id` and `content-length` left aside (the length is that of
//! the text so written), and of an archive, which holds instants, the length is compared.
//!
//! Time is for people to look at; medians of many rounds are printed by
//!
//! ```text
//! COFFER_TIMING_ROUNDS=200 cargo test -p coffer-tests --test json -- --nocapture isolation::
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use harness::{Answer, Dav, Request, Setup, World, noise, sha256_hex};
use serde_json::json;

use crate::operations::{OPERATIONS, Operation, Words};
use crate::phrase::{ask, basic};
use crate::things::{IDS, Things, text};

const PRIVATE: &str = "dave's content";

/// What somebody was shown of one request.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    what: String,
    status: u16,
    fields: Vec<String>,
    body: String,
    statements: u64,
}

/// Writes what differs from run to run in one way.
#[derive(Default)]
struct Scribe {
    ids: BTreeMap<String, usize>,
}

impl Scribe {
    fn answer(&mut self, what: String, answer: &Answer, statements: u64) -> Shown {
        let own = ["date", "x-request-id", "content-length"];
        let fields = answer.headers.iter();
        let fields = fields.filter(|(name, _)| !own.contains(&name.as_str()));
        let fields = fields.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("{name}: {}", self.text(&value))
        });
        let mut fields: Vec<String> = fields.collect();
        fields.sort();
        let is_ping = what.contains("/ping");
        let body = match str::from_utf8(&answer.body) {
            Ok(text) => self.text(text),
            // An archive holds instants in a form of its own.
            Err(_) => format!("{} bytes", answer.body.len()),
        };
        Shown {
            what,
            status: answer.status(),
            fields,
            // Milliseconds and nothing else.
            body: body.replace(
                |c: char| is_ping && (c.is_ascii_digit() || "e-.".contains(c)),
                "",
            ),
            statements,
        }
    }

    fn id(&mut self, id: &str) -> String {
        let next = self.ids.len();
        let number = self.ids.entry(id.to_owned()).or_insert(next);
        format!("(id {number})")
    }

    fn text(&mut self, text: &str) -> String {
        let mut written = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (length, stands_for) = if is_like(rest, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
                (36, self.id(&rest[..36]))
            } else if is_like(rest, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-0") {
                (32, self.id(&hyphenated(&rest[..32])))
            } else if is_like(rest, "0000-00-00T00:00:00") {
                let end = rest.find('Z').expect("an instant of ours is in UTC");
                (end + 1, "(instant)".to_owned())
            } else if is_like(rest, "aaa, 00 aaa 0000 00:00:00 GMT") {
                (29, "(instant)".to_owned())
            } else if ["cof_", "cfr_", "inv_", "coffer-lock:", "eyJ"]
                .iter()
                .any(|prefix| rest.starts_with(prefix))
            {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                (end, "(secret)".to_owned())
            } else {
                (first.len_utf8(), first.to_string())
            };
            written += &stands_for;
            rest = &rest[length..];
        }
        written
    }
}

/// A folder's entity tag has its id without hyphens.
fn hyphenated(id: &str) -> String {
    let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
    parts.join("-")
}

/// Whether a text begins like a pattern, in which `x` is a hexadecimal digit, `0` a digit and `a`
/// a letter.
fn is_like(text: &str, pattern: &str) -> bool {
    let text = text.as_bytes();
    text.len() >= pattern.len()
        && pattern.bytes().zip(text).all(|(like, &c)| match like {
            b'x' => c.is_ascii_digit() || (b'a'..=b'f').contains(&c),
            b'0' => c.is_ascii_digit(),
            b'a' => c.is_ascii_alphabetic(),
            like => like == c,
        })
}

/// Ids that nothing has.
fn nothing() -> Words {
    let numbered = IDS.into_iter().enumerate();
    let id = |number: usize| format!("01890000-0000-7000-8000-{number:012}");
    let mut words: Words = numbered.map(|(number, word)| (word, id(number))).collect();
    words.insert("lock", "coffer-lock:nobody-has-this-token0".to_owned());
    words.insert("folder_path", "/daves".to_owned());
    words.insert("path", "/daves/plans.txt".to_owned());
    words.insert("sha256", sha256_hex(PRIVATE.as_bytes()));
    // Secrets that nobody has told the stranger.
    words.insert("token", "t".repeat(32));
    words.insert("drop", "d".repeat(32));
    words
}

/// Gives dave something of everything; the words for it.
async fn crowd(world: &World) -> Words {
    let user = world.add_user("dave", None).await;
    let dave = world.as_user(&user);
    let things = Things {
        world,
        owner: &dave,
        user: &user,
        receivers: &[("alice", "write")],
    };
    let mut words = things.make("daves", |_| true).await;
    dave.put("/daves/plans.txt", PRIVATE).await.must_be(201);
    dave.put("/daves/known.bin", noise(1, 3_000_000))
        .await
        .must_be(201);
    let me = ask(&dave, "GET", "/me").await.must_be(200).json();
    words.insert("user", text(&me["id"]));
    let lock = dave.lock("/daves/locked.txt").await.must_be(201);
    let token = lock.header("lock-token").trim_matches(['<', '>']);
    words.insert("lock", token.to_owned());
    // Of these the stranger may think without knowing of dave.
    for (word, guess) in nothing() {
        if !IDS.contains(&word) && word != "lock" {
            words.insert(word, guess);
        }
    }
    words
}

/// Operations that the stranger does to what is not theirs, and those anybody may try.
fn is_asked(operation: &Operation) -> bool {
    // These say who asks, not what of others there is: they come in `own`.
    !operation.needs("password") && !operation.needs("refresh_token")
}

struct Viewer<'a> {
    world: &'a World,
    scribe: Scribe,
    shown: Vec<Shown>,
}

impl Viewer<'_> {
    async fn ask(&mut self, what: impl Into<String>, request: Request) -> Answer {
        let (answer, line) = self.world.logged(request).await;
        let shown = self.scribe.answer(what.into(), &answer, line.statements);
        self.shown.push(shown);
        answer
    }

    /// Everything that can be tried on what is another's.
    async fn try_others(&mut self, who: &str, asks: &Dav, others: &Words) {
        for (number, operation) in OPERATIONS.iter().enumerate() {
            if is_asked(operation) {
                let mut words = others.clone();
                words.insert("new", format!("{who}{number}"));
                let request = operation.request(asks, &words);
                self.ask(format!("{who}: {}", operation.name), request)
                    .await;
            }
        }
        for method in ["GET", "PUT", "DELETE", "PROPFIND", "MKCOL", "LOCK"] {
            let target = "/remote.php/dav/files/dave/daves/plans.txt";
            let request = asks.request_at(method, target).header("Depth", "0");
            self.ask(format!("{who}: {method} {target}"), request).await;
        }
        let token = format!("<{}>", others["lock"]);
        for (method, field, value) in [
            ("UNLOCK", "Lock-Token", token.clone()),
            ("PUT", "If", format!("({token})")),
            ("LOCK", "If", format!("({token})")),
        ] {
            let request = asks.request(method, "/theirs.txt").header(field, &value);
            let what = format!("{who}: {method} with a token of dave's");
            self.ask(what, request).await;
        }
        // What a file's or folder's id is worth in a body.
        for field in ["file", "folder"] {
            let into = json!({ "parent_id": others[field], "name": "moved" });
            let request = asks.request_at("PATCH", "/api/v1/files?path=/mine/a.txt");
            let what = format!("{who}: into the {field} of dave's");
            self.ask(what, request.json(&into)).await;
        }
    }

    /// A stranger's own things: made, listed, found, read, changed and removed.
    async fn own(&mut self, stranger: &Dav) {
        let at = |method: &str, path: &str| stranger.request_at(method, &format!("/api/v1{path}"));
        let dated = "/files/content?path=/mine/content.txt&modified_at=2020-01-01T00:00:00Z";
        self.ask("own file", at("PUT", dated).body(PRIVATE)).await;
        let mut words = Words::from([
            ("path", "/mine/content.txt".to_owned()),
            ("folder_path", "/mine".to_owned()),
            ("sha256", sha256_hex(PRIVATE.as_bytes())),
        ]);
        let list = ask(stranger, "GET", "/files?path=/mine").await.must_be(200);
        let list = list.json();
        words.insert("folder", text(&list["folder"]["id"]));
        let ids = list["items"].as_array().expect("a list").iter();
        let found = ids.clone().find(|item| item["name"] == "content.txt");
        words.insert("file", text(&found.expect("the own file")["id"]));
        // What is read comes while all of it is there.
        let is_read = |operation: &&Operation| {
            ["GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"].contains(&operation.method())
        };
        let needs_others = |operation: &Operation| {
            let of_others = IDS
                .iter()
                .filter(|word| !["file", "folder"].contains(*word));
            of_others.into_iter().any(|word| operation.needs(word))
        };
        for operation in OPERATIONS.iter().filter(is_read) {
            if is_asked(operation) && !needs_others(operation) {
                let request = operation.request(stranger, &words);
                self.ask(format!("own: {}", operation.name), request).await;
            }
        }
        self.ask("own publication", at("POST", "/store").body(PRIVATE))
            .await;
        let known = format!("/store/{}", words["sha256"]);
        self.ask("own publication read", at("GET", &known)).await;
        self.ask("own publications", at("GET", "/store")).await;
        let known = noise(1, 3_000_000);
        self.ask(
            "content that dave has",
            at("PUT", "/files/content?path=/mine/known.bin").body(known),
        )
        .await;
        self.ask("own use", at("GET", "/me/usage")).await;
        // A right is given to whoever has the name, or will have; nobody is told.
        for name in ["dave", "dave@example.org"] {
            let grant = json!({ "name": name, "right": "read" });
            let grants = at("POST", "/files/grants?path=/mine").json(&grant);
            self.ask("own grant", grants).await;
            let offer = at("POST", "/files/transfer?path=/mine").json(&json!({ "to": name }));
            self.ask("own offer", offer).await;
        }
        self.ask("own grants", at("GET", "/files/grants?path=/mine"))
            .await;
        self.ask("own shares", at("GET", "/shared?by=me")).await;
        self.ask("own offers", at("GET", "/transfers")).await;
        self.ask("own end of a file", at("DELETE", "/files?path=/mine"))
            .await;
        self.ask("own use after that", at("GET", "/me/usage")).await;
    }

    /// Who there is cannot be told from log-ins.
    async fn guess(&mut self, anyone: &Dav) {
        for name in ["dave", "dave@example.org", "nobody", "nobody@example.org"] {
            let guess = json!({ "login": name, "password": "not the password" });
            let request = anyone.request_at("POST", "/api/v1/auth/login").json(&guess);
            self.ask("a guess", request).await;
            let by_basic = basic(anyone, name, "not the password");
            self.ask("a guess", by_basic.request("PROPFIND", "/")).await;
        }
        let new =
            json!({ "username": "erin", "email": "erin@example.org", "password": "long enough" });
        let request = anyone.request_at("POST", "/api/v1/users").json(&new);
        self.ask("a registration", request).await;
    }
}

async fn view(is_crowded: bool) -> (World, Words, Vec<Shown>) {
    let setup = Setup::default().env("COFFER_ACCOUNTS_FAILURES_PER_ADDRESS", "1000");
    let world = setup.start().await;
    let others = if is_crowded {
        crowd(&world).await
    } else {
        nothing()
    };
    let (stranger, anyone) = (world.bob(), world.anonymous());
    stranger.mkcol("/mine").await.must_be(201);
    stranger.put("/mine/a.txt", "a").await.must_be(201);
    let mut viewer = Viewer {
        world: &world,
        scribe: Scribe::default(),
        shown: Vec::new(),
    };
    // Ids that were asked for are told apart from those that were found.
    for id in others.values() {
        viewer.scribe.text(id);
    }
    viewer.try_others("stranger", &stranger, &others).await;
    viewer.try_others("anonymous", &anyone, &others).await;
    viewer.own(&stranger).await;
    viewer.guess(&anyone).await;
    let shown = viewer.shown;
    (world, others, shown)
}

/// "No request by one user reveals … anything of another user's: not names, not sizes, not that a
/// path, an id, a digest or an account exists."
#[tokio::test]
async fn a6_a_strangers_view_does_not_depend_on_what_others_have() {
    let (alone, crowded) = tokio::join!(view(false), view(true));
    let (world, others, shown) = crowded;
    assert!(shown.len() > 150, "{} requests", shown.len());
    let mut differences = String::new();
    for (without, with) in alone.2.iter().zip(&shown) {
        if without != with {
            let [without, with] = [without, with].map(|shown| format!("{shown:?}"));
            writeln!(differences, "alone:  {without}\namong others: {with}\n").expect("a String");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert_eq!(alone.2.len(), shown.len());
    registration_tells_no_more_than_that_something_is_taken(&world).await;
    let rounds = std::env::var("COFFER_TIMING_ROUNDS").map_or(0, |text| {
        text.parse().expect("COFFER_TIMING_ROUNDS is a number")
    });
    if rounds > 0 {
        print_times(&world, &others, rounds).await;
    }
}

/// "A taken name and a taken e-mail give one and the same answer", at the same cost.
async fn registration_tells_no_more_than_that_something_is_taken(world: &World) {
    let mut scribe = Scribe::default();
    let mut shown = Vec::new();
    for (username, email) in [
        ("dave", "new@example.org"),
        ("new", "dave@example.org"),
        ("dave@example.org", "new@example.org"),
        ("dave", "dave@example.org"),
    ] {
        let new = json!({ "username": username, "email": email, "password": "long enough" });
        let request = world.anonymous().request_at("POST", "/api/v1/users");
        let (answer, line) = world.logged(request.json(&new)).await;
        let answer = answer.must_be(409);
        shown.push(scribe.answer(String::new(), &answer, line.statements));
    }
    assert!(shown.iter().all(|other| *other == shown[0]), "{shown:#?}");
}

/// Prints how long refusals take for what is dave's and for what is nobody's.
async fn print_times(world: &World, others: &Words, rounds: usize) {
    let stranger = world.bob();
    let nothing = nothing();
    eprintln!(
        "{:50} {:>12} {:>12}",
        "median of a refusal", "another's", "nobody's"
    );
    for operation in OPERATIONS.iter().filter(|operation| is_asked(operation)) {
        let mut took = [Vec::new(), Vec::new()];
        let mut is_refused = true;
        for round in 0..rounds {
            for (words, took) in [others, &nothing].into_iter().zip(&mut took) {
                let mut words = words.clone();
                words.insert("new", format!("timed{round}"));
                let request = operation.request(&stranger, &words);
                let began = Instant::now();
                is_refused &= !request.send().await.succeeded();
                took.push(began.elapsed());
            }
        }
        if is_refused {
            let [theirs, nobodys] = took.map(median);
            eprintln!("{:50} {theirs:>12?} {nobodys:>12?}", operation.name);
        }
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}
