//! `[write] allow`: who may write by where they come from, or because the web server has let them in.  Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The word that admits whoever the web server has authenticated.
const REMOTE_USER: &str = "remote-user";

/// One way to be allowed to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowRule {
    /// The client's address lies in this range. An IPv4 range never holds an IPv6 address, nor the reverse.
    Net(IpNet),
    /// The web server asked for a password, or whatever else it asks for, and passed on a name (`REMOTE_USER`).
    RemoteUser,
}

/// The rules of one node. A client that meets any of them may write; without rules nobody may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    rules: Vec<AllowRule>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Neither an address, nor a range, nor the word.
    #[error("use an address (10.0.0.1), a range (10.0.0.0/8, fd00::/8) or \"remote-user\"")]
    Form,
    /// The address of a range goes on behind its prefix; one of the two is a slip.
    #[error("the address has bits beyond /{}: use {range} for the range, or {address} for the one address", .range.prefix_len())]
    HostBits {
        /// The range with these bits cleared.
        range: IpNet,
        /// The address as written.
        address: IpAddr,
    },
}

impl AllowList {
    /// The decision, made from any number of rules.
    pub fn new(rules: Vec<AllowRule>) -> Self {
        Self { rules }
    }

    /// Whether a client may write that comes from `address` (none: unknown, as over a unix socket) and bears the
    /// name `user`, which the web server, and nobody else, vouches for. An empty name is none.
    pub fn admits(&self, address: Option<IpAddr>, user: Option<&str>) -> bool {
        // A socket that listens on [::] shows IPv4 clients as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2).
        let address = address.map(|address| address.to_canonical());
        self.rules.iter().any(|rule| match rule {
            AllowRule::Net(range) => address.is_some_and(|address| range.contains(&address)),
            AllowRule::RemoteUser => user.is_some_and(|user| !user.is_empty()),
        })
    }

    /// Whether a client on this machine may write by its address alone. Then a proxy on this machine that does not
    /// pass on its clients' addresses admits everyone.
    pub fn admits_loopback(&self) -> bool {
        let loopback = |rule: &AllowRule| match rule {
            AllowRule::Net(IpNet::V4(range)) => {
                range.contains(&std::net::Ipv4Addr::LOCALHOST) || range.network().is_loopback()
            }
            AllowRule::Net(IpNet::V6(range)) => range.contains(&std::net::Ipv6Addr::LOCALHOST),
            AllowRule::RemoteUser => false,
        };
        self.rules.iter().any(loopback)
    }

    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[AllowRule] {
        &self.rules
    }
}

impl FromStr for AllowRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text == REMOTE_USER {
            return Ok(Self::RemoteUser);
        }
        address_range(text).map(Self::Net)
    }
}

/// The addresses that a text means: one address, or a range such as `10.0.0.0/8`.
///
/// # Errors
/// When it is neither.
pub fn address_range(text: &str) -> Result<IpNet, RuleError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let range = text.parse::<IpNet>().map_err(|_| RuleError::Form)?;
    if range.trunc() != range {
        return Err(RuleError::HostBits { range: range.trunc(), address: range.addr() });
    }
    Ok(canonical(range))
}

/// A range of IPv4-mapped addresses as the range of IPv4 addresses it means.
fn canonical(range: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    match (range.addr().to_canonical(), range.prefix_len().checked_sub(MAPPED_BITS)) {
        (address @ IpAddr::V4(_), Some(prefix)) if range.addr().is_ipv6() => {
            IpNet::new(address, prefix).unwrap_or(range)
        }
        _ => range,
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowRule::Net(range) => range.fmt(f),
            AllowRule::RemoteUser => f.write_str(REMOTE_USER),
        }
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            return f.write_str("nobody");
        }
        for (at, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(rules: &[&str]) -> AllowList {
        AllowList::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn without_rules_nobody_may_write() {
        assert!(!access(&[]).admits(from("127.0.0.1"), Some("ada")));
        assert_eq!(access(&[]).to_string(), "nobody");
    }

    #[test]
    fn a_range_admits_the_addresses_in_it_and_no_others() {
        let access = access(&["10.1.0.0/16", "192.0.2.7", "fd00::/8"]);
        for inside in ["10.1.0.0", "10.1.255.255", "192.0.2.7", "fd12::1"] {
            assert!(access.admits(from(inside), None), "{inside}");
        }
        for outside in ["10.2.0.0", "10.0.255.255", "192.0.2.8", "fe00::1", "::1"] {
            assert!(!access.admits(from(outside), Some("ada")), "{outside}");
        }
        assert!(!access.admits(None, Some("ada")), "an unknown address lies in no range");
    }

    #[test]
    fn an_ipv4_client_on_an_ipv6_socket_counts_as_ipv4() {
        assert!(access(&["127.0.0.0/8"]).admits(from("::ffff:127.0.0.1"), None));
        assert!(access(&["::ffff:10.0.0.0/104"]).admits(from("10.200.0.1"), None));
        assert!(access(&["::ffff:10.0.0.1"]).admits(from("10.0.0.1"), None));
        assert!(!access(&["::/0"]).admits(from("::ffff:10.0.0.1"), None), "all of IPv6 is not IPv4");
        assert!(!access(&["0.0.0.0/0"]).admits(from("2001:db8::1"), None));
    }

    #[test]
    fn a_name_from_the_web_server_admits_only_with_the_word() {
        assert!(access(&["remote-user"]).admits(None, Some("ada")));
        assert!(!access(&["remote-user"]).admits(from("127.0.0.1"), Some("")));
        assert!(!access(&["remote-user"]).admits(from("127.0.0.1"), None));
    }

    #[test]
    fn a_loopback_range_is_noticed_whatever_its_size() {
        for rule in
            ["127.0.0.1", "127.0.0.0/8", "127.9.0.0/16", "0.0.0.0/0", "::1", "::/0", "::ffff:127.0.0.1"]
        {
            assert!(access(&[rule]).admits_loopback(), "{rule}");
        }
        assert!(!access(&["10.0.0.0/8", "fd00::/8", "remote-user"]).admits_loopback());
    }

    #[test]
    fn a_rule_with_host_bits_is_refused_with_both_things_it_may_mean() {
        let error = "10.1.2.3/8".parse::<AllowRule>().unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8") && error.contains("10.1.2.3 for"), "{error}");
    }

    #[test]
    fn anything_else_is_no_rule() {
        for text in
            ["", "localhost", "10.0.0.0/33", "10.0.0/8", "*", "REMOTE_USER", "10.0.0.1:80", "[::1]", "/8"]
        {
            assert_eq!(text.parse::<AllowRule>(), Err(RuleError::Form), "{text}");
        }
    }

    #[test]
    fn rules_are_shown_as_they_are_written() {
        assert_eq!(
            access(&["127.0.0.0/8", "192.0.2.7", "remote-user"]).to_string(),
            "127.0.0.0/8, 192.0.2.7/32, remote-user"
        );
    }
}
