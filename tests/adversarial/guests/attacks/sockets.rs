//! Connects to the network.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};
use wasip2::sockets::{instance_network, network, tcp_create_socket};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let network = instance_network::instance_network();
    let socket = tcp_create_socket::create_tcp_socket(network::IpAddressFamily::Ipv4);
    let metadata = network::Ipv4SocketAddress { port: 80, address: (169, 254, 169, 254) };
    if let Ok(socket) = socket {
        let _ = socket.start_connect(&network, network::IpSocketAddress::Ipv4(metadata));
    }
    Ok(0)
}
