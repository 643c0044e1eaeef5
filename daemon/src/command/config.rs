//! `cofferd config …`: the configuration has been read and checked by the time this runs.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::ConfigVerb;
use crate::config::Config;

pub fn run(verb: ConfigVerb, config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match verb {
        ConfigVerb::Check if json => writeln!(out, "{{\"ok\":true}}")?,
        ConfigVerb::Check => writeln!(out, "The configuration is good.")?,
        ConfigVerb::Show if json => writeln!(out, "{}", serde_json::to_string(config)?)?,
        ConfigVerb::Show => out.write_all(config.to_toml()?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
