//! Text charts.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// One bar per value, the smallest the lowest. A missing or infinite value is a space.
pub(crate) fn sparkline(values: &[Option<f64>]) -> String {
    let range = range(values);
    let bar = |value: &Option<f64>| {
        let height = value.filter(|value| value.is_finite()).map(|value| share(value, range) * 7.0);
        height.and_then(|height| BARS.get(height.round() as usize)).copied().unwrap_or(' ')
    };
    values.iter().map(bar).collect()
}

/// A horizontal bar: the largest value fills the width, the smallest has the shortest bar.
pub(crate) fn bar(value: f64, values: &[Option<f64>], width: u32) -> String {
    if !value.is_finite() {
        return String::new();
    }
    // An eighth is the smallest visible bar.
    let eighths = (share(value, range(values)) * f64::from(width * 8)).round().max(1.0) as usize;
    let part = (eighths % 8).checked_sub(1).and_then(|part| PARTS.get(part));
    "█".repeat(eighths / 8) + &part.map(char::to_string).unwrap_or_default()
}

fn range(values: &[Option<f64>]) -> (f64, f64) {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max))
}

/// The position of a value in the range, from 0 to 1; 0.5 if the range is empty.
fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    let span = high - low;
    if span > 0.0 && span.is_finite() { ((value - low) / span).clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparkline_rises_with_values() {
        assert_eq!(sparkline(&[Some(0.0), Some(3.5), None, Some(7.0)]), "▁▅ █");
        assert_eq!(sparkline(&[Some(2.0), Some(2.0)]), "▅▅");
        assert_eq!(sparkline(&[Some(f64::NAN), Some(1.0)]), " ▅");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn largest_value_fills_width() {
        let values = [Some(0.0), Some(0.5), Some(1.0)];
        assert_eq!(bar(1.0, &values, 4), "████");
        assert_eq!(bar(0.5, &values, 4), "██");
        assert_eq!(bar(0.0, &values, 4), "▏");
        assert_eq!(bar(0.4, &values, 4), "█▋");
        assert_eq!(bar(f64::INFINITY, &values, 4), "");
    }
}
