//! Images of a model server in two versions, of one that cannot start, and of a load generator.

use kf_toolchains::{go, optional};

use super::super::error::Result;
use super::super::image::Image;
use super::{BuildContext, Contents};

/// Two versions of a model server; see `images/model-server/main.go`.
pub const MODEL_SERVERS: [&str; 2] = ["kf.test/model-server:1", "kf.test/model-server:2"];
/// A version without its model: it prints `model.pkl: no such file` and exits with 1.
pub const BROKEN_MODEL_SERVER: &str = "kf.test/model-server:broken";
/// Sends requests to a service and counts the results; see `images/load/main.go`.
pub const LOAD: &str = "kf.test/load:1";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let program = go::build(&optional::model_server(), context.progress)?;
    let load = go::build(&optional::load(), context.progress)?;
    let image = |name| -> Result<Image> {
        let image = Image::new(name).with_program("model-server", &program)?.entrypoint("/model-server");
        // For pods that must not run as root.
        Ok(image.user("65532:65532"))
    };
    let [first, second] = MODEL_SERVERS;
    let images = vec![
        image(first)?.environment("MODEL_VERSION", "1"),
        image(second)?.environment("MODEL_VERSION", "2"),
        image(BROKEN_MODEL_SERVER)?.environment("MODEL_FILE", "model.pkl"),
        Image::new(LOAD).with_program("load", &load)?.entrypoint("/load").user("65532:65532"),
    ];
    Ok(Contents { images, ..Contents::default() })
}
