//! A picture of how the bytes of a first `add` grow with the number of plugins.

use std::path::Path;

use kf_core::size::Decimal;
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color, EmptyElement, IntoDrawingArea, IntoLogRange, LineSeries, PathElement,
    RGBColor, SVGBackend, SeriesLabelPosition, ShapeStyle, Text, WHITE,
};

use crate::report::grouped;

/// A line of the picture.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    /// Numbers of plugins with bytes.
    pub(crate) points: Vec<(usize, u64)>,
}

/// Writes the picture as SVG, with logarithmic axes.
pub(crate) fn draw(path: &Path, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let plugins = |(plugins, _): &(usize, u64)| *plugins as f64;
    let bytes = |(_, bytes): &(usize, u64)| *bytes as f64;
    let right = all().map(plugins).fold(1000.0, f64::max) * 2.0;
    let (low, high) = (all().map(bytes).fold(f64::MAX, f64::min), all().map(bytes).fold(1.0, f64::max));
    let area = SVGBackend::new(path, (900, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Bytes of the first `kf command add`, besides the component", ("sans-serif", 20))
        .margin(20)
        .x_label_area_size(50)
        .y_label_area_size(90)
        .build_cartesian_2d((50.0..right).log_scale(), (low / 3.0..high * 3.0).log_scale())?;
    let size = |bytes: &f64| match *bytes {
        bytes if bytes < 1000.0 => format!("{bytes:.0} B"),
        bytes => Decimal(bytes as u64).to_string().replace(".0 MB", " MB"),
    };
    chart
        .configure_mesh()
        .x_desc("plugins")
        .y_desc("bytes, both directions")
        .x_label_formatter(&|plugins| grouped(*plugins as usize))
        .y_label_formatter(&size)
        .max_light_lines(1)
        .light_line_style(BLACK.mix(0.06))
        .label_style(("sans-serif", 14))
        .draw()?;
    for Line { name, color, points } in lines {
        let style = ShapeStyle::from(color).stroke_width(2);
        let points: Vec<(f64, f64)> = points.iter().map(|point| (plugins(point), bytes(point))).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
        chart.draw_series(points.iter().map(|&point| {
            EmptyElement::at(point)
                + Circle::new((0, 0), 4, style.filled())
                + Text::new(size(&point.1), (8, -16), ("sans-serif", 13))
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}
