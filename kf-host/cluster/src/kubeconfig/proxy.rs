//! Which servers are reached without a proxy, whatever `HTTPS_PROXY` says: this machine, and
//! what `NO_PROXY` lists, as Go's clients read it.

use std::ffi::OsStr;
use std::net::IpAddr;

/// Whether the server is reached directly.
pub(super) fn bypassed(server: &http::Uri, no_proxy: Option<&OsStr>) -> bool {
    let Some(host) = server.host() else { return true };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    let list = no_proxy.and_then(OsStr::to_str).unwrap_or_default();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some(address) = address {
            return covers(&entry, address);
        }
        match entry.trim_start_matches("*.").strip_prefix('.') {
            Some(domain) => host.ends_with(&format!(".{domain}")),
            None => {
                let domain = entry.trim_start_matches("*.");
                host == domain || host.ends_with(&format!(".{domain}"))
            }
        }
    })
}

/// Whether an entry, an address or a CIDR range, covers an address.
fn covers(entry: &str, address: IpAddr) -> bool {
    let Some((network, bits)) = entry.split_once('/') else {
        return entry.parse() == Ok(address);
    };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_server_is_reached_directly() {
        let list = Some(OsStr::new("10.0.0.0/8, .corp.example,direct.example"));
        for (server, expected) in [
            ("https://127.0.0.1:6443", true),
            ("https://localhost:6443", true),
            ("https://[::1]:6443", true),
            ("https://10.1.2.3", true),
            ("https://11.1.2.3", false),
            ("https://k8s.corp.example", true),
            ("https://direct.example", true),
            ("https://notdirect.example", false),
        ] {
            assert_eq!(bypassed(&server.parse().unwrap(), list), expected, "{server}");
        }
        assert!(!bypassed(&"https://k8s.corp.example".parse().unwrap(), None));
    }
}
