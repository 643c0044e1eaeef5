//! Runs the built programs as a user would and speaks to them from outside.
//!
//! A test takes a [`World`]: a fresh `cofferd` on a free port with its own data folder and its own
//! database, two users in it, and all of it taken down on drop. Nothing of Coffer is mocked, and
//! nothing here knows the inside of another crate, so a test says only what a client could see.

#![forbid(unsafe_code)]
#![allow(
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    clippy::needless_pass_by_value,
    reason = "a harness panics everywhere to fail its test, and reads best without `&` and `let _`"
)]

mod answer;
mod content;
mod daemon;
mod dav_client;
mod disk;
mod fsx;
mod mount;
mod multistatus;
mod postgres;
mod program;
mod proxy;
mod request_log;
mod socket;
mod steps;
mod wait;
mod wire;
mod world;

pub use answer::Answer;
pub use content::{SPECIAL_NAMES, noise, sha256_hex};
pub use daemon::{Daemon, Launch};
pub use dav_client::{Credential, Dav, Request, decode_path, encode_path};
pub use fsx::Fsx;
pub use mount::{Mount, MountSetup, is_mounted, private_file};
pub use multistatus::{Multistatus, Property, Response};
pub use postgres::{Cluster, Database, Durability};
pub use program::{Output, Program, binary, client_dir};
pub use proxy::{Proxy, Weather};
pub use request_log::LoggedRequest;
pub use socket::Socket;
pub use steps::Steps;
pub use wait::{until, within};
pub use wire::Wire;
pub use world::{Engine, Setup, User, World};
