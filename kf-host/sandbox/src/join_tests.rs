//! Sessions joined to a recording terminal.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::stream;
use kf_core::api::SessionEnded;
use kf_core::ui::Silent;

use super::*;
use crate::limits::Limits;

/// The receiving end of a session's input.
struct Received(tokio::sync::mpsc::Sender<SessionInput>);

#[async_trait]
impl SessionWriter for Received {
    async fn send(&self, input: SessionInput) -> Result<(), SessionEnded> {
        self.0.send(input).await.map_err(|_| SessionEnded)
    }
}

#[derive(Default)]
struct Recorded {
    written: Mutex<Vec<(Stream, bool, Vec<u8>)>>,
    is_raw: Arc<AtomicBool>,
    was_raw: AtomicBool,
    typed: Mutex<Vec<Vec<u8>>>,
    closed: bool,
}

struct Raw(Arc<AtomicBool>);

impl Drop for Raw {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Terminal for Recorded {
    fn is_interactive(&self) -> bool {
        true
    }

    fn size(&self) -> Option<TerminalSize> {
        Some(TerminalSize { columns: 80, rows: 24 })
    }

    fn raw(&self) -> io::Result<Box<dyn Send>> {
        self.is_raw.store(true, Ordering::SeqCst);
        self.was_raw.store(true, Ordering::SeqCst);
        Ok(Box::new(Raw(Arc::clone(&self.is_raw))))
    }

    fn input(&self) -> io::Result<Input> {
        let typed: Vec<_> = self.typed.lock().unwrap().drain(..).map(Ok).collect();
        Ok(Input { chunks: stream::iter(typed).boxed(), held: Box::new(()) })
    }

    fn write(&self, stream: Stream, raw: bool, data: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.written.lock().unwrap().push((stream, raw, data.to_vec()));
        Ok(())
    }

