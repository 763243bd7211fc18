//! The link between the machine and a node: a pair of virtual network devices.
//!
//! The node's network namespace has no name, so it and the link are removed with the node's last process. Several
//! nodes can run side by side: each has a unique number, and the network `10.231.<number>.0/24`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use kf_toolchains::command;
use serde::{Deserialize, Serialize};

use super::error::{ClusterError, Result};

/// The network of one node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) number: u8,
}

impl Link {
    /// A link with an unused number, whose network is not routed elsewhere.
    pub(crate) fn free() -> Result<Self> {
        let routes = fs::read_to_string("/proc/net/route")?;
        let first = (std::process::id() % 256) as u8;
        (0..=u8::MAX)
            .map(|offset| Self { number: first.wrapping_add(offset) })
            .find(|link| !link.exists() && !link.is_routed(&routes))
            .ok_or(ClusterError::NothingFree("network of the form 10.231.x.0/24"))
    }

    pub(crate) fn exists(self) -> bool {
        Path::new("/sys/class/net").join(self.name()).exists()
    }

    fn is_routed(self, routes: &str) -> bool {
        // The kernel prints addresses as numbers in the machine's byte order.
        let network = u32::from_ne_bytes([10, 231, self.number, 0]);
        routes.lines().any(|line| line.split_whitespace().nth(1) == Some(&format!("{network:08X}")))
    }

    pub(crate) fn name(self) -> String {
        format!("kfnode{}", self.number)
    }

    pub(crate) fn machine_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, 1)
    }

    pub(crate) fn node_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, 2)
    }

    /// Creates the link, with its other end in the network namespace of the process `pid`. Its alias names the owner,
    /// because another cluster may use the number later.
    pub(crate) fn create(self, pid: u32, directory: &Path) -> Result<()> {
        let name = self.name();
        let pid = pid.to_string();
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid])?;
        ip(&["link", "set", &name, "alias", &owner(directory)])?;
        ip(&["address", "add", &format!("{}/24", self.machine_address()), "dev", &name])?;
        ip(&["link", "set", &name, "up"])
    }

    /// Whether the link exists and belongs to another cluster.
    pub(crate) fn belongs_to_another(self, directory: &Path) -> bool {
        let alias = Path::new("/sys/class/net").join(self.name()).join("ifalias");
        fs::read_to_string(alias).is_ok_and(|alias| alias.trim_end() != owner(directory))
    }

    /// Configures the node's end, inside its namespace.
    pub(crate) fn configure_node(self) -> Result<()> {
        ip(&["link", "set", "lo", "up"])?;
        ip(&["address", "add", &format!("{}/24", self.node_address()), "dev", "eth0"])?;
        ip(&["link", "set", "eth0", "up"])?;
        // Orphaned connections would keep a dead node's namespace for minutes.
        fs::write("/proc/sys/net/ipv4/tcp_orphan_retries", "1")?;
        ip(&["route", "add", "default", "via", &self.machine_address().to_string()])
    }

    /// Waits until the kernel has removed the link of an ended node; removes it after a timeout.
    pub(crate) fn wait_until_gone(self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.exists() {
            if Instant::now() > deadline {
                return ip(&["link", "delete", &self.name()]);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// The end of the directory's path: an alias is limited to 255 bytes.
fn owner(directory: &Path) -> String {
    let path = directory.display().to_string();
    let skipped = path.chars().count().saturating_sub(120);
    path.chars().skip(skipped).collect()
}

fn ip(arguments: &[&str]) -> Result<()> {
    let program = command::need("ip", "to connect the node to the machine", "install iproute2")?;
    Ok(command::output(Command::new(program).args(arguments)).map(drop)?)
}
