//! What operations are done to: something of everything, as an owner has it.

use harness::{Dav, User, World, sha256_hex};
use serde_json::{Value, json};

use crate::operations::Words;
use crate::phrase::{ask, login, send, store};

/// Words that are ids.
pub const IDS: [&str; 14] = [
    "asset",
    "image",
    "file",
    "folder",
    "link",
    "login",
    "app_password",
    "invitation",
    "user",
    "version",
    "trashed",
    "upload",
    "grant",
    "offer",
];

/// Makes things of an owner's for one request after the other.
pub struct Things<'a> {
    pub world: &'a World,
    pub owner: &'a Dav,
    pub user: &'a User,
    /// With whom the folder is shared, and for what; it is offered to the last.
    pub receivers: &'a [(&'a str, &'a str)],
}

pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Things<'_> {
    /// Makes what is needed of it all under names that begin with `name`; the words for it.
    pub async fn make(&self, name: &str, needs: impl Fn(&str) -> bool) -> Words {
        let mut words = Words::new();
        let of_files = ["file", "folder", "path", "folder_path", "grant", "offer"];
        let of_links = ["link", "token", "drop"];
        if of_files.into_iter().chain(of_links).any(&needs) {
            self.make_file(name, &mut words).await;
            self.share(&mut words).await;
        }
        if needs("offer") {
            let to = self.receivers.last().map_or("nobody", |(name, _)| name);
            let offers = format!("/files/{}/transfer", words["folder"]);
            let made = send(self.owner, "POST", &offers, json!({ "to": to })).await;
            words.insert("offer", text(&made.must_be(202).json()["id"]));
        }
        if needs("version") {
            let path = words["path"].clone();
            let again = store(self.owner, &path, "another content").await;
            again.must_be(200);
            let versions = format!("/files/{}/versions", words["file"]);
            let list = self.get(&versions).await;
            words.insert("version", text(&list["items"][0]["id"]));
        }
        if needs("trashed") {
            let path = format!("/deleted {name}");
            let made = store(self.owner, &path, "deleted").await.must_be(201);
            words.insert("trashed", text(&made.json()["id"]));
            self.owner.delete(&path).await.must_be(204);
        }
        for (word, field, to, kind) in [
            ("link", "id", "file", "read"),
            ("token", "token", "folder", "read"),
            ("drop", "token", "folder", "upload"),
        ] {
            if needs(word) {
                let new = json!({ "file_id": words[to], "kind": kind });
                let made = send(self.owner, "POST", "/links", new).await;
                words.insert(word, text(&made.must_be(201).json()[field]));
            }
        }
        if needs("sha256") {
            let content = format!("published as {name}");
            let request = self.owner.request_at("POST", "/api/v1/store");
            words.insert("sha256", sha256_hex(content.as_bytes()));
            request.body(content).send().await.must_be(201);
        }
        if needs("login") {
            let anyone = self.owner.anonymous();
            let tokens = login(&anyone, &self.user.name, &self.user.password).await;
            tokens.must_be(200);
            let logins = self.get("/me/logins").await;
            words.insert("login", text(&logins["items"][0]["id"]));
        }
        if needs("app_password") {
            let new = json!({ "name": name, "current_password": self.user.password });
            let made = send(self.owner, "POST", "/me/app-passwords", new).await;
            words.insert("app_password", text(&made.must_be(201).json()["id"]));
        }
        if needs("upload") {
            let upload = crate::uploads::begin_small(self.owner, &format!("{name}.part")).await;
            words.insert("upload", upload);
        }
        if needs("asset") {
            self.make_asset(name, &mut words).await;
        }
        if needs("invitation") {
            let root = self.world.as_user(&World::admin_user());
            let made = ask(&root, "POST", "/invitations").await.must_be(201);
            words.insert("invitation", text(&made.json()["id"]));
        }
        words
    }

    /// A folder with a file in it.
    async fn make_file(&self, name: &str, words: &mut Words) {
        let (folder_path, path) = (format!("/{name}"), format!("/{name}/content.txt"));
        let made = store(self.owner, &path, "content").await.must_be(201);
        words.insert("file", text(&made.json()["id"]));
        let list = self.get(&format!("/files?path={folder_path}")).await;
        words.insert("folder", text(&list["folder"]["id"]));
        words.insert("path", path);
        words.insert("folder_path", folder_path);
    }

    /// A draft with a file and an image.
    async fn make_asset(&self, name: &str, words: &mut Words) {
        let public_name = json!({ "public_name": format!("studio {name}") });
        let named = send(self.owner, "PUT", "/me/author", public_name).await;
        named.must_be(200);
        let new = json!({ "name": name, "kind": "2d" });
        let made = send(self.owner, "POST", "/assets", new).await.must_be(201);
        let asset = text(&made.json()["id"]);
        let at = format!("/api/v1/assets/{asset}");
        let put = self
            .owner
            .request_at("PUT", &format!("{at}/files/model.bin"));
        put.body("model").send().await.must_be(201);
        let add = self.owner.request_at("POST", &format!("{at}/images"));
        let image = add
            .body("GIF89a\x03\0\x02\0\0\0\0")
            .send()
            .await
            .must_be(201);
        let image = image
            .header("location")
            .rsplit('/')
            .next()
            .map(str::to_owned);
        words.insert("image", image.expect("an address"));
        words.insert("asset", asset);
    }

    async fn share(&self, words: &mut Words) {
        let grants = format!("/files/{}/grants", words["folder"]);
        for (name, right) in self.receivers {
            let grant = json!({ "name": name, "right": right });
            let made = send(self.owner, "POST", &grants, grant).await;
            words.insert("grant", text(&made.must_be(201).json()["id"]));
        }
    }

    async fn get(&self, path: &str) -> Value {
        ask(self.owner, "GET", path).await.must_be(200).json()
    }
}
