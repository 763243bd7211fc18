//! Images of a model server, in two versions, of one that cannot start, and of one who asks them.

use kf_toolchains::{go, optional};

use super::super::error::Result;
use super::super::image::Image;
use super::{Contents, Workshop};

/// A model server, and its next version; see `images/model-server/main.go`.
pub const MODEL_SERVERS: [&str; 2] = ["kf.test/model-server:1", "kf.test/model-server:2"];
/// A version whose model is missing: it says `model.pkl: no such file` and exits with 1.
pub const BROKEN_MODEL_SERVER: &str = "kf.test/model-server:broken";
/// Sends requests to a service and counts what comes of them; see `images/load/main.go`.
pub const LOAD: &str = "kf.test/load:1";

pub(super) fn contents(workshop: &Workshop) -> Result<Contents> {
    let program = go::build(&optional::model_server(), workshop.progress)?;
    let load = go::build(&optional::load(), workshop.progress)?;
    let image = |name| -> Result<Image> {
        let image = Image::new(name).with_program("model-server", &program)?.entrypoint("/model-server");
        // As a pod demands that may not run as root.
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
