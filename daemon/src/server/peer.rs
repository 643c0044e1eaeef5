//! Who is at the other end of a connection, and of a request that a proxy passed on.

use std::net::IpAddr;

use http::HeaderMap;

use crate::config::listen::Network;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; the unspecified address over a Unix socket.
    pub address: IpAddr,
    /// Whether it speaks TLS, to us or to a trusted proxy.
    pub tls: bool,
}

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

impl Peer {
    /// The address, if there is one.
    pub fn known(self) -> Option<IpAddr> {
        Some(self.address).filter(|address| !address.is_unspecified())
    }

    /// The client of one request of a connection: what a trusted proxy says, else the connection's
    /// own end. A client that is no trusted proxy cannot say anything about itself.
    pub fn of_request(self, trusted: bool, headers: &HeaderMap, proxies: &[Network]) -> Self {
        if !trusted {
            return self;
        }
        let tls = match headers.get(FORWARDED_PROTO) {
            Some(scheme) => scheme.as_bytes().eq_ignore_ascii_case(b"https"),
            None => self.tls,
        };
        // Each proxy appends the address it sees, so the last one that is no proxy of ours is the
        // nearest that can be believed.
        let said = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let chain: Vec<&str> = said
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let mut address = self.address;
        for hop in chain.into_iter().rev() {
            let Ok(hop) = hop.parse::<IpAddr>() else {
                break;
            };
            address = hop.to_canonical();
            if !is_trusted(address, proxies) {
                break;
            }
        }
        Self { address, tls }
    }
}

/// Whether `address` is one of our proxies.
pub fn is_trusted(address: IpAddr, proxies: &[Network]) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trusted: bool, headers: &[(&'static str, &str)]) -> Peer {
        let own = Peer {
            address: "10.0.0.1".parse().unwrap(),
            tls: false,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        own.of_request(trusted, &map, &["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let headers = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(
            seen(false, &headers),
            Peer {
                address: [10, 0, 0, 1].into(),
                tls: false
            }
        );
        assert_eq!(
            seen(true, &headers),
            Peer {
                address: [192, 0, 2, 1].into(),
                tls: true
            }
        );
    }

    #[test]
    fn what_the_client_wrote_itself_into_the_chain_is_not_believed() {
        let chain = [
            ("x-forwarded-for", "1.2.3.4, 192.0.2.1"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        assert_eq!(seen(true, &chain).address, IpAddr::from([192, 0, 2, 1]));
        let nonsense = [("x-forwarded-for", "192.0.2.1, unknown, 10.0.0.2")];
        assert_eq!(seen(true, &nonsense).address, IpAddr::from([10, 0, 0, 2]));
    }
}
