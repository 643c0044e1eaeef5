//! `cofferd user …`

use super::{Command, UserChange, password_from_stdin};
use crate::cli::UserVerb;

pub fn command(verb: UserVerb) -> anyhow::Result<Command> {
    Ok(match verb {
        UserVerb::Add {
            name,
            email,
            quota,
            admin,
            password_stdin: _,
        } => Command::UserAdd {
            name,
            email,
            quota_bytes: quota.map(|size| size.0),
            admin,
            password: password_from_stdin()?,
        },
        UserVerb::List => Command::UserList,
        UserVerb::Show { name } => Command::UserShow { name },
        UserVerb::Set {
            name,
            rename,
            email,
            quota,
            admin,
            password_stdin,
        } => Command::UserSet {
            name,
            change: UserChange {
                name: rename,
                email,
                quota_bytes: quota.map(|size| size.0),
                admin,
                password: password_stdin.then(password_from_stdin).transpose()?,
            },
        },
        UserVerb::Remove { name, dry_run } => Command::UserRemove { name, dry_run },
    })
}
