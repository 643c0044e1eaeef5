//! Links: files and folders for whoever holds the secret, without an account (D8).

mod contents;
mod downloads;
mod ends;
mod owner;
mod password;
mod upload;

use std::time::Duration;

use harness::{Answer, Dav, encode_path};
use serde_json::Value;

use crate::phrase::{ask, send};
use crate::things::text;

/// What browsers send.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const PATIENCE: Duration = Duration::from_mins(1);
const BOUNDARY: &str = "------------------------d74496d66958873e";

/// Makes a link; the answer, and its path `/s/…`.
async fn make(who: &Dav, new: Value) -> (Value, String) {
    let made = send(who, "POST", "/links", new).await.must_be(201);
    let location = made.header("location").to_owned();
    let made = made.json();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(location, format!("/api/v1/links/{id}"));
    let url = made["url"].as_str().expect("an address").to_owned();
    assert_eq!(url, format!("/s/{}", text(&made["token"])));
    (made, url)
}

fn link_path(link: &Value) -> String {
    format!("/links/{}", text(&link["id"]))
}

async fn done(who: &Dav, link: &Value) -> u64 {
    let now = ask(who, "GET", &link_path(link)).await.must_be(200).json();
    now["downloads_done"].as_u64().expect("a number")
}

/// As a program asks.
async fn get(who: &Dav, target: &str) -> Answer {
    who.request_at("GET", target).send().await
}

/// As a browser asks.
async fn browse(who: &Dav, target: &str) -> Answer {
    let request = who.request_at("GET", target).header("Accept", BROWSER);
    let page = request.send().await;
    assert_is_plain_page(&page);
    page
}

/// A page for people runs nothing and loads nothing.
#[track_caller]
fn assert_is_plain_page(page: &Answer) {
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(
        !policy.contains("unsafe") && !policy.contains("script-src"),
        "{policy}"
    );
    let text = page.text();
    for bad in [
        "<script",
        "javascript:",
        " onclick",
        " onload",
        "<iframe",
        "<img",
        "http://",
    ] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
    assert!(
        text.starts_with("<!doctype html>\n<html lang=\"en\">"),
        "{text}"
    );
    assert!(text.contains("name=\"viewport\""), "{text}");
    assert_keeps_secret(page);
}

/// The address is a secret, whatever the answer is.
#[track_caller]
fn assert_keeps_secret(answer: &Answer) {
    assert_eq!(
        answer.header("referrer-policy"),
        "no-referrer",
        "{answer:?}"
    );
    assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let cache = answer.header("cache-control");
    assert!(
        cache.starts_with("private") || cache == "no-store",
        "{answer:?}"
    );
}

fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; \
             filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    form
}

async fn post_form(who: &Dav, target: &str, accept: &str, files: &[(&str, &[u8])]) -> Answer {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = who.request_at("POST", target).header("Accept", accept);
    let request = request.header("Content-Type", &content_type);
    request.body(form(files)).send().await
}

async fn post_password(who: &Dav, target: &str, password: &str) -> Answer {
    let request = who.request_at("POST", target).header("Accept", BROWSER);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let body = format!("password={}", encode_path(password).replace("%20", "+"));
    request.body(body).send().await
}
