//! Every operation there is, as a request that can be made of it: what tables and comparisons go
//! through.

use std::collections::BTreeMap;

use harness::{Dav, Request, encode_path};

/// An operation: a method and a route, and one request for it.
///
/// `{words}` in braces are filled in from [`Words`].
pub struct Operation {
    /// Method and route as the document of the API has them; what tells it from others of the same
    /// route, in parentheses.
    pub name: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Content,
}

enum Content {
    Nothing,
    Json(&'static str),
    Text(&'static str),
    Xml(&'static str),
    /// A form with one file of this name.
    Form(&'static str),
}

/// What stands for the words in braces.
pub type Words = BTreeMap<&'static str, String>;

const BOUNDARY: &str = "limit";

impl Operation {
    const fn new(name: &'static str, target: &'static str) -> Self {
        Self {
            name,
            target,
            headers: &[],
            body: Content::Nothing,
        }
    }

    const fn json(self, body: &'static str) -> Self {
        self.body(Content::Json(body))
    }

    const fn text(self, body: &'static str) -> Self {
        self.body(Content::Text(body))
    }

    const fn body(self, body: Content) -> Self {
        Self { body, ..self }
    }

    const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    /// The method.
    pub fn method(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// Whether the request needs this word.
    pub fn needs(&self, word: &str) -> bool {
        let word = format!("{{{word}}}");
        let (Content::Json(body) | Content::Text(body) | Content::Xml(body) | Content::Form(body)) =
            self.body
        else {
            return self.says(&word, "");
        };
        self.says(&word, body)
    }

    fn says(&self, word: &str, body: &str) -> bool {
        let in_headers = self.headers.iter().any(|(_, value)| value.contains(word));
        self.target.contains(word) || body.contains(word) || in_headers
    }

    /// The request, as `who`.
    pub fn request(&self, who: &Dav, words: &Words) -> Request {
        let target = fill(self.target, words, encode_path);
        let mut request = who.request_at(self.method(), &target);
        for (name, value) in self.headers {
            request = request.header(name, &fill(value, words, encode_path));
        }
        let plain = |text: &str| fill(text, words, str::to_owned);
        match self.body {
            Content::Nothing => request,
            Content::Json(body) => request
                .header("Content-Type", "application/json")
                .body(plain(body)),
            Content::Text(body) => request.body(plain(body)),
            Content::Xml(body) => request.xml(&plain(body)),
            Content::Form(name) => {
                let name = plain(name);
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                request.header("Content-Type", &kind).body(format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
                     filename=\"{name}\"\r\n\r\nnew\r\n--{BOUNDARY}--\r\n"
                ))
            }
        }
    }
}

fn fill(template: &str, words: &Words, write: impl Fn(&str) -> String) -> String {
    let mut text = template.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("{{{word}}}"), &write(value));
    }
    text
}

macro_rules! op {
    ($name:literal, $target:literal) => {
        Operation::new($name, $target)
    };
}

const DESTINATION: &[(&str, &str)] = &[("Destination", "/dav{folder_path}/{new}"), ("Depth", "0")];
const APPEND: &[(&str, &str)] = &[
    ("Content-Type", "application/x-sabredav-partialupdate"),
    ("X-Update-Range", "append"),
];
const TUS: &[(&str, &str)] = &[("Tus-Resumable", "1.0.0")];
const TUS_NEW: &[(&str, &str)] = &[
    ("Tus-Resumable", "1.0.0"),
    ("Upload-Length", "3"),
    ("Upload-Metadata", "filename bmV3"),
];
const TUS_BYTES: &[(&str, &str)] = &[
    ("Tus-Resumable", "1.0.0"),
    ("Content-Type", "application/offset+octet-stream"),
    ("Upload-Offset", "0"),
];
const TUS_HEAD: &[(&str, &str)] = &[
    ("Tus-Resumable", "1.0.0"),
    ("X-HTTP-Method-Override", "HEAD"),
];
const NO_LOCK: &[(&str, &str)] = &[(
    "Lock-Token",
    "<urn:uuid:00000000-0000-0000-0000-000000000000>",
)];
const LOCK: &str = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockinfo>";
const SET: &str = "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><x xmlns='urn:x'>x</x>\
    </D:prop></D:set></D:propertyupdate>";
const SYNC: &str = "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:sync-level>1\
    </D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>";

/// All of them, in the order of `docs/API.md`; then the verbs of WebDAV.
///
/// - `{file}`, `{folder}`: ids of a file and of the folder that it is in; `{path}`, `{folder_path}`:
///   where the caller finds them; `{sha256}`: a content that their owner has published.
/// - `{version}`: the id of a version of that file; `{trashed}`: that of a file that was deleted.
/// - `{user}`, `{login}`, `{app_password}`: ids of an account, and of what belongs to it.
/// - `{link}`: the id of a link to the file; `{token}`, `{drop}`: secrets of links to the folder, for
///   reading and for uploads.
/// - `{grant}`: the id of the reader's grant on the folder; `{offer}`: of an offer of it to them.
/// - `{invitation}`: the id of one that is open; `{upload}`: of an upload of 3 bytes that has none.
/// - `{asset}`: the id of a draft with the file `model.bin` and one image, `{image}`.
/// - `{name}`, `{password}`, `{refresh_token}`: the caller's own; `{new}`: a name nobody has.
pub const OPERATIONS: &[Operation] = &[
    op!("GET /healthz", "/healthz"),
    op!("GET /readyz", "/readyz"),
    op!("GET /ping", "/api/v1/ping"),
    // Log-ins
    op!("POST /auth/login", "/api/v1/auth/login")
        .json(r#"{"login": "{name}", "password": "{password}", "cookie": false}"#),
    op!("POST /auth/refresh", "/api/v1/auth/refresh")
        .json(r#"{"refresh_token": "{refresh_token}", "cookie": false}"#),
    op!("POST /auth/logout", "/api/v1/auth/logout").json(r#"{"refresh_token": "{refresh_token}"}"#),
    op!("GET /auth/session", "/api/v1/auth/session"),
    // Accounts
    op!("POST /users", "/api/v1/users")
        .json(r#"{"username": "{new}", "password": "long enough", "cookie": false}"#),
    op!("POST /users (an administrator)", "/api/v1/users")
        .json(r#"{"username": "{new}", "password": "long enough", "access": "administrator"}"#),
    op!("GET /me", "/api/v1/me"),
    op!("PATCH /me", "/api/v1/me")
        .json(r#"{"current_password": "{password}", "email": "{new}@example.org"}"#),
    op!("DELETE /me", "/api/v1/me").json(r#"{"password": "{password}"}"#),
    op!("GET /me/usage", "/api/v1/me/usage"),
    op!("GET /me/logins", "/api/v1/me/logins"),
    op!("DELETE /me/logins/{id}", "/api/v1/me/logins/{login}"),
    op!("GET /me/app-passwords", "/api/v1/me/app-passwords"),
    op!("POST /me/app-passwords", "/api/v1/me/app-passwords")
        .json(r#"{"name": "device", "current_password": "{password}"}"#),
    op!(
        "DELETE /me/app-passwords/{id}",
        "/api/v1/me/app-passwords/{app_password}"
    ),
    // Files
    op!("GET /files", "/api/v1/files?path={folder_path}"),
    op!("GET /files (by id)", "/api/v1/files?id={folder}"),
    op!("POST /files", "/api/v1/files?dir={folder_path}").body(Content::Form("{new}")),
    op!("PATCH /files", "/api/v1/files?path={path}").json(r#"{"name": "{new}"}"#),
    op!("DELETE /files", "/api/v1/files?path={path}"),
    op!("GET /files/{id}", "/api/v1/files/{file}"),
    op!("GET /files/{id} (a folder)", "/api/v1/files/{folder}"),
    op!("PATCH /files/{id}", "/api/v1/files/{file}").json(r#"{"name": "{new}"}"#),
    op!("PATCH /files/{id} (a folder)", "/api/v1/files/{folder}").json(r#"{"name": "{new}"}"#),
    op!("DELETE /files/{id}", "/api/v1/files/{file}"),
    op!("DELETE /files/{id} (a folder)", "/api/v1/files/{folder}"),
    op!("GET /files/content", "/api/v1/files/content?path={path}"),
    op!("PUT /files/content", "/api/v1/files/content?path={path}").text("new"),
    op!("GET /files/{id}/content", "/api/v1/files/{file}/content"),
    op!("PUT /files/{id}/content", "/api/v1/files/{file}/content").text("new"),
    op!("POST /files/copy", "/api/v1/files/copy?path={path}").json(r#"{"name": "{new}"}"#),
    op!("POST /files/{id}/copy", "/api/v1/files/{file}/copy").json(r#"{"name": "{new}"}"#),
    op!(
        "POST /files/{id}/copy (to one's own)",
        "/api/v1/files/{file}/copy"
    )
    .json(r#"{"path": "/{new}"}"#),
    op!("GET /files/zip", "/api/v1/files/zip?path={folder_path}"),
    op!("GET /files/{id}/zip", "/api/v1/files/{folder}/zip"),
    // Sharing
    op!("GET /files/{id}/grants", "/api/v1/files/{folder}/grants"),
    op!(
        "GET /files/grants",
        "/api/v1/files/grants?path={folder_path}"
    ),
    op!("POST /files/{id}/grants", "/api/v1/files/{folder}/grants")
        .json(r#"{"name": "{new}", "right": "read"}"#),
    op!(
        "POST /files/grants",
        "/api/v1/files/grants?path={folder_path}"
    )
    .json(r#"{"name": "{new}", "right": "read"}"#),
    op!("DELETE /files/{id}/grants", "/api/v1/files/{folder}/grants"),
    op!(
        "DELETE /files/grants",
        "/api/v1/files/grants?path={folder_path}"
    ),
    op!(
        "PATCH /files/{id}/grants/{grant_id}",
        "/api/v1/files/{folder}/grants/{grant}"
    )
    .json(r#"{"right": "write"}"#),
    op!(
        "DELETE /files/{id}/grants/{grant_id}",
        "/api/v1/files/{folder}/grants/{grant}"
    ),
    op!(
        "PATCH /files/grants/{grant_id}",
        "/api/v1/files/grants/{grant}?path={folder_path}"
    )
    .json(r#"{"right": "write"}"#),
    op!(
        "DELETE /files/grants/{grant_id}",
        "/api/v1/files/grants/{grant}?path={folder_path}"
    ),
    op!("GET /shared", "/api/v1/shared"),
    op!("DELETE /shared/{grant_id}", "/api/v1/shared/{grant}"),
    op!(
        "POST /files/{id}/transfer",
        "/api/v1/files/{folder}/transfer"
    )
    .json(r#"{"to": "{new}"}"#),
    op!(
        "POST /files/transfer",
        "/api/v1/files/transfer?path={folder_path}"
    )
    .json(r#"{"to": "{new}"}"#),
    op!("GET /transfers", "/api/v1/transfers"),
    op!(
        "POST /transfers/{id}/accept",
        "/api/v1/transfers/{offer}/accept"
    )
    .json("{}"),
    op!("DELETE /transfers/{id}", "/api/v1/transfers/{offer}"),
    op!("POST /dirs", "/api/v1/dirs").json(r#"{"path": "{folder_path}/{new}"}"#),
    // Versions and trash
    op!("GET /files/versions", "/api/v1/files/versions?path={path}"),
    op!("GET /files/{id}/versions", "/api/v1/files/{file}/versions"),
    op!(
        "GET /files/versions/{version_id}/content",
        "/api/v1/files/versions/{version}/content?path={path}"
    ),
    op!(
        "GET /files/{id}/versions/{version_id}/content",
        "/api/v1/files/{file}/versions/{version}/content"
    ),
    op!(
        "POST /files/versions/{version_id}/restore",
        "/api/v1/files/versions/{version}/restore?path={path}"
    ),
    op!(
        "POST /files/{id}/versions/{version_id}/restore",
        "/api/v1/files/{file}/versions/{version}/restore"
    ),
    op!(
        "DELETE /files/versions/{version_id}",
        "/api/v1/files/versions/{version}?path={path}"
    ),
    op!(
        "DELETE /files/{id}/versions/{version_id}",
        "/api/v1/files/{file}/versions/{version}"
    ),
    op!("GET /trash", "/api/v1/trash"),
    op!("GET /trash/{id}", "/api/v1/trash/{trashed}"),
    op!("GET /trash/{id}/content", "/api/v1/trash/{trashed}/content"),
    op!(
        "POST /trash/{id}/restore",
        "/api/v1/trash/{trashed}/restore"
    ),
    op!("DELETE /trash/{id}", "/api/v1/trash/{trashed}"),
    op!("DELETE /trash", "/api/v1/trash"),
    // Resumable uploads
    op!("OPTIONS /uploads", "/api/v1/uploads"),
    op!("GET /uploads", "/api/v1/uploads"),
    op!("POST /uploads", "/api/v1/uploads").with(TUS_NEW),
    op!("OPTIONS /uploads/{id}", "/api/v1/uploads/{upload}"),
    op!("HEAD /uploads/{id}", "/api/v1/uploads/{upload}").with(TUS),
    op!("GET /uploads/{id}", "/api/v1/uploads/{upload}"),
    op!("PATCH /uploads/{id}", "/api/v1/uploads/{upload}")
        .with(TUS_BYTES)
        .text("new"),
    op!("POST /uploads/{id}", "/api/v1/uploads/{upload}").with(TUS_HEAD),
    op!("DELETE /uploads/{id}", "/api/v1/uploads/{upload}"),
    op!(
        "POST /uploads/{id}/commit",
        "/api/v1/uploads/{upload}/commit"
    ),
    op!("GET /search", "/api/v1/search?q=content"),
    op!("GET /events", "/api/v1/events"),
    // Assets
    op!("GET /me/author", "/api/v1/me/author"),
    op!("PUT /me/author", "/api/v1/me/author").json(r#"{"public_name": "{new}"}"#),
    op!("GET /me/author/offers", "/api/v1/me/author/offers"),
    op!("GET /me/assets", "/api/v1/me/assets"),
    op!("GET /assets", "/api/v1/assets?q=content"),
    op!("POST /assets", "/api/v1/assets").json(r#"{"name": "{new}", "kind": "2d"}"#),
    op!("GET /assets/{id}", "/api/v1/assets/{asset}"),
    op!("PATCH /assets/{id}", "/api/v1/assets/{asset}").json(r#"{"description": "new"}"#),
    op!("DELETE /assets/{id}", "/api/v1/assets/{asset}"),
    op!(
        "POST /assets/{id}/publish",
        "/api/v1/assets/{asset}/publish"
    ),
    op!(
        "POST /assets/{id}/authors",
        "/api/v1/assets/{asset}/authors"
    )
    .json(r#"{"public_name": "{new}"}"#),
    op!(
        "POST /assets/{id}/authors/accept",
        "/api/v1/assets/{asset}/authors/accept"
    ),
    op!(
        "DELETE /assets/{id}/authors/{public_name}",
        "/api/v1/assets/{asset}/authors/{new}"
    ),
    op!("POST /assets/{id}/images", "/api/v1/assets/{asset}/images")
        .text("GIF89a\x03\0\x02\0\0\0\0"),
    op!(
        "GET /assets/{id}/images/{image_id}",
        "/api/v1/assets/{asset}/images/{image}"
    ),
    op!(
        "DELETE /assets/{id}/images/{image_id}",
        "/api/v1/assets/{asset}/images/{image}"
    ),
    op!(
        "PUT /assets/{id}/files/{name}",
        "/api/v1/assets/{asset}/files/{new}"
    )
    .text("new"),
    op!(
        "GET /assets/{id}/files/{name}",
        "/api/v1/assets/{asset}/files/model.bin"
    ),
    op!(
        "DELETE /assets/{id}/files/{name}",
        "/api/v1/assets/{asset}/files/model.bin"
    ),
    op!(
        "GET /assets/{id}/download",
        "/api/v1/assets/{asset}/download"
    ),
    // Links
    op!("GET /links", "/api/v1/links?path={path}"),
    op!("POST /links", "/api/v1/links").json(r#"{"file_id": "{file}"}"#),
    op!("GET /links/{id}", "/api/v1/links/{link}"),
    op!("PATCH /links/{id}", "/api/v1/links/{link}").json(r#"{"label": "{new}"}"#),
    op!("DELETE /links/{id}", "/api/v1/links/{link}"),
    op!("GET /s/{token}", "/s/{token}"),
    op!("POST /s/{token}", "/s/{drop}").body(Content::Form("{new}")),
    op!("GET /s/{token}/{path}", "/s/{token}/content.txt"),
    op!("PUT /s/{token}/{path}", "/s/{drop}/{new}").text("new"),
    // The store by hash
    op!("GET /store", "/api/v1/store"),
    op!("POST /store", "/api/v1/store").text("{new}"),
    op!("GET /store/{sha256}", "/api/v1/store/{sha256}"),
    op!("DELETE /store/{sha256}", "/api/v1/store/{sha256}"),
    // Administration
    op!("GET /users", "/api/v1/users"),
    op!("GET /users/{id}", "/api/v1/users/{user}"),
    op!("PATCH /users/{id}", "/api/v1/users/{user}").json(r#"{"quota_bytes": 1000000}"#),
    op!("DELETE /users/{id}", "/api/v1/users/{user}"),
    op!("GET /invitations", "/api/v1/invitations"),
    op!("POST /invitations", "/api/v1/invitations").json("{}"),
    op!(
        "DELETE /invitations/{id}",
        "/api/v1/invitations/{invitation}"
    ),
    op!("GET /admin/settings", "/api/v1/admin/settings"),
    op!("PATCH /admin/settings", "/api/v1/admin/settings").json(r#"{"registration": null}"#),
    op!("GET /admin/audit", "/api/v1/admin/audit"),
    op!("GET /admin/usage", "/api/v1/admin/usage"),
    op!("GET /admin/usage/users", "/api/v1/admin/usage/users"),
    op!("GET /admin/jobs", "/api/v1/admin/jobs"),
    op!(
        "POST /admin/jobs/{name}/run",
        "/api/v1/admin/jobs/sweep/run"
    ),
    // WebDAV
    op!("OPTIONS /dav/*", "/dav{path}"),
    op!("GET /dav/*", "/dav{path}"),
    op!("GET /dav/* (a folder)", "/dav{folder_path}/"),
    op!("HEAD /dav/*", "/dav{path}"),
    op!("PUT /dav/*", "/dav{path}").text("new"),
    op!("PUT /dav/* (a new file)", "/dav{folder_path}/{new}").text("new"),
    op!("PATCH /dav/*", "/dav{path}").with(APPEND).text("more"),
    op!("DELETE /dav/*", "/dav{path}"),
    op!("DELETE /dav/* (a folder)", "/dav{folder_path}"),
    op!("MKCOL /dav/*", "/dav{folder_path}/{new}"),
    op!("COPY /dav/*", "/dav{path}").with(DESTINATION),
    op!("MOVE /dav/*", "/dav{path}").with(DESTINATION),
    op!("PROPFIND /dav/*", "/dav{path}").with(&[("Depth", "0")]),
    op!("PROPFIND /dav/* (a folder)", "/dav{folder_path}/").with(&[("Depth", "1")]),
    op!("PROPPATCH /dav/*", "/dav{path}").body(Content::Xml(SET)),
    op!("LOCK /dav/*", "/dav{path}").body(Content::Xml(LOCK)),
    op!("UNLOCK /dav/*", "/dav{path}").with(NO_LOCK),
    op!("REPORT /dav/*", "/dav{folder_path}/").body(Content::Xml(SYNC)),
];
