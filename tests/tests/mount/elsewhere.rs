//! WebDAV servers of others.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use harness::within;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Modules that serve a folder over WebDAV, and what they need.
const MODULES: [(&str, &str); 5] = [
    ("mpm_event_module", "mod_mpm_event.so"),
    ("authz_core_module", "mod_authz_core.so"),
    ("dir_module", "mod_dir.so"),
    ("dav_module", "mod_dav.so"),
    ("dav_fs_module", "mod_dav_fs.so"),
];

/// A running server with an empty folder; both go with it.
pub struct Elsewhere {
    url: String,
    _child: Child,
    _folder: TempDir,
}

impl Elsewhere {
    /// rclone: no conditions, no properties.
    pub async fn rclone() -> Self {
        let folder = folder();
        let served = folder.path().join("served");
        Self::start(folder, |address| {
            let mut command = Command::new("rclone");
            command.args([
                "serve",
                "webdav",
                "--config",
                "/dev/null",
                "--addr",
                address,
            ]);
            command.arg(&served);
            command
        })
        .await
    }

    /// Apache with `mod_dav_fs`: both, and tags that are weak for a second.
    pub async fn apache() -> Self {
        let folder = folder();
        let root = folder.path().to_owned();
        Self::start(folder, |address| {
            let configuration = root.join("apache.conf");
            std::fs::write(&configuration, apache(&root, address))
                .expect("a temporary file can be written");
            let mut command = Command::new("apache2");
            command.arg("-DFOREGROUND").arg("-f").arg(configuration);
            command
        })
        .await
    }

    async fn start(folder: TempDir, command: impl FnOnce(&str) -> Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener
            .local_addr()
            .expect("it has an address")
            .to_string();
        drop(listener);
        let path = std::env::var("PATH").unwrap_or_default();
        let child = command(&address)
            // Debian keeps servers where only root looks.
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server can be run: `./test` installs it");
        let answers = || async { TcpStream::connect(&address).await.is_ok() };
        let up = within(Duration::from_secs(30), answers).await;
        assert!(up, "nobody answers at {address}");
        Self {
            url: format!("http://{address}/"),
            _child: child,
            _folder: folder,
        }
    }

    /// Of the folder that is served.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Apache gives up being root, and must still reach what it serves.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("coffer-test-")
        .tempdir()
        .expect("a temporary folder can be made");
    let served = folder.path().join("served");
    std::fs::create_dir(&served).expect("a folder can be made");
    for open in [folder.path(), &served] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777))
            .expect("our own folder can be opened to all");
    }
    folder
}

fn apache(root: &Path, address: &str) -> String {
    let modules = MODULES
        .map(|(name, file)| format!("LoadModule {name} /usr/lib/apache2/modules/{file}\n"))
        .concat();
    let root = root.display();
    let user = if nix::unistd::geteuid().is_root() {
        "User www-data\nGroup www-data\n"
    } else {
        ""
    };
    format!(
        "ServerRoot {root}\nServerName localhost\nListen {address}\nPidFile {root}/pid\n\
         ErrorLog {root}/error.log\n{modules}{user}DavLockDB {root}/locks\n\
         DocumentRoot {root}/served\n\
         <Directory {root}/served>\nDav On\nRequire all granted\n</Directory>\n"
    )
}
