//! The JSON words of Coffer: requests, answers and problems, shared by the daemon and its clients.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod app_password;
mod login;
mod page;
mod ping;
mod problem;
mod user;

pub use self::app_password::{AppPassword, AppPasswordMade, NewAppPassword};
pub use self::login::{Login, LoginRequest, LogoutRequest, RefreshRequest, Session, Tokens};
pub use self::page::Page;
pub use self::ping::Ping;
pub use self::problem::Problem;
pub use self::user::{
    Invitation, NewInvitation, NewUser, OwnChange, OwnRemoval, Registered, Usage, User, UserChange,
};
