//! What the server must remember about itself, such as the key that signs tokens.

mod rows;

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;

/// Shortest signing secret in bytes (RFC 7518 §3.2).
const SECRET_BYTES: usize = 32;

/// A secret that signs access tokens (HS256).
#[derive(Clone)]
pub struct SigningKey {
    /// Names the key in a token's header; says nothing about the secret.
    pub id: String,
    /// The secret, at least 256 bits.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Store {
    /// The key that signs access tokens: the configured secret, else the one made at the
    /// first start and shared by all daemons on this database.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the configured secret is shorter than 256 bits.
    pub async fn signing_key(&self, configured: Option<&[u8]>) -> Result<SigningKey> {
        let secret = match configured {
            Some(secret) if secret.len() < SECRET_BYTES => {
                return Err(Error::Unusable(
                    "the JWT secret is too short: at least 32 bytes are needed".into(),
                ));
            }
            Some(secret) => secret.to_vec(),
            None => {
                let fresh = self.world().bytes::<SECRET_BYTES>();
                self.db()
                    .write(move |tx| rows::get_or_insert(tx, "jwt_secret", &fresh))
                    .await?
            }
        };
        let mut labelled = Zeroizing::new(b"coffer signing key ".to_vec());
        labelled.extend_from_slice(&secret);
        let mut id = Digest::of(&labelled).to_string();
        id.truncate(16);
        Ok(SigningKey {
            id,
            secret: Zeroizing::new(secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[tokio::test]
    async fn the_key_is_made_once_and_stays() {
        testing::each_engine(async |store, _| {
            let first = store.signing_key(None).await.unwrap();
            let again = store.signing_key(None).await.unwrap();
            assert_eq!((&first.id, &first.secret), (&again.id, &again.secret));
            let own = store.signing_key(Some(&[7; 32])).await.unwrap();
            assert_ne!(own.id, first.id);
            assert!(store.signing_key(Some(&[7; 31])).await.is_err());
        })
        .await;
    }
}
