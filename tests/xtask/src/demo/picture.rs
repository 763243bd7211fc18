//! Draws terminal output as a picture.

use std::path::Path;

use anstyle_svg::Term;

use crate::step::{Context, Result};

/// Writes `text`, with its colours, as an SVG.
pub fn draw(text: &str, file: &Path) -> Result<()> {
    let svg = Term::new().render_svg(text);
    fs_err::write(file, svg).context("cannot write the picture")
}
