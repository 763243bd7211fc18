//! Reads request counts from metrics in the text format of Prometheus.

/// The request counters of model servers and HTTP servers, the most specific first.
const COUNTERS: [&str; 8] = [
    "request_predict_seconds_count",
    "nv_inference_request_success",
    "vllm:request_success_total",
    "ts_inference_requests_total",
    "http_requests_total",
    "http_server_requests_seconds_count",
    "http_request_duration_seconds_count",
    "revision_app_request_count",
];

/// The sum over all labels of the first known counter, and its name.
pub(crate) fn requests(metrics: &str) -> Option<(u64, String)> {
    let samples: Vec<(&str, f64)> = metrics.lines().filter_map(sample).collect();
    let names = COUNTERS.iter().copied().chain(guessed(&samples));
    for name in names {
        let mut counted = samples.iter().filter(|(of, _)| *of == name).map(|(_, value)| *value).peekable();
        if counted.peek().is_some() {
            let sum: f64 = counted.filter(|value| value.is_finite() && *value >= 0.0).sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            return Some((sum as u64, name.to_owned()));
        }
    }
    None
}

/// An unknown counter whose name suggests requests, except those of scraping itself.
fn guessed<'a>(samples: &[(&'a str, f64)]) -> impl Iterator<Item = &'a str> {
    let found = samples.iter().map(|(name, _)| *name);
    let found = found.filter(|name| name.ends_with("_requests_total") && !name.starts_with("promhttp_"));
    found.take(1).collect::<Vec<_>>().into_iter()
}

/// `name{label="value"} 12 1700000000`: the name and the value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let rest = match rest.strip_prefix('{') {
        Some(labels) => labels.get(end_of_labels(labels)?..)?,
        None => rest,
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, value))
}

/// The end of the labels. A quoted value may contain a brace.
fn end_of_labels(labels: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in labels.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels() {
        let metrics = "# HELP http_requests_total x\n# TYPE http_requests_total counter\n\
            http_requests_total{code=\"200\",path=\"/a}b\"} 40\n\
            http_requests_total{code=\"500\",path=\"/\\\"x\"} 2 1700000000\n\
            python_gc_objects_collected_total 12\n";
        assert_eq!(requests(metrics), Some((42, "http_requests_total".to_owned())));
    }

    #[test]
    fn prediction_counter_is_preferred_to_requests() {
        let metrics = "http_requests_total 900\nrequest_predict_seconds_count{model_name=\"iris\"} 3.0\n";
        assert_eq!(requests(metrics), Some((3, "request_predict_seconds_count".to_owned())));
    }

    #[test]
    fn unknown_request_counter_is_found_by_name() {
        let metrics = "promhttp_metric_handler_requests_total 7\nmodel_requests_total 5\n";
        assert_eq!(requests(metrics), Some((5, "model_requests_total".to_owned())));
        assert_eq!(requests("go_goroutines 7\n{\nhttp_requests_total{x=\"\n"), None);
        assert_eq!(requests(""), None);
    }
}
