//! HTTP to one host: what the drive of the mount and the commands on single files share.
//!
//! The server is not trusted: redirects are not followed, so that a credential goes to nobody but
//! the host the user has named; bodies are bounded; nothing is waited for without a deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use tokio::time::timeout;
use webdav::grammar::destination::path_of;
use webdav::grammar::error_body::{self, Condition};
use webdav::grammar::multistatus_read::{self, Multistatus};
use webdav::grammar::xml::Limits;

/// How long words about files may take, and the pauses in an answer that has begun.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long bytes of files may make no progress.
pub(crate) const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Longest body of a refusal that is read.
const MOST_REFUSAL_BYTES: usize = 64 * 1024;

/// Who asks.
#[derive(Clone)]
pub struct Login {
    /// User name or e-mail address.
    pub user: String,
    /// Password or app password.
    pub password: String,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The network or TLS said so.
    Transport(reqwest::Error),
    /// The deadline came first.
    TooSlow,
    /// It was refused.
    Refused(Refusal),
    /// It makes no sense.
    Nonsense(String),
    /// A local file could not be read.
    Local(std::io::Error),
}

/// A status that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    /// Seconds to wait, where asked for.
    pub retry_after: Option<u64>,
    /// What the body names, if it is one of WebDAV.
    pub condition: Option<Condition>,
    /// Where a redirect would lead.
    pub location: Option<String>,
}

impl Refusal {
    /// A status of which nothing more is known.
    pub(crate) fn plain(status: StatusCode) -> Self {
        Self {
            status,
            retry_after: None,
            condition: None,
            location: None,
        }
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TooSlow
        } else {
            Self::Transport(error)
        }
    }
}

/// Clients with one login. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    pool: Arc<Pool>,
    login: Option<Login>,
}

/// Connections that are kept, and how others are made.
struct Pool {
    current: Mutex<(Client, Instant)>,
    ca_pem: Option<Vec<u8>>,
    only_version_1: bool,
}

impl Connection {
    /// Trusts the system's certificates and those in `ca_pem`.
    pub(crate) fn new(login: Option<Login>, ca_pem: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        Self::with(login, ca_pem, false)
    }

    /// Never speaks HTTP/2, over which there are no upgrades here.
    pub(crate) fn of_version_1(
        login: Option<Login>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, reqwest::Error> {
        Self::with(login, ca_pem, true)
    }

    fn with(
        login: Option<Login>,
        ca_pem: Option<&[u8]>,
        only_version_1: bool,
    ) -> Result<Self, reqwest::Error> {
        let first = client(ca_pem, only_version_1)?;
        let pool = Pool {
            current: Mutex::new((first, Instant::now())),
            ca_pem: ca_pem.map(Vec::from),
            only_version_1,
        };
        Ok(Self {
            pool: Arc::new(pool),
            login,
        })
    }

    fn http(&self) -> Client {
        let current = self.pool.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A request got no answer in time: after a sleep of the machine, or in another network, the
    /// other connections that are kept are as dead, and none of them is used again.
    pub(crate) fn distrust(&self) {
        let current = self.pool.current.lock();
        let mut current = current.unwrap_or_else(PoisonError::into_inner);
        // Requests that began together end together.
        if current.1.elapsed() >= ANSWER_WITHIN
            && let Ok(fresh) = client(self.pool.ca_pem.as_deref(), self.pool.only_version_1)
        {
            *current = (fresh, Instant::now());
        }
    }

    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self
            .http()
            .request(method, url.clone())
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        match &self.login {
            Some(login) => request.basic_auth(&login.user, Some(&login.password)),
            None => request,
        }
    }

    /// Sends what has a short body or none; the answer's head came within the deadline, and it is
    /// a success.
    ///
    /// Some servers want a folder's URL to end in a slash and redirect to it. That is the one
    /// redirect which is obeyed: its goal is made here and not taken from them.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let mut request = request.build()?;
        let with_slash = request.try_clone();
        let url = request.url_mut().clone();
        let answer = self.execute(request).await;
        match (answer, with_slash) {
            (Err(Fault::Refused(refusal)), Some(mut again)) if wants_slash(&refusal, &url) => {
                let path = format!("{}/", url.path());
                again.url_mut().set_path(&path);
                self.execute(again).await
            }
            (answer, _) => answer,
        }
    }

    /// As [`Self::send`], for what changes nothing: a connection that turns out to be dead, as
    /// kept ones do, is no reason to fail.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let again = request.try_clone();
        match (self.send(request).await, again) {
            (Err(Fault::Transport(error)), Some(again)) if !error.is_connect() => {
                self.send(again).await
            }
            (answer, _) => answer,
        }
    }

    async fn execute(&self, request: reqwest::Request) -> Result<Response, Fault> {
        let answer = timeout(ANSWER_WITHIN, self.http().execute(request)).await;
        if answer.is_err() {
            self.distrust();
        }
        accepted(answer.map_err(|_| Fault::TooSlow)??).await
    }

    /// Asks for properties; `body` is the PROPFIND.
    pub(crate) async fn propfind(
        &self,
        url: &Url,
        depth: &'static str,
        body: &'static str,
    ) -> Result<Multistatus, Fault> {
        let request = self
            .request(method("PROPFIND"), url)
            .header("Depth", depth)
            .header(CONTENT_TYPE, "application/xml; charset=utf-8")
            .body(body);
        multistatus(self.ask(request).await?).await
    }
}

