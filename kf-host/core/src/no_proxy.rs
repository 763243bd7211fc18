//! Which hosts are reached without a proxy, with the semantics of Go's [`golang.org/x/net/http/httpproxy`], so that kf
//! bypasses the same proxies as kubectl.
//!
//! [`golang.org/x/net/http/httpproxy`]: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether a host, a name or an address, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = without_brackets(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether to connect directly: the host is this machine, or `no_proxy`, the value of `NO_PROXY`, lists it.
pub fn bypasses(no_proxy: &str, host: &str, port: u16) -> bool {
    if is_loopback(host) {
        return true;
    }
    let host = without_brackets(host).to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| match address {
        _ if entry == "*" => true,
        Some(address) => covers_address(&entry, address, port),
        None => covers_name(&entry, &host, port),
    })
}

/// Whether an entry, an address with or without a port or a CIDR range, covers an address.
fn covers_address(entry: &str, address: IpAddr, port: u16) -> bool {
    if let Ok(network) = entry.parse::<IpNet>() {
        return network.contains(&address);
    }
    let is_it =
        |text: &str| without_brackets(text).parse().is_ok_and(|a: IpAddr| a.to_canonical() == address);
    is_it(entry) || entry.rsplit_once(':').is_some_and(|(host, listed)| is_it(host) && is_port(listed, port))
}

/// Whether an entry, a name with or without a port, covers a host: `example.com` covers itself and its
/// subdomains, `.example.com` and `*.example.com` only the subdomains.
fn covers_name(entry: &str, host: &str, port: u16) -> bool {
    let name = match entry.rsplit_once(':') {
        Some((_, listed)) if !is_port(listed, port) => return false,
        Some((name, _)) => name,
        None => entry,
    };
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    let is_subdomain = |domain: &str| {
        !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    match name.strip_prefix('.') {
        Some(domain) => is_subdomain(domain),
        None => host == name || is_subdomain(name),
    }
}

/// Whether the port of an entry, if it has one, is the server's.
fn is_port(listed: &str, port: u16) -> bool {
    listed.is_empty() || listed == port.to_string()
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}