    fn open_page(&self, _: &str) -> bool {
        false
    }
}

fn out(data: &'static str) -> Result<SessionOutput, ApiError> {
    Ok(SessionOutput::Stdout(data.into()))
}

const TTY: Joining = Joining { stdin: true, tty: true, redraw: false };
const PIPE: Joining = Joining { stdin: true, tty: false, redraw: false };

/// Joins a session that sends `sends` once it has received `receives` inputs.
async fn joined(
    terminal: &Arc<Recorded>,
    joining: Joining,
    receives: usize,
    sends: Vec<Result<SessionOutput, ApiError>>,
) -> (Result<i32, JoinError>, Vec<SessionInput>) {
    let (input, mut received) = tokio::sync::mpsc::channel(1);
    let input = Arc::new(Received(input));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sent = stream::once(async move {
        let mut all = Vec::new();
        while all.len() < receives {
            all.extend(received.recv().await);
        }
        sender.send(all).unwrap();
        stream::iter(sends)
    });
    let session = Session { output: sent.flatten().boxed(), input };
    let output = SharedOutput::new(Box::new(Silent), &Limits::default());
    let result = join(session, Arc::clone(terminal) as Arc<dyn Terminal>, joining, &output).await;
    (result, receiver.await.unwrap_or_default())
}

#[tokio::test]
async fn terminal_session_is_raw_and_unfiltered() {
    let terminal = Arc::new(Recorded { typed: Mutex::new(vec![b"\x03".to_vec()]), ..Recorded::default() });
    let sends = vec![out("\x1b[2J"), Ok(SessionOutput::Exited(3))];
    let (code, inputs) = joined(&terminal, TTY, 3, sends).await;
    assert_eq!(code.unwrap(), 3);
    let size = TerminalSize { columns: 80, rows: 24 };
    assert_eq!(inputs[0], SessionInput::Resize(size));
    assert_eq!(inputs[1..], [SessionInput::Data("\x03".into()), SessionInput::End]);
    assert_eq!(*terminal.written.lock().unwrap(), [(Stream::Stdout, true, b"\x1b[2J".to_vec())]);
    assert!(!terminal.is_raw.load(Ordering::SeqCst));
}

#[tokio::test]
async fn piped_session_is_not_raw_and_has_no_size() {
    let terminal = Arc::new(Recorded { typed: Mutex::new(vec![b"data".to_vec()]), ..Recorded::default() });
    let err = Ok(SessionOutput::Stderr("oops".into()));
    let (code, inputs) = joined(&terminal, PIPE, 2, vec![err, Ok(SessionOutput::Exited(0))]).await;
    assert_eq!(code.unwrap(), 0);
    assert_eq!(inputs, [SessionInput::Data("data".into()), SessionInput::End]);
    assert_eq!(*terminal.written.lock().unwrap(), [(Stream::Stderr, false, b"oops".to_vec())]);
}

#[tokio::test]
async fn session_without_stdin_reads_nothing() {
    let terminal = Arc::new(Recorded { typed: Mutex::new(vec![b"mine".to_vec()]), ..Recorded::default() });
    let joining = Joining { stdin: false, ..PIPE };
    let (code, _) = joined(&terminal, joining, 0, vec![Ok(SessionOutput::Exited(0))]).await;
    assert_eq!(code.unwrap(), 0);
    assert_eq!(terminal.typed.lock().unwrap().len(), 1);
}

/// In a raw terminal without a reader, Ctrl-C would have no effect.
#[tokio::test]
async fn session_without_stdin_is_not_raw_and_filtered() {
    let terminal = Arc::new(Recorded::default());
    let joining = Joining { stdin: false, ..TTY };
    let sends = vec![out("\x1b[2J"), Ok(SessionOutput::Exited(0))];
    let (code, inputs) = joined(&terminal, joining, 1, sends).await;
    assert_eq!(code.unwrap(), 0);
    assert!(matches!(inputs[..], [SessionInput::Resize(_)]), "{inputs:?}");
    assert_eq!(*terminal.written.lock().unwrap(), [(Stream::Stdout, false, b"\x1b[2J".to_vec())]);
    assert!(!terminal.was_raw.load(Ordering::SeqCst));
}

#[tokio::test]
async fn attach_redraws_the_screen() {
    let terminal = Arc::new(Recorded::default());
    let joining = Joining { redraw: true, ..TTY };
    let (_, inputs) = joined(&terminal, joining, 2, vec![Ok(SessionOutput::Exited(0))]).await;
    let rows: Vec<u16> = inputs
        .iter()
        .map(|input| if let SessionInput::Resize(size) = input { size.rows } else { 0 })
        .collect();
    assert_eq!(rows, [25, 24]);
}

#[tokio::test]
async fn every_end_restores_the_terminal() {
    let broken = ApiError::new(ErrorCode::Unreachable, "broken");
    for sends in [vec![Err(broken)], vec![]] {
        let terminal = Arc::new(Recorded::default());
        assert!(matches!(joined(&terminal, TTY, 0, sends).await.0, Err(JoinError::Session(_))));
        assert!(!terminal.is_raw.load(Ordering::SeqCst));
    }
    let terminal = Arc::new(Recorded { closed: true, ..Recorded::default() });
    let (result, _) = joined(&terminal, TTY, 0, vec![out("x")]).await;
    assert!(matches!(result, Err(JoinError::Output(OutputError::Stop(crate::Fault::OutputClosed)))));
    // Ctrl-C from elsewhere drops the future.
    let terminal = Arc::new(Recorded::default());
    {
        let waiting = joined(&terminal, TTY, usize::MAX, Vec::new());
        let limit = Duration::from_millis(20);
        assert!(tokio::time::timeout(limit, waiting).await.is_err());
    }
    assert!(!terminal.is_raw.load(Ordering::SeqCst));
}

/// Joins a session that prints a prompt, reads nothing and never ends.
async fn joined_to_unresponsive(terminal: &Arc<Recorded>, joining: Joining) -> Result<i32, JoinError> {
    let (input, _received) = tokio::sync::mpsc::channel(1);
    let output = stream::iter([out("Password: ")]).chain(stream::pending());
    let session = Session { output: output.boxed(), input: Arc::new(Received(input)) };
    let output = SharedOutput::new(Box::new(Silent), &Limits::default());
    join(session, Arc::clone(terminal) as Arc<dyn Terminal>, joining, &output).await
}

#[tokio::test]
async fn user_leaves_session_that_reads_no_keys() {
    let ways: [&[&[u8]]; 3] = [&[b"~", b"."], &[b"\x03", b"\x03", b"\x03"], &[b"\x1b[99;5u", b"\x03\x03"]];
    for typed in ways {
        let typed = typed.iter().map(|chunk| chunk.to_vec()).collect();
        let terminal = Arc::new(Recorded { typed: Mutex::new(typed), ..Recorded::default() });
        assert!(matches!(joined_to_unresponsive(&terminal, TTY).await, Err(JoinError::Left)));
        assert!(terminal.was_raw.load(Ordering::SeqCst) && !terminal.is_raw.load(Ordering::SeqCst));
    }
}

/// Otherwise output would follow kf's last message, and set modes of the terminal again.
#[test]
fn output_is_not_written_after_user_has_left() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let terminal = Arc::new(Recorded { typed: Mutex::new(vec![b"~.".to_vec()]), ..Recorded::default() });
    runtime.block_on(async {
        // The only thread that could write is busy until the user has left.
        let (left, busy) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || busy.recv().unwrap_err());
        tokio::time::pause();
        let time = async {
            loop {
                tokio::time::advance(WRITE_TIMEOUT).await;
            }
        };
        tokio::select! {
            ended = joined_to_unresponsive(&terminal, TTY) => assert!(matches!(ended, Err(JoinError::Left))),
            _ = time => {}
        }
        drop(left);
        busy.await.unwrap();
        // Blocking tasks run in order.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    });
    assert_eq!(*terminal.written.lock().unwrap(), []);
}

/// A terminal whose writes end only once its keys are no longer read.
#[derive(Default)]
struct Slow {
    is_writing: Arc<tokio::sync::Notify>,
    is_left: Arc<(Mutex<bool>, std::sync::Condvar)>,
    events: Arc<Mutex<Vec<&'static str>>>,
}

struct Dropped<F: FnMut()>(F);

impl<F: FnMut()> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Terminal for Slow {
    fn is_interactive(&self) -> bool {
        true
    }

