//! The same plugins in an index as krew keeps it: a manifest for each plugin in a git repository, which every user clones and
//! then fetches from.
//!
//! The repository has little history, and each manifest only one platform, as kf's components have: real indexes have more of
//! both.

use std::io::{BufWriter, Error, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kf_core::Digest;

use crate::catalog::Plugin;
use crate::succeed;

/// A bare repository with all manifests.
pub(crate) struct Index {
    folder: PathBuf,
}

impl Index {
    /// Creates it in `folder` with two versions of every plugin, each in one of this many commits, and packs it.
    pub(crate) fn create(folder: &Path, plugins: &[Plugin], commits: usize) -> Result<Self> {
        let index = Self { folder: folder.to_owned() };
        fs_err::create_dir_all(folder)?;
        succeed(git(folder).args(["init", "-q", "--bare", "--initial-branch=master", "."]))?;
        let releases: Vec<Vec<(&Plugin, &str)>> = ["0.1.0", "0.2.0"]
            .into_iter()
            .flat_map(|version| {
                let chunks = plugins.chunks(plugins.len().div_ceil(commits));
                chunks.map(move |chunk| chunk.iter().map(|plugin| (plugin, version)).collect())
            })
            .collect();
        index.commit(&releases)?;
        succeed(git(folder).args(["repack", "-adq"]))?;
        Ok(index)
    }

    /// A copy in another folder, with another version of one plugin.
    pub(crate) fn with_another_version(&self, folder: &Path, plugin: &Plugin) -> Result<Self> {
        succeed(Command::new("cp").arg("-a").arg(&self.folder).arg(folder))?;
        let index = Self { folder: folder.to_owned() };
        index.commit(&[vec![(plugin, "0.3.0")]])?;
        Ok(index)
    }

    fn commit(&self, commits: &[Vec<(&Plugin, &str)>]) -> Result<()> {
        let mut import = git(&self.folder).args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn()?;
        let stdin = import.stdin.take().ok_or_else(|| Error::other("git has no stdin"))?;
        let is_first =
            !self.folder.join("packed-refs").exists() && !self.folder.join("refs/heads/master").exists();
        let mut to = BufWriter::new(stdin);
        for (number, releases) in commits.iter().enumerate() {
            let message = format!("Publish {} plugins\n", releases.len());
            write!(
                to,
                "commit refs/heads/master\ncommitter bench <bench@example.org> {} +0000\ndata {}\n{message}",
                1_700_000_000 + number * 3600,
                message.len()
            )?;
            if number == 0 && !is_first {
                writeln!(to, "from refs/heads/master^0")?;
            }
            for (plugin, version) in releases {
                let text = manifest(plugin, version);
                write!(to, "M 100644 inline plugins/{}.yaml\ndata {}\n{text}\n", plugin.name, text.len())?;
            }
        }
        to.flush()?;
        drop(to);
        if import.wait()?.success() { Ok(()) } else { Err(Error::other("git fast-import failed")) }
    }
}

/// A manifest with the fields of krew's.
fn manifest(plugin: &Plugin, version: &str) -> String {
    let Plugin { name, summary, homepage, description, .. } = plugin;
    let sha256 = Digest::of(format!("{name} {version}").as_bytes());
    let description = description.replace('\n', "\n    ");
    format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\nkind: Plugin\nmetadata:\n  name: {name}\nspec:\n  \
         version: v{version}\n  homepage: {homepage}\n  shortDescription: {summary}\n  description: |\n    {description}\n  \
         platforms:\n  - uri: {homepage}/releases/download/v{version}/{name}.tar.gz\n    sha256: {sha256}\n    bin: {name}\n    \
         selector:\n      matchExpressions:\n      - key: os\n        operator: In\n        values: [darwin, linux, windows]\n"
    )
}

/// git without the user's configuration.
pub(crate) fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, value) in [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")] {
        git.env(name, value);
    }
    git
}

/// The repositories below a folder, over git's own protocol.
pub(crate) struct Server {
    /// The address of the folder.
    pub(crate) url: String,
    bytes: Arc<AtomicU64>,
}

impl Server {
    /// Starts a `git daemon` for each connection.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("git://{}", listener.local_addr()?);
        let bytes = Arc::new(AtomicU64::new(0));
        let base = format!("--base-path={}", folder.display());
        let (folder, counter) = (folder.to_owned(), Arc::clone(&bytes));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut daemon = git(&folder);
                daemon.args(["daemon", "--inetd", "--export-all", &base]);
                let counter = Arc::clone(&counter);
                let started = daemon.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
                // The client reports a connection that closes early.
                let _reported = started.and_then(|daemon| join(daemon, stream, counter));
            }
        });
        Ok(Self { url, bytes })
    }

    /// The bytes in both directions since the last call.
    pub(crate) fn taken(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

/// Copies between a daemon and its client in the background, and counts.
fn join(mut daemon: Child, stream: TcpStream, counter: Arc<AtomicU64>) -> Result<()> {
    let missing = || Error::other("git daemon has no stdin or stdout");
    let (stdin, stdout): (ChildStdin, ChildStdout) =
        (daemon.stdin.take().ok_or_else(missing)?, daemon.stdout.take().ok_or_else(missing)?);
    let (from_client, count) = (stream.try_clone()?, Arc::clone(&counter));
    thread::spawn(move || copy(from_client, stdin, &count));
    thread::spawn(move || {
        let _gone = copy(stdout, &stream, &counter);
        let _gone = stream.shutdown(Shutdown::Both);
        let _ended = daemon.wait();
    });
    Ok(())
}

/// Copies until the end. Bytes are counted before they are passed on, so that none is missing when the client ends.
fn copy(mut from: impl Read, mut to: impl Write, counter: &AtomicU64) -> Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        counter.fetch_add(read as u64, Ordering::SeqCst);
        to.write_all(bytes)?;
    }
}
