//! From the credential of a request to a caller: Basic, or an access token in the header or the
//! cookie.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use store::{Caller, Store, World};
use zeroize::Zeroizing;

use super::peer::Peer;
use super::token::{Access, Tokens};
use crate::config::Config;

/// Holds the access token in browsers.
const COOKIE: &str = "coffer_token";
/// The same over TLS: browsers take this name only from us ourselves, not from a neighbour under
/// the same domain nor from whoever can answer plain HTTP in our place (RFC 6265bis §4.1.3.2).
const COOKIE_OVER_TLS: &str = "__Host-coffer_token";

fn cookie_name(peer: Peer) -> &'static str {
    if peer.tls { COOKIE_OVER_TLS } else { COOKIE }
}
/// What DAV clients are asked for (RFC 7617 §2.1).
pub const BASIC_CHALLENGE: &str = "Basic realm=\"Coffer\", charset=\"UTF-8\"";
/// What clients of the API are asked for; Basic is taken too, but would make browsers ask.
pub const BEARER_CHALLENGE: &str = "Bearer realm=\"Coffer\"";

/// Begins the offered protocol of a WebSocket that is an access token: a page's script can set no
/// other header.
const PROTOCOL_TOKEN: &str = "bearer.";
/// What programs are asked for at a link with a password; any name will do.
pub const LINK_CHALLENGE: &str = "Basic realm=\"Coffer link\", charset=\"UTF-8\"";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lets callers in.
pub struct Auth {
    pub store: Store,
    pub tokens: Tokens,
    /// Scheme, host and port under which people reach us, where that is configured.
    public_origin: Option<String>,
}

/// Who was let in.
pub struct Admitted {
    pub caller: Caller,
    /// The access token, where it was one.
    pub token: Option<Access>,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error("A credential is needed.")]
    Missing,
    #[error("The credential cannot be understood.")]
    Malformed,
    #[error("The credential is wrong or has expired.")]
    Wrong,
    #[error("Another site's page may not change anything here.")]
    CrossSite,
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for Denied {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::WrongCredentials => Self::Wrong,
            error => Self::Store(error),
        }
    }
}

enum Credential {
    Basic(Zeroizing<String>),
    Token(String),
}

impl Auth {
    /// Lets callers of `store` in.
    ///
    /// # Errors
    /// The configured secret is too short, or the database fails.
    pub async fn open(config: &Config, store: Store) -> Result<Self, store::Error> {
        let secret = config
            .jwt
            .secret
            .as_ref()
            .map(|secret| secret.reveal().as_bytes());
        let key = store.signing_key(secret).await?;
        let lifetime_s = config.jwt.access_token_age.0.as_secs();
        let public_url = config.listen.public_url.as_deref();
        Ok(Self {
            store,
            tokens: Tokens::new(&key, lifetime_s, World::default()),
            public_origin: public_url.map(|url| url.trim_end_matches('/').to_ascii_lowercase()),
        })
    }

    /// The caller behind a request. Nothing in its URI counts as a credential.
    pub async fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<Admitted, Denied> {
        let credential = match from_header(headers)? {
            Some(credential) => credential,
            None => Credential::Token(self.cookie_token(method, uri, headers, peer)?),
        };
        self.verify(credential, peer).await
    }

