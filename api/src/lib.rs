//! The JSON words of Coffer: requests, answers and problems, shared by the daemon and its clients.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod problem;

pub use self::problem::Problem;
