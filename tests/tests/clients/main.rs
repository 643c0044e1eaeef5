//! Whole working sessions of real WebDAV clients, each as its user would have one.
//!
//! Every session uploads, lists, downloads and compares, overwrites, renames (also in case only),
//! copies and deletes; with deep folders, a folder of 2,000 entries, an empty file, one of 100 MB
//! and names that have given clients trouble; with locks, free space and times where the client
//! knows of them. Over TLS the same session runs at a smaller scale.

mod cadaver;
mod coffer;
mod curl;
mod davfs2;
mod duplicity;
mod gio;
mod git;
mod kioclient;
mod litmus;
mod local;
mod npm_webdav;
mod npm_ws;
mod python;
mod rclone;
mod restic;
mod schemathesis;
mod swagger;
mod tus;
