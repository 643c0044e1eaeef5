//! The JSON API, request by request. Tests of a requirement begin with its id in `PRODUCT`.

mod accounts;
mod admin;
mod administration;
mod archives;
mod assets;
mod conditions;
mod document;
mod doors;
mod events;
mod file_rules;
mod files;
mod forms;
mod isolation;
mod links;
mod log;
mod operations;
mod requirements;
mod roles;
mod search;
mod sharing;
mod sockets;
mod space;
mod store;
mod things;
mod tokens;
mod trash;
mod uploads;
mod versions;

/// Words that several modules say.
mod phrase {
    use bytes::Bytes;
    use harness::{Answer, Credential, Dav, User, encode_path};
    use serde_json::{Value, json};

    /// A request to the API with a JSON body.
    pub async fn send(who: &Dav, method: &str, path: &str, body: Value) -> Answer {
        let target = format!("/api/v1{path}");
        who.request_at(method, &target).json(&body).send().await
    }

    /// A request to the API without a body.
    pub async fn ask(who: &Dav, method: &str, path: &str) -> Answer {
        who.request_at(method, &format!("/api/v1{path}"))
            .send()
            .await
    }

    /// `/files…?path=` of a path given as plain text.
    pub fn by_path(what: &str, path: &str) -> String {
        format!("/files{what}?path={}", encode_path(path))
    }

    /// Stores a file through the API; the answer of the server.
    pub async fn store(who: &Dav, path: &str, content: impl Into<Bytes>) -> Answer {
        let target = format!("/api/v1{}", by_path("/content", path));
        who.request_at("PUT", &target).body(content).send().await
    }

    /// Logs in; the answer of the server.
    pub async fn login(who: &Dav, login: &str, password: &str) -> Answer {
        let body = json!({ "login": login, "password": password });
        send(who, "POST", "/auth/login", body).await
    }

    /// Logs a user in; the tokens.
    pub async fn tokens(who: &Dav, user: &User) -> Value {
        login(who, &user.name, &user.password)
            .await
            .must_be(200)
            .json()
    }

    /// The same server, seen by whoever holds this access token.
    pub fn bearer(who: &Dav, tokens: &Value) -> Dav {
        let token = tokens["access_token"].as_str().expect("a token");
        who.with(Credential::Bearer(token.to_owned()))
    }

    /// The same server, seen by whoever knows this name and secret.
    pub fn basic(who: &Dav, name: &str, secret: &str) -> Dav {
        who.with(Credential::Basic {
            user: name.to_owned(),
            password: secret.to_owned(),
        })
    }
}
