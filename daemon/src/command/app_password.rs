//! `cofferd app-password …`

use super::Command;
use crate::cli::AppPasswordVerb;

pub fn command(verb: AppPasswordVerb) -> Command {
    match verb {
        AppPasswordVerb::Add {
            user,
            label,
            path,
            read_only,
            expires_in,
        } => Command::AppPasswordAdd {
            user,
            label,
            path,
            read_only,
            expires_in_ms: expires_in
                .map(|age| u64::try_from(age.0.as_millis()).unwrap_or(u64::MAX)),
        },
        AppPasswordVerb::List { user } => Command::AppPasswordList { user },
        AppPasswordVerb::Revoke { user, id, dry_run } => {
            Command::AppPasswordRevoke { user, id, dry_run }
        }
    }
}
