//! A picture of a terminal, drawn from what was shown on it.

use std::path::Path;

use anstyle_svg::Term;

use crate::step::{Doing, Result};

/// Writes `text`, with its colours, as an SVG.
pub fn draw(text: &str, file: &Path) -> Result<()> {
    let svg = Term::new().render_svg(text);
    fs_err::write(file, svg).doing("cannot write the picture")
}
