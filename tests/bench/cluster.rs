//! Compares kf and kubectl on the same objects of a cluster.
//!
//! The status needs only an API server; logs, forwarded ports and commands in pods need a node.
//!
//! ```text
//! cargo xtask bench
//! ```

use std::error::Error as AnyError;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use fs_err::File;
use kf_tests::cluster::{BUSYBOX, Cluster, Part, Profile, TestNamespace, User};
use kf_tests::rounds::{Contender, compare};
use serde_json::{Value, json};

mod first;

use first::Release;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<(), Box<dyn AnyError>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(kf), Some(home), Some(cluster)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: kf-bench-cluster KF KF_HOME CLUSTER-DIRECTORY [RELEASED-KF WHEEL]".into());
    };
    let release = arguments.next().zip(arguments.next());
    let cluster = Cluster::attach(&cluster)?;
    let namespace = TestNamespace::new(&cluster, "bench")?;
    let bench = Bench { kf, home, cluster: &cluster, namespace: &namespace };
    if let Some((program, wheel)) = release {
        first::measure(&Release { program, wheel }, cluster.kubectl(), &namespace)?;
    }
    bench.status()?;
    if cluster.profile() == Profile::Api {
        writeln!(std::io::stdout(), "\nskipped (a node needs root): logs, ports and exec")?;
        return Ok(());
    }
    cluster.require(Part::Notebooks)?;
    bench.begin_pods()?;
    bench.exec()?;
    bench.forward()?;
    Ok(bench.logs()?)
}

struct Bench<'a> {
    kf: PathBuf,
    home: PathBuf,
    cluster: &'a Cluster,
    namespace: &'a TestNamespace,
}

/// The kinds that `kf status` reads, this cluster serves and the data scientist can list.
const KINDS: [&str; 6] = ["pods", "deployments", "statefulsets", "jobs", "trainjobs", "events"];
const OBJECTS: usize = 500;

/// The number of log lines, of 102 bytes each.
const LINES: u64 = 1_000_000;
const LOG_BYTES: u64 = LINES * 102;

const STDIN_BYTES: u64 = 10 << 20;
const PAGE_BYTES: u64 = 64 << 20;
const PARALLEL_REQUESTS: usize = 200;

impl Bench<'_> {
    fn kf(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kf);
        command.args(arguments).env("KF_HOME", &self.home).env("HOME", &self.home);
        command.env("KUBECONFIG", self.namespace.kubeconfig(User::DataScientist));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn kubectl(&self, user: User, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.cluster.kubectl());
        command.args(arguments).env("KUBECONFIG", self.namespace.kubeconfig(user));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn peer(&self, arguments: &[&str]) -> Command {
        self.kubectl(User::DataScientist, arguments)
    }

    fn create(&self, objects: &Value) -> Result<()> {
        let file = self.namespace.directory().join("objects.json");
        fs_err::write(&file, objects.to_string())?;
        read_to_end(self.kubectl(User::Admin, &["create", "-f"]).arg(file)).map(drop)
    }

    fn count(&self) -> Result<usize> {
        let kinds = KINDS.join(",");
        let names = text_of(&mut self.kubectl(User::Admin, &["get", &kinds, "-o", "name"]))?;
        Ok(names.lines().count())
    }

    fn status(&self) -> Result<()> {
        let mut objects: Vec<Value> = Vec::new();
        objects.extend((0..200).map(|number| pod(&format!("pod-{number}"))));
        objects.extend((0..50).map(|number| job(&format!("job-{number}"))));
        objects.extend((0..100).map(|number| replicated("Deployment", &format!("web-{number}"))));
        objects.extend((0..50).map(|number| replicated("StatefulSet", &format!("db-{number}"))));
        let train_jobs = if self.cluster.profile() == Profile::Node { 50 } else { 150 };
        objects.extend((0..train_jobs).map(|number| train_job(&format!("train-{number}"))));
        self.create(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))?;
        // With a node, each training job becomes a job.
        for _ in 0..300 {
            if self.count()? >= OBJECTS {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let count = self.count()?;
        let one_by_one =
            || KINDS.iter().try_for_each(|kind| read_to_end(&mut self.peer(&["get", kind])).map(drop));
        let kinds = KINDS.join(",");
        let together = || read_to_end(&mut self.peer(&["get", &kinds])).map(drop);
        let ours = || read_to_end(&mut self.kf(&["status"])).map(drop);
        compare(
            &format!("status of a namespace with {count} objects"),
            10,
            None,
            vec![
                Contender::new("kubectl get, kind after kind", one_by_one),
                Contender::new("kubectl get, kinds together", together),
                Contender::new("kf status", ours),
            ],
        )
    }

    fn begin_pods(&self) -> Result<()> {
        let print = format!(
            "BEGIN {{ for (i = 0; i < {LINES}; i++) printf \"%08d the quick brown fox jumps over the lazy dog and \
             trains a small model until it learns at last\\n\", i }}"
        );
        let serve = "mkdir -p /tmp/www; dd if=/dev/zero of=/tmp/www/large bs=1M count=64; echo small > /tmp/www/small; \
                     exec httpd -f -p 8888 -h /tmp/www";
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "long"},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": BUSYBOX, "command": ["awk", print]}],
                },
            },
            {
                "apiVersion": "kubeflow.org/v1", "kind": "Notebook", "metadata": {"name": "pages"},
                "spec": {"template": {"spec": {"containers": [
                    {"name": "pages", "image": BUSYBOX, "command": ["sh", "-c", serve]},
                ]}}},
            },
        ]});
        self.create(&objects)?;
        read_to_end(&mut self.kf(&["notebook", "start", "pages", "--wait"]))?;
        let ended = ["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/long", "--timeout=120s"];
        read_to_end(&mut self.kubectl(User::Admin, &ended)).map(drop)
    }

    fn logs(&self) -> Result<()> {
        let whole = |mut command: Command| expect(LOG_BYTES, read_to_end(&mut command)?);
        let theirs = || whole(self.peer(&["logs", "-f", "long"]));
        let ours = || whole(self.kf(&["logs", "pod/long", "-f"]));
        compare(
            &format!("a log of {} MB", LOG_BYTES / 1_000_000),
            3,
            Some(LOG_BYTES),
            vec![Contender::new("kubectl logs -f", theirs), Contender::new("kf logs -f", ours)],
        )
    }

    fn exec(&self) -> Result<()> {
        let file = self.namespace.directory().join("stdin");
        fs_err::write(&file, vec![b'x'; usize::try_from(STDIN_BYTES).unwrap_or_default()])?;
        let counted = |mut command: Command| {
            let text = text_of(command.stdin(File::open(&file)?.into_parts().0))?;
            expect(STDIN_BYTES, text.trim().parse().map_err(Error::other)?)
        };
        let theirs = || counted(self.peer(&["exec", "-i", "pages-0", "--", "wc", "-c"]));
        let ours = || counted(self.kf(&["run", "pod/pages-0", "--", "wc", "-c"]));
        compare(
            "10 MiB on the stdin of a command",
            5,
            Some(STDIN_BYTES),
            vec![Contender::new("kubectl exec -i", theirs), Contender::new("kf run", ours)],
        )
    }

    fn forward(&self) -> Result<()> {
        let theirs = Forward::start(self.peer(&["port-forward", "pod/pages-0", ":8888"]), "127.0.0.1:")?;
        let ours = Forward::start(self.kf(&["notebook", "open", "pages", "--no-browser"]), "localhost:")?;
        let (their_port, our_port) = (theirs.port, ours.port);
        let large = |port| expect_at_least(PAGE_BYTES, get(port, "/large")?);
        compare(
            "a page of 64 MiB through a forwarded port",
            5,
            Some(PAGE_BYTES),
            vec![
                Contender::new("kubectl port-forward", || large(their_port)),
                Contender::new("kf notebook open", || large(our_port)),
            ],
        )?;
        let (mut lost_by_them, mut lost_by_us) = (0, 0);
        compare(
            &format!("{PARALLEL_REQUESTS} requests at once through a forwarded port"),
            5,
            None,
            vec![
                Contender::new("kubectl port-forward", || {
                    lost_by_them += lost(their_port);
                    Ok(())
                }),
                Contender::new("kf notebook open", || {
                    lost_by_us += lost(our_port);
                    Ok(())
                }),
            ],
        )?;
        writeln!(std::io::stdout(), "  lost by kubectl {lost_by_them}, by kf {lost_by_us}")
    }
}