    /// The caller who opens a WebSocket.
    ///
    /// Browsers let pages of any site open one, with our cookie, and read what comes; so whoever
    /// says where they come from must come from here, and who shows the cookie must say it.
    pub async fn admit_socket(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<Admitted, Denied> {
        let credential = match (from_header(headers)?, from_protocols(headers)?) {
            (Some(_), Some(_)) => return Err(Denied::Malformed),
            (Some(credential), None) | (None, Some(credential)) => credential,
            (None, None) => {
                let token = from_cookie(headers, peer)?.to_owned();
                if !headers.contains_key(header::ORIGIN) {
                    return Err(Denied::CrossSite);
                }
                Credential::Token(token)
            }
        };
        if !self.is_same_site(uri, headers) {
            return Err(Denied::CrossSite);
        }
        self.verify(credential, peer).await
    }

    async fn verify(&self, credential: Credential, peer: Peer) -> Result<Admitted, Denied> {
        match credential {
            Credential::Basic(pair) => {
                let (name, secret) = pair.split_once(':').ok_or(Denied::Malformed)?;
                let caller = self
                    .store
                    .authenticate_basic(name, secret, peer.known())
                    .await?;
                Ok(Admitted {
                    caller,
                    token: None,
                })
            }
            Credential::Token(token) => {
                let access = self.tokens.verify(&token).ok_or(Denied::Wrong)?;
                let caller = self.store.login_caller(access.login, access.user).await?;
                Ok(Admitted {
                    caller,
                    token: Some(access),
                })
            }
        }
    }

    /// The token that a browser sends by itself, also for pages of others: these may not change
    /// anything.
    fn cookie_token(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<String, Denied> {
        let token = from_cookie(headers, peer)?;
        if !method.is_safe() && !self.is_same_site(uri, headers) {
            return Err(Denied::CrossSite);
        }
        Ok(token.to_owned())
    }

    /// Browsers say where a request comes from; what is no browser says nothing.
    fn is_same_site(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        if let Some(site) = headers.get(FETCH_SITE)
            && !matches!(site.as_bytes(), b"same-origin" | b"none")
        {
            return false;
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str().map(str::to_ascii_lowercase) else {
            return false;
        };
        if self.public_origin.as_ref() == Some(&origin) {
            return true;
        }
        let host = uri.authority().map(Authority::as_str);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        let theirs = origin.split_once("://").map(|(_, authority)| authority);
        host.is_some_and(|host| theirs == Some(&host.to_ascii_lowercase()))
    }
}

/// The one cookie of ours.
fn from_cookie(headers: &HeaderMap, peer: Peer) -> Result<&str, Denied> {
    let name = cookie_name(peer);
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let token = found.next().ok_or(Denied::Missing)?;
    match found.next() {
        None => Ok(token),
        Some(_) => Err(Denied::Malformed),
    }
}

/// The one token among the protocols that are offered for a WebSocket.
fn from_protocols(headers: &HeaderMap) -> Result<Option<Credential>, Denied> {
    let mut found = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|protocol| protocol.trim().strip_prefix(PROTOCOL_TOKEN));
    let token = found.next();
    match found.next() {
        None => Ok(token.map(|token| Credential::Token(token.to_owned()))),
        Some(_) => Err(Denied::Malformed),
    }
}

/// The one `Authorization` header.
fn from_header(headers: &HeaderMap) -> Result<Option<Credential>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Denied::Malformed);
    }
    let value = value.to_str().map_err(|_| Denied::Malformed)?;
    let (scheme, rest) = value.split_once(' ').ok_or(Denied::Malformed)?;
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("basic") {
        let bytes = BASE64
            .decode(rest.trim_end())
            .map_err(|_| Denied::Malformed)?;
        // We ask for UTF-8; some clients send Latin-1 whatever is asked (RFC 7617 §2.1).
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect());
        Ok(Some(Credential::Basic(Zeroizing::new(text))))
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(Credential::Token(rest.trim_end().to_owned())))
    } else {
        Err(Denied::Malformed)
    }
}

