//! Whether clients are seen under their own addresses, which `[write] allow` goes by.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::Report;
use crate::cluster::{ClusterMap, NodeIndex};
use crate::config::Settings;

/// A proxy on this machine that does not pass the client's address on makes everyone a client from here.
pub(super) fn check_allow<W: Write>(
    settings: &Settings,
    map: &ClusterMap,
    own: NodeIndex,
    seen: Option<IpAddr>,
    report: &mut Report<W>,
) -> io::Result<()> {
    const ABOUT: &str = "write.allow";
    if !settings.write.allow.admits_loopback() {
        return Ok(());
    }
    let url = map.node(own).url();
    match Clients::seen_as(local_address_towards(url.host(), url.port()), seen) {
        Clients::Known => report.ok(ABOUT, "admits this machine; clients are seen under their own addresses"),
        Clients::Hidden { from, seen } => report.warn(
            ABOUT,
            &format!(
                "admits EVERYONE: a request from {from} was seen as {seen}; have the proxy on this machine pass on \
                 the client's address (nginx: set_real_ip_from, real_ip_header), or take loopback out"
            ),
        ),
        Clients::Untested(reason) => report.untested(ABOUT, &format!("admits this machine; {reason}")),
    }
}

/// How the responder sees clients, judged by a request of which the sender's address is known.
#[derive(Debug, PartialEq, Eq)]
enum Clients {
    /// Under their own addresses.
    Known,
    /// As if they were on this machine.
    Hidden { from: IpAddr, seen: IpAddr },
    /// That cannot be said, for this reason.
    Untested(&'static str),
}

impl Clients {
    fn seen_as(from: Option<IpAddr>, seen: Option<IpAddr>) -> Self {
        match (from, seen) {
            (None, _) => Clients::Untested("there is no way to the node's own url"),
            (Some(from), _) if from.is_loopback() => Clients::Untested(
                "whether a proxy hides the real clients cannot be seen through a loopback url",
            ),
            (Some(_), None) => Clients::Untested("the web server passes no client address on"),
            (Some(from), Some(seen)) if seen != from && seen.is_loopback() => Clients::Hidden { from, seen },
            (Some(_), Some(_)) => Clients::Known,
        }
    }
}

/// The address from which this machine reaches a host. Nothing is sent.
fn local_address_towards(host: &str, port: u16) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    let target: SocketAddr = (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.next()?;
    let any: SocketAddr = if target.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_machine_that_hides_its_clients_is_noticed() {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let (own, loopback) = (address("10.0.0.1"), address("127.0.0.1"));
        let hidden = Clients::Hidden { from: own.unwrap(), seen: loopback.unwrap() };
        assert_eq!(Clients::seen_as(own, loopback), hidden);
        assert_eq!(Clients::seen_as(own, own), Clients::Known);
        for (from, seen) in [(loopback, loopback), (own, None), (None, own)] {
            assert!(matches!(Clients::seen_as(from, seen), Clients::Untested(_)), "{from:?} {seen:?}");
        }
    }
}
