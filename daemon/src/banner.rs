//! What a person at the terminal needs next: the drive's URL, and how to mount it.
//!
//! The command lines work as printed; a test of the whole runs them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::Config;

/// What the text is made of.
pub struct Banner {
    /// Scheme, host and port.
    pub origin: String,
    /// Whose drive the examples mount.
    pub user: String,
    pub password: Password,
    /// Our own certificate, which clients have to be told to take.
    pub self_signed: bool,
}

/// What may be shown of the administrator's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// Made just now, for a person at the terminal: shown this once.
    Shown(String),
    /// Made just now, with nobody at the terminal: kept in this file.
    File(PathBuf),
    /// The administrator knows it.
    Known,
}

impl Password {
    /// What is said about the first administrator once it is made; ends with a line break.
    pub fn announcement(&self, user: &str) -> String {
        match self {
            Self::Shown(password) => format!(
                "The first administrator is {user} with the password {password}\nIt is not shown \
                 again. Change it with: cofferd user set {} --password-stdin\n\n",
                quote(user)
            ),
            Self::File(path) => format!(
                "The first administrator is {user}; the password is in {}\nRemove that file once \
                 you have read it.\n\n",
                path.display()
            ),
            Self::Known => String::new(),
        }
    }
}

/// The URL under which people reach a server that listens on `address`.
pub fn origin(config: &Config, address: SocketAddr, tls: bool) -> String {
    if let Some(url) = &config.listen.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if tls { "https" } else { "http" };
    let host = match address.ip() {
        ip if ip.is_unspecified() => rustix::system::uname().nodename().to_string_lossy().into(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    match (tls, address.port()) {
        (true, 443) | (false, 80) => format!("{scheme}://{host}"),
        (_, port) => format!("{scheme}://{host}:{port}"),
    }
}

impl Banner {
    /// The whole text; ends with a line break.
    pub fn text(&self) -> String {
        let Self { origin, user, .. } = self;
        let url = format!("{origin}/dav/");
        let tls = origin.starts_with("https:");
        let authority = origin
            .split_once("://")
            .map_or(origin.as_str(), |(_, rest)| rest);
        let secure = if tls { "s" } else { "" };
        let login = self.shell_login();
        let secret = self.shell_password();
        let mut text = format!("Coffer serves the drive at {url}\n\n");
        if self.password == Password::Known {
            // The lines below take the password from a variable of the shell.
            text.push_str("For the lines with a password, first type: read -rs PASSWORD\n\n");
        }
        let (curl_insecure, rclone_insecure, litmus_insecure) = if self.self_signed {
            ("-k ", " --no-check-certificate", "-k ")
        } else {
            ("", "", "")
        };
        let shell_user = quote(user);
        let rows = [
            ("Explorer", format!("net use Z: {url} /user:{user} *")),
            ("Finder", format!("Go > Connect to Server (Cmd-K): {url}")),
            (
                "GNOME Files",
                format!(
                    "gio mount dav{secure}://{}@{authority}/dav/",
                    url_user(user)
                ),
            ),
            (
                "Dolphin",
                format!(
                    "dolphin webdav{secure}://{}@{authority}/dav/",
                    url_user(user)
                ),
            ),
            (
                "davfs2",
                format!("sudo mount -t davfs -o username={shell_user} {url} /mnt"),
            ),
            (
                "rclone",
                format!(
                    "rclone lsl :webdav: --webdav-url {url} --webdav-vendor owncloud \
                     --webdav-user {shell_user} --webdav-pass \
                     \"$(rclone obscure {secret})\"{rclone_insecure}"
                ),
            ),
            (
                "curl, store",
                format!("echo hello | curl {curl_insecure}-u {login} -T - {url}hello.txt"),
            ),
            (
                "curl, read",
                format!("curl {curl_insecure}-u {login} {url}hello.txt"),
            ),
            (
                "litmus",
                format!("litmus {litmus_insecure}{url} {shell_user} {secret}"),
            ),
        ];
        text.push_str("Mount it, or try it out:\n");
        for (name, line) in rows {
            let _ = writeln!(text, "  {name:<12} {line}");
        }
        if !tls {
            text.push_str(
                "\nExplorer and Office refuse passwords over plain HTTP; give a certificate in \
                 [listen],\nor try --self-signed.\n",
            );
        }
        text
    }

    fn shell_password(&self) -> String {
        match &self.password {
            Password::Shown(password) => quote(password),
            Password::File(path) => format!("\"$(cat {})\"", quote(&path.to_string_lossy())),
            Password::Known => "\"$PASSWORD\"".to_owned(),
        }
    }

    /// `user:password` as one word of the shell.
    fn shell_login(&self) -> String {
        match &self.password {
            Password::Shown(password) => quote(&format!("{}:{password}", self.user)),
            _ => format!("{}:{}", quote(&self.user), self.shell_password()),
        }
    }
}

/// One word of the shell.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A user name inside a URL.
fn url_user(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(password: Password) -> Banner {
        Banner {
            origin: "http://127.0.0.1:8080".into(),
            user: "admin".into(),
            password,
            self_signed: false,
        }
    }

    #[test]
    fn every_client_has_its_line() {
        let text = banner(Password::Shown("s3cret".into())).text();
        for line in [
            "Coffer serves the drive at http://127.0.0.1:8080/dav/",
            "net use Z: http://127.0.0.1:8080/dav/ /user:admin *",
            "gio mount dav://admin@127.0.0.1:8080/dav/",
            "dolphin webdav://admin@127.0.0.1:8080/dav/",
            "sudo mount -t davfs -o username=admin http://127.0.0.1:8080/dav/ /mnt",
            "--webdav-vendor owncloud",
            "\"$(rclone obscure s3cret)\"",
            "curl -u admin:s3cret -T - http://127.0.0.1:8080/dav/hello.txt",
            "litmus http://127.0.0.1:8080/dav/ admin s3cret",
            "Explorer and Office refuse passwords over plain HTTP",
        ] {
            assert!(text.contains(line), "{line}\n\n{text}");
        }
    }

    #[test]
    fn the_first_administrator_is_announced_with_the_password_or_its_place() {
        let shown = Password::Shown("s3cret".into()).announcement("a b");
        assert!(shown.contains("a b with the password s3cret"), "{shown}");
        assert!(shown.contains("cofferd user set 'a b' "), "{shown}");
        let kept = Password::File("/a b/password".into()).announcement("admin");
        assert!(kept.contains("the password is in /a b/password"), "{kept}");
        assert_eq!(Password::Known.announcement("admin"), "");
    }

    #[test]
    fn a_password_that_must_not_be_shown_is_taken_from_where_it_is() {
        let text = banner(Password::File("/a b/password".into())).text();
        assert!(
            text.contains("curl -u admin:\"$(cat '/a b/password')\" -T"),
            "{text}"
        );
        let text = banner(Password::Known).text();
        assert!(text.contains("litmus http://127.0.0.1:8080/dav/ admin \"$PASSWORD\""));
    }

    #[test]
    fn tls_with_our_own_certificate_is_told_to_the_clients() {
        let origin = "https://box".into();
        let known = banner(Password::Known);
        let text = Banner {
            origin,
            self_signed: true,
            user: "e@x y".into(),
            ..known
        }
        .text();
        assert!(
            text.contains("gio mount davs://e%40x%20y@box/dav/"),
            "{text}"
        );
        assert!(text.contains("curl -k -u 'e@x y':"), "{text}");
        assert!(text.contains("litmus -k https://box/dav/"), "{text}");
        assert!(text.contains(" --no-check-certificate"), "{text}");
        assert!(!text.contains("plain HTTP"), "{text}");
    }

    #[test]
    fn the_origin_is_what_people_type() {
        let mut config = Config::default();
        let seen =
            |config: &Config, address: &str, tls| origin(config, address.parse().unwrap(), tls);
        assert_eq!(
            seen(&config, "127.0.0.1:8080", false),
            "http://127.0.0.1:8080"
        );
        assert_eq!(seen(&config, "[::1]:443", true), "https://[::1]");
        config.listen.public_url = Some("https://files.example.org/".into());
        assert_eq!(
            seen(&config, "127.0.0.1:8080", false),
            "https://files.example.org"
        );
    }
}
