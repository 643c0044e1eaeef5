//! Pages for people who open a link in a browser: plain HTML, one style, no script.

use std::fmt::Write as _;
use std::sync::LazyLock;

use api::LinkUpload;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest;
use store::{Members, Node, Path};

use super::name_of;
use crate::endpoint::files::write_cursor;
use crate::moment::rfc3339;
use crate::server::problem::Problem;

const STYLE: &str = include_str!("page.css");

/// What stands for itself in a path (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The page's own style and forms, and nothing else: no script, no picture, no frame around it.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is ASCII")
});

/// Text as it stands in HTML, also in an attribute.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A page with a title and what stands below it, which is HTML.
fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let title = Escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{content}</main>\n<footer>Shared with Coffer</footer>\n</body>\n</html>\n"
    );
    let fields = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (status, fields, html).into_response()
}

/// A file, with a button that gets it.
pub(super) fn file(token: &str, name: &str, node: &Node) -> Response {
    let content = format!(
        "<p class=\"soft\">{} · {}</p>\n\
         <p><a class=\"button\" href=\"{}?download=file\">Download</a></p>\n",
        size(node.size_bytes),
        day(node),
        address(token, &Path::root()),
    );
    page(StatusCode::OK, name, &content)
}

/// A part of what a folder holds.
pub(super) fn folder(token: &str, name: &str, path: &Path, members: &Members) -> Response {
    let here = address(token, path);
    let mut content = String::new();
    write_folder(&mut content, token, &here, path, members)
        .expect("writing to a String cannot fail");
    page(StatusCode::OK, name, &content)
}

fn write_folder(
    out: &mut String,
    token: &str,
    here: &str,
    path: &Path,
    members: &Members,
) -> std::fmt::Result {
    if members.items.is_empty() {
        out.push_str("<p class=\"soft\">Nothing is in this folder.</p>\n");
    } else {
        writeln!(
            out,
            "<p><a class=\"button\" href=\"{here}?download=zip\">Download all as ZIP</a></p>"
        )?;
    }
    out.push_str("<ul>\n");
    if let Some(above) = path.parent() {
        let above = address(token, &above);
        writeln!(out, "<li><a href=\"{above}\">Folder above</a></li>")?;
    }
    for item in &members.items {
        let name = name_of(item);
        let escaped = utf8_percent_encode(name, ESCAPED);
        let name = Escaped(name);
        if item.node.is_folder() {
            writeln!(
                out,
                "<li><a href=\"{here}/{escaped}/\">{name}/</a> <span class=\"soft\">Folder</span></li>"
            )?;
        } else {
            let (size, day) = (size(item.node.size_bytes), day(&item.node));
            writeln!(
                out,
                "<li><a href=\"{here}/{escaped}\">{name}</a> \
                 <span class=\"soft\">{size} · {day}</span></li>"
            )?;
        }
    }
    out.push_str("</ul>\n");
    if let Some(next) = &members.next {
        let cursor = write_cursor(next);
        writeln!(out, "<p><a href=\"{here}?cursor={cursor}\">More</a></p>")?;
    }
    Ok(())
}

/// The address of what lies behind a link. Its escapes need none in HTML.
pub(super) fn address(token: &str, path: &Path) -> String {
    let mut address = format!("/s/{}", utf8_percent_encode(token, ESCAPED));
    for name in path.names() {
        let escaped = utf8_percent_encode(name.as_str(), ESCAPED);
        write!(address, "/{escaped}").expect("writing to a String cannot fail");
    }
    address
}

/// The form that asks for a link's password.
pub(super) fn password(token: &str, path: &Path, was_wrong: bool) -> Response {
    let (status, message) = if was_wrong {
        let message = "<p class=\"bad\" role=\"alert\">That is not the password.</p>\n";
        (StatusCode::FORBIDDEN, message)
    } else {
        (StatusCode::OK, "")
    };
    let content = format!(
        "{message}<form method=\"post\" action=\"{}\">\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" required autofocus \
         autocomplete=\"off\">\n<input type=\"hidden\" name=\"path\" value=\"{}\">\n\
         <button>Open</button>\n</form>\n",
        address(token, &Path::root()),
        Escaped(&path.to_string()),
    );
    page(status, "This link needs a password", &content)
}

fn upload_form(token: &str) -> String {
    format!(
        "<form method=\"post\" action=\"{}\" enctype=\"multipart/form-data\">\n\
         <label for=\"files\">Files</label>\n\
         <input id=\"files\" name=\"files\" type=\"file\" multiple required>\n\
         <button>Send</button>\n</form>\n",
        address(token, &Path::root()),
    )
}

/// The form that takes files.
pub(super) fn upload(token: &str, folder: &str, message: Option<&str>) -> Response {
    let (status, message) = match message {
        Some(message) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("<p class=\"bad\" role=\"alert\">{}</p>\n", Escaped(message)),
        ),
        None => (StatusCode::OK, String::new()),
    };
    let content = format!(
        "<p class=\"soft\">You will not see what is in this folder, and nothing in it is replaced.</p>\n\
         {message}{}",
        upload_form(token),
    );
    page(status, &format!("Send files to {folder}"), &content)
}

/// What was taken, and the form for more.
pub(super) fn uploaded(token: &str, items: &[LinkUpload]) -> Response {
    let mut content =
        String::from("<p role=\"status\">Thank you. These files were stored:</p>\n<ul>\n");
    for item in items {
        let (name, size) = (Escaped(&item.name), size(item.size_bytes));
        writeln!(
            content,
            "<li><span>{name}</span> <span class=\"soft\">{size}</span></li>"
        )
        .expect("writing to a String cannot fail");
    }
    content.push_str("</ul>\n<h2>Send more</h2>\n");
    content.push_str(&upload_form(token));
    page(StatusCode::CREATED, "Stored", &content)
}

/// A failure, in words for people.
pub(super) fn problem(problem: &Problem) -> Response {
    let (title, text) = match problem.status() {
        StatusCode::NOT_FOUND => (
            "Nothing is here",
            "This link does not lead anywhere, or not any more. Ask whoever gave it to you.",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("Not just now", problem.detail()),
        _ => ("That did not work", problem.detail()),
    };
    let content = format!("<p>{}</p>\n", Escaped(text));
    let mut answer = page(problem.status(), title, &content);
    if let Some(seconds) = problem.retry_after_s() {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// The day of the last change.
fn day(node: &Node) -> String {
    let mut text = rfc3339(node.modified_ns.div_euclid(1_000_000));
    text.truncate("2026-01-31".len());
    text
}

/// A number of bytes for people, in decimal units.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.div_ceil(100), 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = tenths.div_ceil(1000);
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_three_or_four_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_049_000, "1.1 MB"),
            (999_900, "999.9 kB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18.5 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn no_name_becomes_a_tag() {
        let text = Escaped("<b class=\"x\" id='y'>&").to_string();
        assert_eq!(text, "&lt;b class=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
        let path = Path::parse("/a b/\u{fc}?#").unwrap();
        assert_eq!(address("t", &path), "/s/t/a%20b/%C3%BC%3F%23");
    }
}
