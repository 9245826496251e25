//! The source of a request, for rate limits.

use std::net::{IpAddr, Ipv6Addr};

use crate::digest::sha256_hex;

/// The network that a request came from: an IPv4 address, or the /64 of an IPv6 address, because one customer has a
/// whole /64.
///
/// API Gateway takes it from the connection. Rekey trusts no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl Source {
    /// Parses the source address of a gateway's event. All requests without a valid one count as one source.
    pub fn parse(address: Option<&str>) -> Self {
        Self(
            address
                .and_then(|address| address.parse().ok())
                .map(network),
        )
    }

    /// Returns a pseudonym of the source, in hexadecimal digits.
    ///
    /// It is not a secret: there are few enough IPv4 addresses to try them all.
    pub fn key(&self) -> String {
        match self.0 {
            Some(IpAddr::V4(address)) => sha256_hex(&address.octets()),
            Some(IpAddr::V6(address)) => sha256_hex(&address.octets()),
            None => "unknown".to_owned(),
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Source::parse(Some(a)).key() == Source::parse(Some(b)).key()
    }

    #[test]
    fn an_ipv6_source_is_its_64() {
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }

    #[test]
    fn an_ipv4_source_is_one_address_in_either_notation() {
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
    }

    #[test]
    fn all_invalid_addresses_are_one_source() {
        assert_eq!(
            Source::parse(None),
            Source::parse(Some("192.0.2.1, 10.0.0.1"))
        );
    }
}
