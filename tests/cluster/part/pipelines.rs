//! An image with a stand-in for the server of Kubeflow Pipelines.

use kf_toolchains::{go, optional};

use super::super::error::Result;
use super::super::image::Image;
use super::{BuildContext, Contents};

/// Serves the recorded API of Kubeflow Pipelines; see `images/pipelines/main.go`.
pub const PIPELINES: &str = "kf.test/pipelines:1";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let program = go::build(&optional::pipelines(), context.progress)?;
    let image = Image::new(PIPELINES).with_program("pipelines", &program)?.entrypoint("/pipelines");
    Ok(Contents { images: vec![image.user("65532:65532")], ..Contents::default() })
}
