//! Where a request came from.

use std::net::{IpAddr, Ipv6Addr};

use crate::digest::sha256_hex;

/// The network that a request came from: an IPv4 address, or the /64 of an IPv6 address, of which one customer has all.
///
/// API Gateway says it, from the connection. No header is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl Source {
    /// Reads the source address of a gateway's event. All requests without a readable one are one source.
    pub fn parse(address: Option<&str>) -> Self {
        Self(
            address
                .and_then(|address| address.parse().ok())
                .map(network),
        )
    }

    /// A name for it that does not show it at once, in hexadecimal digits.
    ///
    /// This is a pseudonym, no secret: there are few enough addresses to try them all.
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
    fn an_ipv4_source_is_one_address_however_it_is_written() {
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
    }

    #[test]
    fn what_is_no_address_is_one_source() {
        assert_eq!(
            Source::parse(None),
            Source::parse(Some("192.0.2.1, 10.0.0.1"))
        );
    }
}