/// A program that forwards a port until it is dropped.
struct Forward {
    child: Child,
    port: u16,
}

impl Forward {
    /// Reads the port after `before` in the first line of output.
    fn start(mut command: Command, before: &str) -> Result<Self> {
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            stdout.read_line(&mut line)?;
            // kubectl prints a line for each connection, and exits if its stdout is closed.
            thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        }
        let digits = line.split_once(before).map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
        let port = digits.and_then(|mut parts| parts.next()?.parse().ok());
        let forward = Self { child, port: port.unwrap_or_default() };
        if port.is_none() {
            return Err(Error::other(format!("no port in `{}`", line.trim_end())));
        }
        Ok(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The number of bytes of a response.
fn get(port: u16, path: &str) -> Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    std::io::copy(&mut stream, &mut std::io::sink())
}

/// Sends many requests at once, and returns the number that failed.
fn lost(port: u16) -> usize {
    let asked: Vec<_> = (0..PARALLEL_REQUESTS).map(|_| thread::spawn(move || get(port, "/small"))).collect();
    let answers = asked.into_iter().map(thread::JoinHandle::join);
    answers.filter(|answer| !matches!(answer, Ok(Ok(1..)))).count()
}

/// Runs a program that must succeed, and returns the number of bytes it printed.
fn read_to_end(command: &mut Command) -> Result<u64> {
    let mut child = command.spawn()?;
    let mut bytes = 0;
    if let Some(mut stdout) = child.stdout.take() {
        bytes = std::io::copy(&mut stdout, &mut std::io::sink())?;
    }
    succeed(command, &mut child)?;
    Ok(bytes)
}

fn text_of(command: &mut Command) -> Result<String> {
    let mut child = command.spawn()?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    succeed(command, &mut child)?;
    Ok(text)
}

fn succeed(command: &Command, child: &mut Child) -> Result<()> {
    let status = child.wait()?;
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    if status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy();
    Err(Error::other(format!("`{program} {}` ended with {status}", words.join(" "))))
}

fn expect(wanted: u64, got: u64) -> Result<()> {
    if wanted == got { Ok(()) } else { Err(Error::other(format!("expected {wanted} bytes, got {got}"))) }
}

fn expect_at_least(wanted: u64, got: u64) -> Result<()> {
    if got >= wanted {
        Ok(())
    } else {
        Err(Error::other(format!("expected at least {wanted} bytes, got {got}")))
    }
}

fn template(name: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "3600"]}]},
    })
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": BUSYBOX}]},
    })
}

fn job(name: &str) -> Value {
    let mut template = template(name);
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("restartPolicy".to_owned(), json!("Never"));
    }
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": true, "template": template},
    })
}

fn replicated(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template(name)},
    })
}

fn train_job(name: &str) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": name},
        "spec": {"suspend": true, "runtimeRef": {"name": "kf-test"}},
    })
}