/// The password of Basic credentials, whatever the name before it: what a link is opened with.
pub fn basic_password(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let Ok(Some(Credential::Basic(pair))) = from_header(headers) else {
        return None;
    };
    let (_, password) = pair.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

/// Has the browser keep the token, out of reach of scripts.
pub fn set_cookie(token: &str, lifetime_s: u64, peer: Peer) -> HeaderValue {
    let secure = if peer.tls { "; Secure" } else { "" };
    let name = cookie_name(peer);
    let cookie =
        format!("{name}={token}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).expect("tokens are base64url and dots")
}

/// Has the browser forget the token.
pub fn clear_cookie(peer: Peer) -> HeaderValue {
    set_cookie("", 0, peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn basic(value: &str) -> Option<String> {
        match from_header(&headers(&[("authorization", value)])) {
            Ok(Some(Credential::Basic(pair))) => Some(pair.to_string()),
            _ => None,
        }
    }

    #[test]
    fn basic_is_read_as_clients_write_it() {
        assert_eq!(basic("Basic YTpi").as_deref(), Some("a:b"));
        assert_eq!(basic("bAsIc   YTpi ").as_deref(), Some("a:b"));
        assert_eq!(basic("Basic YTpiYw==").as_deref(), Some("a:bc"));
        assert_eq!(basic("Basic YTpiYw").as_deref(), Some("a:bc"));
        assert_eq!(basic("Basic YTrDqQ==").as_deref(), Some("a:\u{e9}"));
        assert_eq!(basic("Basic YTrp").as_deref(), Some("a:\u{e9}"));
        for value in [
            "Basic",
            "Basic !!!!",
            "Basic YTp iYw",
            "Digest a",
            "YTpi",
            "Basic,YTpi",
        ] {
            assert_eq!(basic(value), None, "{value}");
        }
    }

    #[test]
    fn over_tls_the_cookie_is_one_that_nobody_else_can_set() {
        let peer = |tls| Peer {
            address: [192, 0, 2, 1].into(),
            tls,
        };
        let set = set_cookie("x.y.z", 900, peer(true));
        // What browsers ask of this prefix: `Secure`, `Path=/`, no `Domain`.
        assert_eq!(
            set.to_str().unwrap(),
            "__Host-coffer_token=x.y.z; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure"
        );
        let both = headers(&[("cookie", "coffer_token=planted; __Host-coffer_token=x.y.z")]);
        assert!(matches!(from_cookie(&both, peer(true)), Ok("x.y.z")));
        let planted = headers(&[("cookie", "coffer_token=planted")]);
        let missing = from_cookie(&planted, peer(true));
        assert!(matches!(missing, Err(Denied::Missing)));
        // Browsers refuse the prefix over plain HTTP.
        assert!(matches!(from_cookie(&planted, peer(false)), Ok("planted")));
        let twice = headers(&[("cookie", "coffer_token=a"), ("cookie", "coffer_token=b")]);
        let malformed = from_cookie(&twice, peer(false));
        assert!(matches!(malformed, Err(Denied::Malformed)));
    }

    #[test]
    fn a_token_may_be_offered_as_a_protocol() {
        let token = |offers: &[&str]| {
            let pairs: Vec<_> = offers
                .iter()
                .map(|offer| ("sec-websocket-protocol", *offer))
                .collect();
            match from_protocols(&headers(&pairs)) {
                Ok(Some(Credential::Token(token))) => Ok(Some(token)),
                Ok(_) => Ok(None),
                Err(_) => Err(()),
            }
        };
        assert_eq!(
            token(&["coffer.v1, bearer.x.y.z"]),
            Ok(Some("x.y.z".into()))
        );
        assert_eq!(token(&["coffer.v1", "bearer.x"]), Ok(Some("x".into())));
        assert_eq!(token(&["coffer.v1"]), Ok(None));
        assert_eq!(token(&["bearer.x, bearer.y"]), Err(()));
        assert_eq!(token(&["bearer.x", "bearer.y"]), Err(()));
    }

    #[test]
    fn two_credentials_are_none() {
        let twice = headers(&[
            ("authorization", "Basic YTpi"),
            ("authorization", "Bearer x"),
        ]);
        assert!(matches!(from_header(&twice), Err(Denied::Malformed)));
        assert!(matches!(from_header(&HeaderMap::new()), Ok(None)));
    }
}
