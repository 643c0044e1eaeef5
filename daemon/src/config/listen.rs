//! `[listen]`: where requests come in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Addresses to listen on, `host:port`; TLS when a certificate is configured.
    pub address: Vec<String>,
    /// Further addresses that stay plain HTTP beside TLS ones, for a proxy on this machine.
    pub plain_address: Vec<String>,
    /// Unix socket for a proxy on this machine; its peers count as trusted proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_path: Option<PathBuf>,
    /// Access mode of the Unix socket, octal.
    pub unix_mode: String,
    /// Certificate chain, PEM; reloaded when it changes and on SIGHUP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Serve TLS with a certificate of our own making, kept in the data folder.
    pub self_signed: bool,
    /// Offer HTTP/1.1 alone.
    pub http1_only: bool,
    /// URL under which people reach this server, without path; needed for links behind a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses or networks.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: vec!["127.0.0.1:8080".to_owned()],
            plain_address: Vec::new(),
            unix_path: None,
            unix_mode: "0660".to_owned(),
            tls_certificate: None,
            tls_key: None,
            self_signed: false,
            http1_only: false,
            public_url: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Listen {
    /// Whether `address` speaks TLS.
    pub fn tls(&self) -> bool {
        self.self_signed || self.tls_certificate.is_some()
    }

    /// The access mode of the Unix socket; checked by [`validate`](Self::validate).
    pub fn unix_mode_bits(&self) -> Option<u32> {
        u32::from_str_radix(&self.unix_mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
    }

    pub fn validate(&self) -> Result<(), Invalid> {
        if self.address.is_empty() && self.plain_address.is_empty() && self.unix_path.is_none() {
            return Err(Invalid::new("listen.address", "nothing to listen on"));
        }
        for (key, addresses) in [
            ("listen.address", &self.address),
            ("listen.plain_address", &self.plain_address),
        ] {
            for address in addresses {
                let port = address
                    .rsplit_once(':')
                    .map(|(host, port)| (host, port.parse::<u16>()));
                if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
                    let reason = format!("`{address}` is not host:port, e.g. 127.0.0.1:8080");
                    return Err(Invalid::new(key, reason));
                }
            }
        }
        if !self.plain_address.is_empty() && !self.tls() {
            let reason = "only beside TLS; without a certificate use listen.address";
            return Err(Invalid::new("listen.plain_address", reason));
        }
        match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => return Err(Invalid::new("listen.tls_key", "missing")),
            (None, Some(_)) => return Err(Invalid::new("listen.tls_certificate", "missing")),
            (Some(_), Some(_)) if self.self_signed => {
                let reason = "a certificate is configured as well; keep one";
                return Err(Invalid::new("listen.self_signed", reason));
            }
            _ => {}
        }
        if self.unix_mode_bits().is_none() {
            let reason = format!("`{}` is not an octal mode, e.g. 0660", self.unix_mode);
            return Err(Invalid::new("listen.unix_mode", reason));
        }
        if let Some(url) = &self.public_url
            && !is_origin(url)
        {
            let reason =
                format!("`{url}` is not a URL without path, e.g. https://files.example.org");
            return Err(Invalid::new("listen.public_url", reason));
        }
        Ok(())
    }
}

/// Whether `url` is a scheme and an authority, at most a slash behind it.
fn is_origin(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    })
}

/// An address, or all addresses that share their first bits with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is neither an address nor a network such as 10.0.0.0/8");
        let (base, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let widest = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(widest), str::parse).map_err(|_| bad())?;
        if bits > widest {
            return Err(bad());
        }
        Ok(Self { base, bits })
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.base, self.bits))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_share_its_first_bits() {
        let holds = |network: &str, address: &str| {
            network
                .parse::<Network>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.1.2"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }

    #[test]
    fn addresses_and_urls_are_checked() {
        let listen = |change: fn(&mut Listen)| {
            let mut listen = Listen::default();
            change(&mut listen);
            listen.validate().map_err(|invalid| invalid.key)
        };
        assert_eq!(listen(|_| ()), Ok(()));
        assert_eq!(
            listen(|l| l.address = vec!["8080".into()]),
            Err("listen.address".into())
        );
        assert_eq!(listen(|l| l.address.clear()), Err("listen.address".into()));
        assert_eq!(
            listen(|l| l.tls_key = Some("k".into())),
            Err("listen.tls_certificate".into())
        );
        assert_eq!(
            listen(|l| l.unix_mode = "999".into()),
            Err("listen.unix_mode".into())
        );
        assert_eq!(
            listen(|l| l.public_url = Some("https://a/dav/".into())),
            Err("listen.public_url".into())
        );
        assert_eq!(
            listen(|l| l.public_url = Some("https://a:8443/".into())),
            Ok(())
        );
    }
}
