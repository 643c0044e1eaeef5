//! Listening sockets: binding them, and taking connections off them within limits.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::connection::{Origin, Protocol, serve};
use super::peer::{Peer, is_trusted};
use super::{Phase, State};
use crate::config::listen::Listen;

/// Connections the kernel keeps for us while we are busy.
const BACKLOG: u32 = 4096;

/// Why we cannot listen: what was tried, what happened, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {error}{}", advice(error))]
    Tcp { address: String, error: io::Error },
    #[error("cannot listen on the Unix socket {path}: {error}")]
    Unix { path: PathBuf, error: io::Error },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has this port: end it, or choose another with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another with --listen"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have the address",
        _ => "",
    }
}

/// A bound socket.
pub enum Listener {
    Tcp { listener: TcpListener, tls: bool },
    Unix(UnixListener),
}

/// Binds everything that is configured. Needs the runtime, and root for low ports.
pub fn bind(listen: &Listen) -> Result<Vec<Listener>, Error> {
    let mut bound = Vec::new();
    let plain = listen.plain_address.iter().map(|address| (address, false));
    let main = listen.address.iter().map(|address| (address, listen.tls()));
    for (address, tls) in main.chain(plain) {
        let tcp_error = |error| Error::Tcp {
            address: address.clone(),
            error,
        };
        for resolved in address.to_socket_addrs().map_err(tcp_error)? {
            let listener = bind_tcp(resolved).map_err(tcp_error)?;
            bound.push(Listener::Tcp { listener, tls });
        }
    }
    if let Some(path) = &listen.unix_path {
        let mode = listen.unix_mode_bits().unwrap_or(0o600);
        let listener = bind_unix(path, mode).map_err(|error| Error::Unix {
            path: path.clone(),
            error,
        })?;
        bound.push(Listener::Unix(listener));
    }
    Ok(bound)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    // A socket nobody listens on any more is left over from a crash.
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Counts connections, in all and by address.
#[derive(Debug)]
pub struct Seats {
    all: Arc<Semaphore>,
    per_address: u32,
    taken: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    _permit: OwnedSemaphorePermit,
    counted: Option<(Arc<Seats>, IpAddr)>,
}

impl Seats {
    pub fn new(all: u32, per_address: u32) -> Arc<Self> {
        let all = Arc::new(Semaphore::new(
            usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS),
        ));
        Arc::new(Self {
            all,
            per_address,
            taken: Mutex::default(),
        })
    }

    /// Waits until there is room for one more connection.
    async fn room(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// A seat for a connection from `address`; `None` when it has too many.
    fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Seat> {
        let address = store::network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_insert(0);
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Seat {
            _permit: permit,
            counted: Some((Arc::clone(self), address)),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((seats, address)) = &self.counted else {
            return;
        };
        let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

/// Takes connections off `listener` until the server drains.
pub async fn accept(
    listener: Listener,
    acceptor: Option<TlsAcceptor>,
    state: Arc<State>,
    mut phase: watch::Receiver<Phase>,
) {
    let serving = phase.clone();
    tokio::select! {
        // The first change of phase is the end of accepting.
        _ = phase.changed() => {}
        () = async {
            match listener {
                Listener::Tcp { listener, tls } => {
                    let acceptor = acceptor.filter(|_| tls);
                    accept_tcp(&listener, acceptor, &state, &serving).await;
                }
                Listener::Unix(listener) => accept_unix(&listener, &state, &serving).await,
            }
        } => {}
    }
}

async fn accept_tcp(
    listener: &TcpListener,
    acceptor: Option<TlsAcceptor>,
    state: &Arc<State>,
    phase: &watch::Receiver<Phase>,
) {
    loop {
        let permit = state.seats.room().await;
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let address = address.ip().to_canonical();
        let trusted = is_trusted(address, &state.config.listen.trusted_proxies);
        // A proxy stands for many clients.
        let seat = if trusted {
            Some(Seat {
                _permit: permit,
                counted: None,
            })
        } else {
            state.seats.take(permit, address)
        };
        let Some(seat) = seat else {
            tracing::warn!(peer = %address, "connection refused, the address has too many");
            continue;
        };
        // Answers are whole when they are written: waiting for more only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %address, %error, "TCP_NODELAY refused");
        }
        let peer = Peer {
            address,
            tls: acceptor.is_some(),
        };
        let (state, phase, acceptor) = (Arc::clone(state), phase.clone(), acceptor.clone());
        tokio::spawn(async move {
            if let Some(acceptor) = acceptor {
                serve_tls(stream, seat, &acceptor, peer, trusted, state, phase).await;
            } else {
                let protocol = plain_protocol(&state);
                let origin = Origin {
                    peer,
                    trusted,
                    protocol,
                };
                serve(stream, Some(seat), origin, state, phase).await;
            }
        });
    }
}

fn plain_protocol(state: &State) -> Protocol {
    if state.config.listen.http1_only {
        Protocol::Http1
    } else {
        Protocol::Detect
    }
}

async fn serve_tls(
    stream: TcpStream,
    seat: Seat,
    acceptor: &TlsAcceptor,
    peer: Peer,
    trusted: bool,
    state: Arc<State>,
    phase: watch::Receiver<Phase>,
) {
    let patience = state.config.server.handshake_timeout.0;
    let stream = match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(peer = %peer.address, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(peer = %peer.address, "TLS handshake took too long");
            return;
        }
    };
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    serve(
        stream,
        Some(seat),
        Origin {
            peer,
            trusted,
            protocol,
        },
        state,
        phase,
    )
    .await;
}

async fn accept_unix(listener: &UnixListener, state: &Arc<State>, phase: &watch::Receiver<Phase>) {
    loop {
        let permit = state.seats.room().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let seat = Seat {
                    _permit: permit,
                    counted: None,
                };
                let peer = Peer {
                    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    tls: false,
                };
                let origin = Origin {
                    peer,
                    trusted: true,
                    protocol: plain_protocol(state),
                };
                let (state, phase) = (Arc::clone(state), phase.clone());
                tokio::spawn(serve(stream, Some(seat), origin, state, phase));
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// A connection that broke before it was taken concerns nobody; out of descriptors or memory, the
/// same connection would come back at once.
async fn pause(error: &io::Error) {
    let broken = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ];
    if !broken.contains(&error.kind()) {
        tracing::error!(%error, "connections cannot be taken");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_no_more_than_its_seats_and_gets_them_back() {
        let seats = Seats::new(10, 2);
        let address = IpAddr::from([192, 0, 2, 1]);
        let take = |address| {
            let permit = Arc::clone(&seats.all).try_acquire_owned().unwrap();
            seats.take(permit, address)
        };
        let first = take(address).unwrap();
        let _second = take(address).unwrap();
        assert!(take(address).is_none());
        assert!(take([192, 0, 2, 2].into()).is_some());
        drop(first);
        assert!(take(address).is_some());
        assert_eq!(seats.taken.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_taken_port_is_told_with_advice() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap().to_string();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let listen = Listen {
            address: vec![address.clone()],
            ..Listen::default()
        };
        let error = bind(&listen).err().unwrap().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {address}: ")),
            "{error}"
        );
        assert!(error.contains("choose another with --listen"), "{error}");
    }
}
