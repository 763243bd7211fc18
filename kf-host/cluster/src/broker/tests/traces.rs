use kf_core::api::{KubeApi as _, PodRef, SessionOptions, WriteOptions};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Records kf's own traces in this thread, at every level.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let layer = fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || lines.clone())
            .with_filter(Targets::new().with_target("kf_", tracing::Level::TRACE));
        tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
    }

    /// The lines without the timings at their end.
    fn text(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split(": kf_").next().unwrap().trim().to_owned()).collect()
    }
}

#[tokio::test]
async fn call_is_a_span_with_fields_of_audit_log() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let server = Server::default();
    let broker = server.broker(&[rule("", &["pods"], &["get"])]);
    server.answer(404, &status(404, "NotFound", "gone"));
    let _ = broker.get(object("", "Pod", "a")).await;
    let _ = broker.get(object("", "Secret", "s")).await;
    // Without a response.
    let _ = broker.get(object("", "Pod", "b")).await;
    assert_eq!(
        lines.text(),
        [
            r#"INFO call{verb="get" group="" resource="pods" namespace="team-a" name="a" decision="allowed" rule=1 status=404}"#,
            r#"INFO call{verb="get" group="" resource="secrets" namespace="team-a" name="s" decision="refused" layer="manifest"}"#,
            r#"DEBUG call{verb="get" group="" resource="pods" namespace="team-a" name="b" decision="allowed" rule=1}"#,
            r#"INFO call{verb="get" group="" resource="pods" namespace="team-a" name="b" decision="allowed" rule=1}"#,
        ]
    );
}

#[tokio::test]
async fn trace_has_no_content_of_requests_or_responses() {
    const SECRET: &str = "aHVudGVyMg==";
    let lines = Lines::default();
    let _listening = lines.listen();
    let server = Server::default();
    let mut secrets = rule("", &["secrets"], &["get", "list", "create"]);
    secrets["data"] = json!(true);
    let broker = server.broker(&[secrets, rule("", &["pods/exec"], &["get", "create"])]);
    let holding = json!({"metadata": {"name": "s"}, "data": {"password": SECRET}});

    server.answer(200, &holding);
    let answer = broker.get(object("", "Secret", "s")).await.unwrap();
    assert_eq!(answer["data"]["password"], SECRET);
    server.answer(200, &json!({"metadata": {}, "items": [holding]}));
    broker.list(all("", "Secret"), None, None).await.unwrap();
    server.answer(422, &status(422, "Invalid", &format!("invalid value {SECRET}")));
    let plain = WriteOptions { dry_run: false, force: false };
    let refused =
        broker.create(object("", "Secret", "s"), json!({"data": {"password": SECRET}}), plain).await;
    assert!(refused.unwrap_err().message.contains(SECRET));
    server.answer(500, &status(500, "InternalError", SECRET));
    let command = vec!["echo".to_owned(), SECRET.to_owned()];
    let pod = PodRef { namespace: None, name: "web-0".into() };
    assert!(broker.exec(pod, command, SessionOptions::default()).await.is_err());
    server.raw(200, SECRET.as_bytes().to_vec());
    assert!(broker.get(object("", "Secret", "s")).await.is_err());

    let text = lines.text();
    assert_eq!(text.len(), 5, "{text:?}");
    assert!(!text.iter().any(|line| line.contains(SECRET)), "{text:?}");
}
