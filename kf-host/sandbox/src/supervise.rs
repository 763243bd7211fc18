//! Supervises a run from the caller's thread: epochs, the wall clock and Ctrl-C.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, Abortable, Aborted};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use wasmtime::Engine;

use crate::fault::{Fault, Limit, Which};
use crate::limits::Limits;
use crate::output::SharedOutput;
use crate::state::Meter;

/// How often guest code is interrupted for checks. Ctrl-C and the wall clock are independent of it.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// How long a stopped run can take to release the terminal before it is abandoned.
const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Whether the run was stopped.
pub(crate) type StopHandle = AbortHandle;

/// What supervising a run needs.
pub(crate) struct Supervised {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    /// Present if the guest can wait.
    pub(crate) runtime: Option<Runtime>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) output: SharedOutput,
}

/// A runtime with one thread.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Host(format!("cannot start an async runtime: {error}")))
}

/// Runs `work` on its own thread until it is done or must be stopped. The rest of its result is
/// dropped on that thread after the answer was sent.
pub(crate) fn supervise<T, L, F>(
    supervised: Supervised,
    work: impl FnOnce(StopHandle) -> F + Send + 'static,
) -> Result<T, Fault>
where
    T: Send + 'static,
    F: Future<Output = (Result<T, Fault>, L)>,
{
    let Supervised { engine, limits, runtime, meter, output } = supervised;
    let wall = limits.wall;
    let started = Instant::now();
    let (abort, registration) = AbortHandle::new_pair();
    let stop = abort.clone();
    let (sender, receiver) = if runtime.is_some() {
        let (sender, receiver) = oneshot::channel();
        (AnswerSender::Async(sender), AnswerReceiver::Async(receiver, CtrlC::new()?))
    } else {
        let (sender, receiver) = mpsc::sync_channel(1);
        (AnswerSender::Sync(sender), AnswerReceiver::Sync(receiver))
    };
    let (screen, terminal) = (output.clone(), output.clone());
    let guest = move || {
        let metered = Metered { work: Box::pin(work(stop)), meter, limits, waiting: None, output };
        let future = Abortable::new(metered, registration);
        let done = match &runtime {
            Some(runtime) => runtime.block_on(future),
            None => block_on(future),
        };
        match done {
            Ok((result, left)) => {
                sender.send(result);
                drop(left);
            }
            Err(Aborted) => {
                let _ = screen.lock().close();
                drop(sender);
            }
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    };
    std::thread::Builder::new()
        .name("guest".to_owned())
        .spawn(guest)
        .map_err(|error| Fault::Host(format!("cannot start a thread: {error}")))?;
    let end = |fault: Fault| {
        abort.abort();
        engine.increment_epoch();
        fault
    };
    let overdue = Fault::Limit {
        limit: Limit { which: Which::Wall, value: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) },
    };
    match receiver {
        AnswerReceiver::Sync(receiver) => {
            // Most such guests finish before the first tick; the others can be interrupted.
            let mut interrupted = None;
            loop {
                let left = wall.saturating_sub(started.elapsed());
                match receiver.recv_timeout(TICK.min(left)) {
                    Ok(answer) => return answer,
                    Err(RecvTimeoutError::Disconnected) => return Err(no_answer()),
                    Err(RecvTimeoutError::Timeout) if started.elapsed() >= wall => {
                        let fault = end(overdue);
                        let _ = receiver.recv_timeout(GRACE_PERIOD);
                        return Err(fault);
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if interrupted.get_or_insert_with(interrupt_flag).load(Ordering::Relaxed) {
                            terminal.interrupted();
                            let fault = end(Fault::Interrupted);
                            let _ = receiver.recv_timeout(GRACE_PERIOD);
                            return Err(fault);
                        }
                        engine.increment_epoch();
                    }
                }
            }
        }
        AnswerReceiver::Async(mut receiver, CtrlC { runtime, mut interrupt }) => runtime.block_on(async {
            let mut ticks = tokio::time::interval(TICK);
            let deadline = tokio::time::sleep(wall);
            let mut deadline = std::pin::pin!(deadline);
            let fault = loop {
                tokio::select! {
                    biased;
                    answer = &mut receiver => return answer.unwrap_or_else(|_| Err(no_answer())),
                    Some(()) = interrupt.recv() => {
                        terminal.interrupted();
                        break end(Fault::Interrupted);
                    }
                    () = &mut deadline => break end(overdue),
                    _ = ticks.tick() => engine.increment_epoch(),
                }
            };
            let _ = tokio::time::timeout(GRACE_PERIOD, receiver).await;
            Err(fault)
        }),
    }
}

/// Installs a handler that sets the returned flag at the first Ctrl-C.
fn interrupt_flag() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let watching = move || {
        let Ok(runtime) = runtime() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    };
    // Without the thread, Ctrl-C ends the process.
    let _thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(watching);
    interrupted
}

fn no_answer() -> Fault {
    Fault::Host("the run's thread ended without an answer".to_owned())
}

enum AnswerSender<T> {
    Sync(mpsc::SyncSender<T>),
    Async(oneshot::Sender<T>),
}

enum AnswerReceiver<T> {
    Sync(mpsc::Receiver<T>),
    Async(oneshot::Receiver<T>, CtrlC),
}

/// A handler of Ctrl-C, installed before the guest's first instruction.
struct CtrlC {
    runtime: Runtime,
    interrupt: Signal,
}

impl CtrlC {
    fn new() -> Result<Self, Fault> {
        let runtime = runtime()?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())
            .map_err(|error| Fault::Host(format!("cannot handle Ctrl-C: {error}")))?;
        drop(entered);
        Ok(Self { runtime, interrupt })
    }
}

impl<T> AnswerSender<T> {
    /// Sends the answer, unless the receiver was dropped.
    fn send(self, answer: T) {
        match self {
            Self::Sync(sender) => drop(sender.send(answer)),
            Self::Async(sender) => drop(sender.send(answer)),
        }
    }
}

/// Measures when a run waits, that is, when it is pending for another reason than a tick. Waiting pays back used time
/// and calls, and flushes the output.
struct Metered<F> {
    work: Pin<Box<F>>,
    meter: Arc<Meter>,
    limits: Limits,
    /// The start of the wait.
    waiting: Option<Instant>,
    output: SharedOutput,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(since) = self.waiting.take() {
            self.meter.waited(since.elapsed(), &self.limits);
        }
        let poll = self.work.as_mut().poll(cx);
        if poll.is_pending() && !self.meter.yielded.swap(false, Ordering::Relaxed) {
            self.waiting = Some(Instant::now());
            // An error of stdout is reported at the next write or at the end.
            let _ = self.output.lock().flush();
        }
        poll
    }
}

/// Drives a future that needs no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