fn client(ca_pem: Option<&[u8]>, only_version_1: bool) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(ANSWER_WITHIN)
        // A kept connection whose other end is gone without a word is found out before it is used.
        .tcp_keepalive(ANSWER_WITHIN)
        .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(3)
        .tcp_user_timeout(PROGRESS_WITHIN)
        .http2_keep_alive_interval(ANSWER_WITHIN)
        .http2_keep_alive_timeout(ANSWER_WITHIN)
        .redirect(redirect::Policy::none());
    if let Some(pem) = ca_pem {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    if only_version_1 {
        builder = builder.http1_only();
    }
    builder.build()
}

/// The answer if it is a success, else what it refuses and why.
pub(crate) async fn accepted(answer: Response) -> Result<Response, Fault> {
    let status = answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let field = |name| answer.headers().get(name)?.to_str().ok();
    let mut refusal = Refusal {
        status,
        retry_after: field(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()),
        condition: None,
        location: field(LOCATION).map(str::to_owned),
    };
    if status == StatusCode::FORBIDDEN || status == StatusCode::CONFLICT {
        let body = bounded(answer, MOST_REFUSAL_BYTES).await;
        refusal.condition = body.ok().and_then(|body| error_body::read(&body));
    }
    Err(Fault::Refused(refusal))
}

/// Reads a 207.
pub(crate) async fn multistatus(answer: Response) -> Result<Multistatus, Fault> {
    if answer.status() != StatusCode::MULTI_STATUS {
        let text = format!("{} in place of a list of properties", answer.status());
        return Err(Fault::Nonsense(text));
    }
    let body = bounded(answer, Limits::ANSWER.bytes).await?;
    // A long listing takes a while to read.
    let read = move || multistatus_read::read(&body, Limits::ANSWER);
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Fault::Nonsense(error.to_string()))?
        .map_err(|error| Fault::Nonsense(error.to_string()))
}

/// The whole body, unless it is longer than that or stops coming.
pub(crate) async fn bounded(mut answer: Response, most_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let piece = timeout(ANSWER_WITHIN, answer.chunk()).await;
        let Some(piece) = piece.map_err(|_| Fault::TooSlow)?? else {
            return Ok(body);
        };
        if body.len() + piece.len() > most_bytes {
            let text = format!("it is longer than {most_bytes} bytes");
            return Err(Fault::Nonsense(text));
        }
        body.extend_from_slice(&piece);
    }
}

fn wants_slash(refusal: &Refusal, url: &Url) -> bool {
    let to = refusal.location.as_deref().and_then(|to| path_of(to).ok());
    refusal.status.is_redirection()
        && !url.path().ends_with('/')
        && to.and_then(|to| to.strip_suffix('/')) == Some(url.path())
}

/// A method by its name.
pub(crate) fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("the names of WebDAV's methods are tokens")
}

/// An error with all that caused it, in one line. What only says that a request was not answered, and
/// repeats its URL, is left out where a cause says why.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = Vec::new();
    for cause in all.map(ToString::to_string) {
        if !told.iter().any(|text| text.contains(&cause)) {
            told.push(cause);
        }
    }
    let frame = |text: &String| {
        text.starts_with("error sending request") || text.starts_with("client error (")
    };
    if told.last().is_some_and(|last| !frame(last)) {
        told.retain(|text| !frame(text));
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let answer = || Response::from(http::Response::new("12345"));
        assert_eq!(bounded(answer(), 5).await.unwrap(), b"12345");
        let longer = bounded(answer(), 4).await;
        assert!(matches!(longer, Err(Fault::Nonsense(_))));
    }

    /// A server that answers the first requests of each connection until it is told to be silent on
    /// those that it has.
    #[tokio::test]
    async fn no_kept_connection_is_used_after_one_was_silent() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(1..) = stream.read(&mut bytes).await {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = Connection::new(None, None).unwrap();
        let ask = || async {
            let answer = connection.ask(connection.request(Method::GET, &url)).await;
            bounded(answer.unwrap(), 10).await.unwrap();
        };
        ask().await;
        ask().await;
        let count = || connections.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(count(), 1);
        // Of the same age as the request that was silent: it has been replaced meanwhile.
        connection.distrust();
        ask().await;
        assert_eq!(count(), 1);
        connection.pool.current.lock().unwrap().1 -= ANSWER_WITHIN;
        connection.distrust();
        ask().await;
        assert_eq!(count(), 2);
    }

    #[test]
    fn an_error_says_why_and_not_that_there_is_one() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Said(&'static str, #[source] Option<Box<Said>>);

        let refused = Said("Connection refused", None);
        let tcp = Said("tcp connect error", Some(Box::new(refused)));
        let client = Said("client error (Connect)", Some(Box::new(tcp)));
        let outer = Said(
            "error sending request for url (http://h/)",
            Some(Box::new(client)),
        );
        assert_eq!(chain(&outer), "tcp connect error: Connection refused");
        let alone = Said("error sending request for url (http://h/)", None);
        assert_eq!(chain(&alone), "error sending request for url (http://h/)");
    }

    #[test]
    fn only_a_slash_is_added_for_a_redirect() {
        let url = Url::parse("http://localhost/dav/a%20b").unwrap();
        let to = |status, location: &str| Refusal {
            status,
            retry_after: None,
            condition: None,
            location: Some(location.to_owned()),
        };
        let moved = StatusCode::MOVED_PERMANENTLY;
        assert!(wants_slash(&to(moved, "http://localhost/dav/a%20b/"), &url));
        assert!(wants_slash(&to(moved, "/dav/a%20b/"), &url));
        assert!(!wants_slash(&to(moved, "http://localhost/other/"), &url));
        assert!(!wants_slash(
            &to(StatusCode::NOT_FOUND, "/dav/a%20b/"),
            &url
        ));
        let slash = Url::parse("http://localhost/dav/").unwrap();
        assert!(!wants_slash(&to(moved, "/dav//"), &slash));
    }
}