    fn size(&self) -> Option<TerminalSize> {
        None
    }

    fn raw(&self) -> io::Result<Box<dyn Send>> {
        let events = Arc::clone(&self.events);
        Ok(Box::new(Dropped(move || events.lock().unwrap().push("restored"))))
    }

    fn input(&self) -> io::Result<Input> {
        let (is_writing, is_left) = (Arc::clone(&self.is_writing), Arc::clone(&self.is_left));
        let typed = stream::once(async move {
            is_writing.notified().await;
            Ok(b"~.".to_vec())
        });
        let held = Dropped(move || {
            *is_left.0.lock().unwrap() = true;
            is_left.1.notify_all();
        });
        Ok(Input { chunks: typed.boxed(), held: Box::new(held) })
    }

    fn write(&self, _: Stream, _: bool, data: &[u8]) -> io::Result<()> {
        if data != b"\r\n" {
            self.is_writing.notify_one();
            let (is_left, changed) = &*self.is_left;
            drop(changed.wait_while(is_left.lock().unwrap(), |is_left| !*is_left).unwrap());
        }
        self.events.lock().unwrap().push(if data == b"\r\n" { "ended line" } else { "wrote" });
        Ok(())
    }

    fn open_page(&self, _: &str) -> bool {
        false
    }
}

#[tokio::test]
async fn terminal_is_restored_after_current_write() {
    let slow = Arc::new(Slow::default());
    let (input, _received) = tokio::sync::mpsc::channel(1);
    let output = stream::repeat_with(|| out("Password: "));
    let session = Session { output: output.boxed(), input: Arc::new(Received(input)) };
    let output = SharedOutput::new(Box::new(Silent), &Limits::default());
    let left = join(session, Arc::clone(&slow) as Arc<dyn Terminal>, TTY, &output).await;
    assert!(matches!(left, Err(JoinError::Left)));
    assert_eq!(*slow.events.lock().unwrap(), ["wrote", "ended line", "restored"]);
}

/// A container can make the terminal send replies, which are never read.
#[tokio::test]
async fn user_leaves_session_that_floods_input() {
    let answers = vec![b"\x1b[?62;22c".repeat(8 << 10); 100];
    let typed = answers.into_iter().chain([b"\r~.".to_vec()]).collect();
    let terminal = Arc::new(Recorded { typed: Mutex::new(typed), ..Recorded::default() });
    assert!(matches!(joined_to_unresponsive(&terminal, TTY).await, Err(JoinError::Left)));
}

/// Piped input is data: `~.` in it does not leave.
#[tokio::test]
async fn piped_data_does_not_leave_session() {
    let data = b"~.\n\x03\x03\x03".to_vec();
    let terminal = Arc::new(Recorded { typed: Mutex::new(vec![data.clone()]), ..Recorded::default() });
    let (code, inputs) = joined(&terminal, PIPE, 2, vec![Ok(SessionOutput::Exited(0))]).await;
    assert_eq!(code.unwrap(), 0);
    assert_eq!(inputs, [SessionInput::Data(data.into()), SessionInput::End]);
}

#[tokio::test]
async fn large_paste_is_sent_completely() {
    let chunks: Vec<Vec<u8>> = (0..64u8).map(|n| vec![b'a' + n % 26; 64 << 10]).collect();
    let whole = chunks.concat();
    let terminal = Arc::new(Recorded { typed: Mutex::new(chunks), ..Recorded::default() });
    let (_, inputs) = joined(&terminal, TTY, 66, vec![Ok(SessionOutput::Exited(0))]).await;
    let data = |input: &SessionInput| match input {
        SessionInput::Data(data) => data.to_vec(),
        _ => Vec::new(),
    };
    assert!(inputs.iter().flat_map(data).collect::<Vec<u8>>() == whole);
}
