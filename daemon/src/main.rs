mod cli;
mod config;
mod daemonize;
mod endpoint;
mod process;
mod server;
mod telemetry;
fn main() {}
