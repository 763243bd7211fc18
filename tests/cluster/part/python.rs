//! Images with Debian's Python and programs from PyPI.

use kf_toolchains::optional;
use kf_toolchains::python::{self, Site};

use super::super::error::Result;
use super::super::image::Image;
use super::super::images;
use super::{BuildContext, Contents};

/// TensorBoard, as `tensorboard` and `/usr/local/bin/tensorboard`; by default it serves `/logs` on port 6006.
pub const TENSORBOARD: &str = "kf.test/tensorboard:1";
/// JupyterLab as in Kubeflow's notebook images: on port 8888 below `$NB_PREFIX`, with the home `/home/jovyan`, and
/// without authentication unless `$JUPYTER_TOKEN` is set.
pub const JUPYTERLAB: &str = "kf.test/jupyterlab:1";

const START_JUPYTERLAB: &str = r#"#!/bin/sh
exec jupyter lab --ServerApp.root_dir="$HOME" --ServerApp.ip=0.0.0.0 --ServerApp.port=8888 \
    --ServerApp.open_browser=False --ServerApp.allow_origin='*' --ServerApp.allow_remote_access=True \
    --ServerApp.base_url="${NB_PREFIX:-/}" --IdentityProvider.token="${JUPYTER_TOKEN:-}" "$@"
"#;

/// Python with a shell, for the user `jovyan`, and the packages of `site` on its path.
pub(super) fn image(name: &str, site: &Site, context: &BuildContext) -> Result<Image> {
    let base = python::base(context.progress)?;
    let busybox = images::find_busybox(&context.system)?;
    let packages = site.installed(context.progress)?;
    let image = Image::new(name)
        .search_path("/usr/local/bin:/usr/bin:/bin:/site/bin")
        .environment("PYTHONPATH", "/site")
        .environment("PYTHONDONTWRITEBYTECODE", "1")
        .environment("HOME", "/home/jovyan")
        .environment("SHELL", "/bin/sh")
        .user("1000:100")
        .in_new_layer()
        .with_tree("", &base)?
        .with_directory("home/jovyan", 0o777)?
        .with_text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\njovyan:x:1000:100::/home/jovyan:/bin/sh\n")?
        .with_text("etc/group", "root:x:0:\nusers:x:100:\n")?
        .with_link("usr/local/bin/python", "/usr/bin/python3")?
        .with_link("usr/bin/env", "/bin/busybox")?;
    images::with_applets(image, &busybox)?.in_new_layer().with_tree("site", &packages)
}

pub(super) fn tensorboard(context: &BuildContext) -> Result<Contents> {
    let mut image = image(TENSORBOARD, &optional::TENSORBOARD, context)?
        .with_link("usr/local/bin/tensorboard", "/site/bin/tensorboard")?
        .entrypoint("tensorboard");
    image.command = ["--bind_all", "--logdir=/logs"].map(str::to_owned).to_vec();
    Ok(Contents { images: vec![image], ..Contents::default() })
}

pub(super) fn jupyterlab(context: &BuildContext) -> Result<Contents> {
    let image = image(JUPYTERLAB, &optional::JUPYTERLAB, context)?
        .environment("JUPYTER_PATH", "/site/share/jupyter")
        .environment("JUPYTER_CONFIG_PATH", "/site/etc/jupyter")
        .environment("JUPYTERLAB_DIR", "/site/share/jupyter/lab")
        .with_script("usr/local/bin/start-jupyterlab", START_JUPYTERLAB)?
        .entrypoint("start-jupyterlab");
    Ok(Contents { images: vec![image], ..Contents::default() })
}
