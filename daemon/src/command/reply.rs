//! What commands answer, and how it is printed.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The outcome of a command that was executed.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    User(User),
    Users(Vec<User>),
    Removal(Removal),
    /// A new app password; the only time it is seen.
    NewAppPassword {
        app_password: AppPassword,
        password: String,
    },
    AppPasswords(Vec<AppPassword>),
    /// Ended, or with `dry_run` would have been.
    Revoked {
        app_password: AppPassword,
        dry_run: bool,
    },
    Sweep(SweepReport),
    Check(CheckReport),
}

#[derive(Debug, Deserialize, Serialize)]
pub struct User {
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub admin: bool,
    pub quota_bytes: u64,
    pub used_bytes: u64,
    /// RFC 3339.
    pub created_at: String,
}

/// A user's end, and what goes with it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Removal {
    pub name: String,
    pub files: u64,
    pub bytes: u64,
    pub dry_run: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct AppPassword {
    pub id: String,
    pub label: String,
    /// The folder it is limited to; `/` is all.
    pub path: String,
    pub read_only: bool,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct SweepReport {
    pub blobs: u64,
    pub bytes: u64,
    pub dry_run: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct CheckReport {
    pub blobs: u64,
    /// One sentence for each thing that is not as it should be.
    pub problems: Vec<String>,
}

impl Reply {
    /// Prints the reply: for people, or as one JSON object.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)
        } else {
            self.write_text(&mut out)
        }
    }

    /// A check that found something has failed.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Check(report) if !report.problems.is_empty() => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::User(user) => user.write_text(out),
            Self::Users(users) => write_table(
                out,
                &["NAME", "E-MAIL", "ROLE", "USED", "QUOTA"],
                users.iter().map(User::columns),
            ),
            Self::Removal(Removal {
                name,
                files,
                bytes,
                dry_run,
            }) => {
                let verb = if *dry_run { "Would remove" } else { "Removed" };
                writeln!(out, "{verb} {name} with {files} files of {bytes} bytes.")
            }
            Self::NewAppPassword {
                app_password,
                password,
            } => {
                writeln!(out, "{password}")?;
                // The password alone goes to standard output, for scripts.
                eprintln!("App password {}; it is not shown again.", app_password.id);
                Ok(())
            }
            Self::AppPasswords(list) => write_table(
                out,
                &[
                    "ID",
                    "LABEL",
                    "PATH",
                    "ACCESS",
                    "CREATED",
                    "EXPIRES",
                    "LAST USED",
                ],
                list.iter().map(AppPassword::columns),
            ),
            Self::Revoked {
                app_password,
                dry_run,
            } => {
                let verb = if *dry_run { "Would revoke" } else { "Revoked" };
                writeln!(out, "{verb} {} ({}).", app_password.id, app_password.label)
            }
            Self::Sweep(SweepReport {
                blobs,
                bytes,
                dry_run,
            }) => {
                let verb = if *dry_run { "Would remove" } else { "Removed" };
                writeln!(out, "{verb} {blobs} blobs of {bytes} bytes.")
            }
            Self::Check(CheckReport { blobs, problems }) => {
                for problem in problems {
                    writeln!(out, "{problem}")?;
                }
                let count = problems.len();
                writeln!(out, "Checked {blobs} blobs: {count} problems.")
            }
        }
    }
}

impl User {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let email = self.email.as_deref().unwrap_or("-");
        let role = role(self.admin);
        writeln!(
            out,
            "name:    {}\ne-mail:  {email}\nid:      {}",
            self.name, self.id
        )?;
        writeln!(out, "role:    {role}\ncreated: {}", self.created_at)?;
        writeln!(
            out,
            "used:    {} bytes\nquota:   {} bytes",
            self.used_bytes, self.quota_bytes
        )
    }

    fn columns(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.email.clone().unwrap_or_else(|| "-".to_owned()),
            role(self.admin).to_owned(),
            self.used_bytes.to_string(),
            self.quota_bytes.to_string(),
        ]
    }
}

fn role(admin: bool) -> &'static str {
    if admin { "administrator" } else { "user" }
}

impl AppPassword {
    fn columns(&self) -> Vec<String> {
        let or_dash = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.clone(),
            self.label.clone(),
            self.path.clone(),
            if self.read_only { "read" } else { "write" }.to_owned(),
            self.created_at.clone(),
            or_dash(&self.expires_at),
            or_dash(&self.last_used_at),
        ]
    }
}

/// Columns as wide as their widest cell; control characters cannot reach the terminal.
fn write_table(
    out: &mut impl Write,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> io::Result<()> {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let clean = |cell: String| cell.replace(char::is_control, "\u{fffd}");
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows)
        .map(|row| row.into_iter().map(clean).collect())
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_stays_plain_text() {
        let mut out = Vec::new();
        let rows = [["eve", "-"], ["a\u{1b}[31mlice", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        write_table(&mut out, &["NAME", "E-MAIL"], rows.into_iter()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "NAME        E-MAIL\neve         -\na\u{fffd}[31mlice  x\n"
        );
    }
}
