//! Access tokens: JWTs (RFC 7519, RFC 9068) that name a log-in, so that ending it ends them.
//!
//! Others can read but not forge them; they hold ids and times, nothing private. One algorithm
//! and one key are accepted, whatever a token's header says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use serde::{Deserialize, Serialize};
use store::{LoginId, SigningKey, UserId, World};

/// Who makes tokens and whom they are for.
const ISSUER: &str = "coffer";
/// RFC 9068 §2.1: tells access tokens from other JWTs.
const TYPE: &str = "at+jwt";
/// Longer texts are no tokens of ours.
const LONGEST_BYTES: usize = 2048;
/// How far the clocks of two daemons may be apart.
const SKEW_S: u64 = 5;

/// Makes and verifies access tokens.
pub struct Tokens {
    header: Header,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime_s: u64,
    world: World,
}

/// What a valid token says. Times are seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub user: UserId,
    pub login: LoginId,
    pub issued_at: u64,
    pub expires_at: u64,
}

#[derive(Deserialize, Serialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The log-in.
    sid: String,
    /// Tells tokens of one second apart.
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl Tokens {
    pub fn new(key: &SigningKey, lifetime_s: u64, world: World) -> Self {
        // The second call finds it installed.
        let _ = PROVIDER.install_default();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id.clone());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are compared below, by our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            header,
            encoding: EncodingKey::from_secret(&key.secret),
            decoding: DecodingKey::from_secret(&key.secret),
            validation,
            lifetime_s,
            world,
        }
    }

    /// Life of a token in seconds.
    pub fn lifetime_s(&self) -> u64 {
        self.lifetime_s
    }

    /// A token for a log-in.
    pub fn sign(&self, user: UserId, login: LoginId) -> String {
        let now = self.now_s();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user.to_string(),
            sid: login.to_string(),
            jti: URL_SAFE_NO_PAD.encode(self.world.bytes::<12>()),
            iat: now,
            nbf: now,
            exp: now + self.lifetime_s,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.encoding)
            .expect("plain texts and numbers are signed by HMAC")
    }

    /// What the token says, if we made it and it is of now.
    pub fn verify(&self, token: &str) -> Option<Access> {
        if token.len() > LONGEST_BYTES {
            return None;
        }
        let decoded =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
        if decoded.header.kid != self.header.kid || decoded.header.typ != self.header.typ {
            return None;
        }
        let claims = decoded.claims;
        let now = self.now_s();
        if now >= claims.exp || now + SKEW_S < claims.nbf {
            return None;
        }
        Some(Access {
            user: claims.sub.parse().ok()?,
            login: claims.sid.parse().ok()?,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }

    fn now_s(&self) -> u64 {
        u64::try_from(self.world.now_ms() / 1000).unwrap_or(0)
    }
}

/// HMAC by ring; a library of its own for this would be a second one for the same thing.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        require_hs256(*algorithm)?;
        Ok(Box::new(Hs256(hmac::Key::new(
            hmac::HMAC_SHA256,
            key.as_bytes(),
        ))))
    },
    verifier_factory: |algorithm, key| {
        require_hs256(*algorithm)?;
        let secret = key.try_get_as_bytes()?;
        Ok(Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn require_hs256(algorithm: Algorithm) -> Result<(), Error> {
    match algorithm {
        Algorithm::HS256 => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct Hs256(hmac::Key);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use serde_json::{Value, json};
    use store::{Clock, SystemRandom};

    use super::*;

    struct TestClock(AtomicI64);

    impl Clock for TestClock {
        fn now_ns(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey {
            id: format!("key{byte}"),
            secret: vec![byte; 32].into(),
        }
    }

    fn tokens(byte: u8) -> (Tokens, Arc<TestClock>) {
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000_000_000)));
        let world = World {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom::default()),
        };
        (Tokens::new(&key(byte), 900, world), clock)
    }

    fn ids() -> (UserId, LoginId) {
        let world = World::default();
        (UserId::new(&world), LoginId::new(&world))
    }

    /// A token with these parts, signed as ours are.
    fn forge(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn parts(user: UserId, login: LoginId) -> (Value, Value) {
        let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": "key1"});
        let claims = json!({
            "iss": "coffer", "aud": "coffer", "sub": user.to_string(), "sid": login.to_string(),
            "jti": "x", "iat": 1_700_000_000_u64, "nbf": 1_700_000_000_u64, "exp": 1_700_000_900_u64,
        });
        (header, claims)
    }

    #[test]
    fn a_token_says_what_was_signed_for_its_time() {
        let (tokens, clock) = tokens(1);
        let (user, login) = ids();
        let token = tokens.sign(user, login);
        let access = tokens.verify(&token).unwrap();
        assert_eq!((access.user, access.login), (user, login));
        assert_eq!(access.expires_at - access.issued_at, 900);
        clock.0.fetch_add(899_000_000_000, Ordering::SeqCst);
        assert!(tokens.verify(&token).is_some());
        clock.0.fetch_add(1_000_000_000, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token), None);
        clock.0.fetch_sub(906_000_000_000, Ordering::SeqCst);
        assert_eq!(tokens.verify(&token), None);
    }

    #[test]
    fn a_token_by_another_key_or_with_another_payload_is_nothing() {
        let (ours, theirs) = (tokens(1).0, tokens(2).0);
        let (user, login) = ids();
        let token = ours.sign(user, login);
        assert_eq!(theirs.verify(&token), None);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let other = ours.sign(ids().0, login);
        let other = other.split('.').nth(1).unwrap();
        for forged in [
            format!("{header}.{other}.{signature}"),
            format!("{message}."),
            message.to_owned(),
            token.clone() + ".",
            ".".repeat(2000),
            format!("{token}{}", "A".repeat(4000)),
            String::new(),
        ] {
            assert_eq!(ours.verify(&forged), None, "{forged}");
        }
    }

    #[test]
    fn the_header_does_not_choose_algorithm_or_key() {
        let tokens = tokens(1).0;
        let (user, login) = ids();
        let (header, claims) = parts(user, login);
        let secret = key(1).secret;
        assert!(tokens.verify(&forge(&header, &claims, &secret)).is_some());
        for (field, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS512")),
            ("alg", json!("RS256")),
            ("alg", json!("EdDSA")),
            ("kid", json!("../../key1")),
            ("kid", Value::Null),
            ("typ", json!("JWT")),
        ] {
            let mut header = header.clone();
            header[field] = value;
            let forged = forge(&header, &claims, &secret);
            assert_eq!(tokens.verify(&forged), None, "{header}");
        }
        // A key that the token brings along is not looked at.
        let mut header = header.clone();
        header["jku"] = json!("https://example.org/keys");
        assert_eq!(tokens.verify(&forge(&header, &claims, &[2; 32])), None);
    }

    #[test]
    fn every_claim_must_be_there_and_of_its_type() {
        let tokens = tokens(1).0;
        let (user, login) = ids();
        let (header, claims) = parts(user, login);
        let with = |name: &str, value: Option<Value>| {
            let mut claims = claims.clone();
            let fields = claims.as_object_mut().unwrap();
            fields.remove(name);
            fields.extend(value.map(|value| (name.to_owned(), value)));
            tokens.verify(&forge(&header, &claims, &key(1).secret))
        };
        for name in ["iss", "aud", "sub", "sid", "iat", "nbf", "exp"] {
            for value in [
                None,
                Some(Value::Null),
                Some(json!("99999999999")),
                Some(json!(1.5e10)),
            ] {
                assert_eq!(with(name, value.clone()), None, "{name} {value:?}");
            }
        }
        assert_eq!(with("aud", Some(json!("else"))), None);
        assert_eq!(with("exp", Some(json!(-1))), None);
        assert!(with("more", Some(json!(1))).is_some());
    }
}
