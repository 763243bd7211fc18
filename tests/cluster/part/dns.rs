//! CoreDNS, with the Service that the kubelet configures in every pod.

use kf_toolchains::{go, optional};

use super::super::error::{ClusterError, Result};
use super::super::image::Image;
use super::super::manifests::parse_yaml;
use super::super::node::DNS_ADDRESS;
use super::{BuildContext, Contents};

const MANIFEST: &str = include_str!("../manifests/coredns.yaml");

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let program = go::build(&optional::coredns(), context.progress)?;
    let image = Image::new("kf.test/coredns:1").with_program("coredns", &program)?.entrypoint("/coredns");
    let text = MANIFEST.replace("${DNS_ADDRESS}", DNS_ADDRESS);
    let objects = parse_yaml(&text)
        .map_err(|reason| ClusterError::malformed("tests/cluster/manifests/coredns.yaml", reason))?;
    Ok(Contents { images: vec![image], objects, ..Contents::default() })
}
