//! TLS: versions 1.2 and 1.3, certificates that are replaced while we serve.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::listen::Listen;

/// How often the certificate's files are looked at.
pub const RELOAD_PERIOD: Duration = Duration::from_secs(30);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the certificate {path} cannot be read: {reason}")]
    Certificate { path: PathBuf, reason: String },
    #[error("the private key {path} cannot be read: {reason}")]
    Key { path: PathBuf, reason: String },
    #[error("the certificate {certificate} and the key {key} do not fit: {reason}")]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        reason: rustls::Error,
    },
    #[error("a certificate of our own cannot be made in {path}: {reason}")]
    SelfSigned { path: PathBuf, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate in use, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    chain_path: PathBuf,
    key_path: PathBuf,
    current: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// Times of change of both files; another time means another certificate.
    stamp: Stamp,
}

type Stamp = [Option<SystemTime>; 2];

/// The provider of all cryptography of TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Certificate {
    /// Loads the configured certificate, or the one of our own making from the data folder;
    /// `None` when TLS is not asked for.
    pub fn open(listen: &Listen, data: &Path) -> Result<Option<Arc<Self>>, Error> {
        let (chain_path, key_path) = match (&listen.tls_certificate, &listen.tls_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ if listen.self_signed => self_signed(&data.join("tls"), listen)?,
            _ => return Ok(None),
        };
        // The stamp first: a change while loading is then seen at the next look.
        let stamp = stamp(&chain_path, &key_path);
        let key = Arc::new(load(&chain_path, &key_path)?);
        let current = RwLock::new(Loaded { key, stamp });
        Ok(Some(Arc::new(Self {
            chain_path,
            key_path,
            current,
        })))
    }

    /// Loads the certificate anew if its files changed, or in any case when `forced`. A certificate
    /// that cannot be used leaves the old one in service.
    pub fn reload(&self, forced: bool) {
        let stamp = stamp(&self.chain_path, &self.key_path);
        let old = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .stamp;
        if !forced && stamp == old {
            return;
        }
        let loaded = load(&self.chain_path, &self.key_path);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.stamp = stamp;
        match loaded {
            Ok(key) => {
                current.key = Arc::new(key);
                tracing::info!(path = ?self.chain_path, "certificate loaded");
            }
            Err(error) => {
                tracing::error!(%error, "new certificate refused, the old one stays in service");
            }
        }
    }

    /// An acceptor that offers this certificate and the protocols we speak.
    pub fn acceptor(self: &Arc<Self>, http1_only: bool) -> Result<TlsAcceptor, Error> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.ticketer = ring::Ticketer::new()?;
        config.alpn_protocols = if http1_only {
            vec![b"http/1.1".to_vec()]
        } else {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        };
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.key))
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let certificate_error = |reason: String| Error::Certificate {
        path: certificate.to_owned(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| certificate_error(error.to_string()))?;
    if chain.is_empty() {
        return Err(certificate_error("it holds no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| Error::Key {
        path: key.to_owned(),
        reason: error.to_string(),
    })?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|reason| Error::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        reason,
    })
}

/// The paths of our own certificate and key, made at the first start and kept, so that whoever
/// has accepted it once need not again.
fn self_signed(folder: &Path, listen: &Listen) -> Result<(PathBuf, PathBuf), Error> {
    let chain_path = folder.join("self-signed.crt.pem");
    let key_path = folder.join("self-signed.key.pem");
    if chain_path.exists() && key_path.exists() {
        return Ok((chain_path, key_path));
    }
    let failed = |reason: String| Error::SelfSigned {
        path: folder.to_owned(),
        reason,
    };
    let made = rcgen::generate_simple_self_signed(names(listen))
        .map_err(|error| failed(error.to_string()))?;
    fs::create_dir_all(folder)
        // The certificate last: it is there only when the key is.
        .and_then(|()| write_private(&key_path, &made.signing_key.serialize_pem()))
        .and_then(|()| write_private(&chain_path, &made.cert.pem()))
        .map_err(|error| failed(error.to_string()))?;
    Ok((chain_path, key_path))
}

/// The names our own certificate is good for: this machine's, and what is listened on.
fn names(listen: &Listen) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let host_name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let hosts = listen
        .address
        .iter()
        .filter_map(|address| address.rsplit_once(':'));
    let hosts = hosts.map(|(host, _)| host.trim_matches(['[', ']']).to_owned());
    let public = listen
        .public_url
        .iter()
        .filter_map(|url| url.parse::<http::Uri>().ok());
    let public = public.filter_map(|url| url.host().map(str::to_owned));
    for name in std::iter::once(host_name).chain(hosts).chain(public) {
        if !name.is_empty() && name.is_ascii() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file: File = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(certificate: &Certificate) -> Vec<u8> {
        certificate.current.read().unwrap().key.cert[0].to_vec()
    }

    #[test]
    fn our_own_certificate_stays_the_same_over_restarts_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        let listen = Listen {
            self_signed: true,
            ..Listen::default()
        };
        let first = Certificate::open(&listen, data.path()).unwrap().unwrap();
        let second = Certificate::open(&listen, data.path()).unwrap().unwrap();
        assert_eq!(der(&first), der(&second));
        let mode = fs::metadata(&first.key_path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(first.acceptor(false).is_ok());
    }

    #[test]
    fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let listen = Listen {
            self_signed: true,
            ..Listen::default()
        };
        let (certificate, key) = self_signed(&one, &listen).unwrap();
        let (new_certificate, new_key) = self_signed(&other, &listen).unwrap();
        let listen = Listen {
            tls_certificate: Some(certificate.clone()),
            tls_key: Some(key.clone()),
            ..Listen::default()
        };
        let served = Certificate::open(&listen, folder.path()).unwrap().unwrap();
        let old = der(&served);

        fs::copy(&new_certificate, &certificate).unwrap();
        served.reload(true);
        assert_eq!(der(&served), old, "a certificate whose key is another's");

        fs::copy(&new_key, &key).unwrap();
        served.reload(true);
        assert_ne!(der(&served), old);

        fs::write(&certificate, "no certificate").unwrap();
        let kept = der(&served);
        served.reload(true);
        assert_eq!(der(&served), kept);
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let listen = Listen {
            tls_certificate: Some("/nowhere/chain.pem".into()),
            tls_key: Some("/nowhere/key.pem".into()),
            ..Listen::default()
        };
        let error = Certificate::open(&listen, Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the certificate /nowhere/chain.pem cannot be read"),
            "{error}"
        );
    }
}
