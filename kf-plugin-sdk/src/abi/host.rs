//! The host interface, as traits.

use std::any::Any;

use serde_json::Value;

use super::*;
use crate::error::Result;
use crate::ui::{Column, Format, Row};

/// A watch on a selection.
pub trait WatchSource {
    /// Blocks until there are events; empty at the end.
    fn next(&self) -> Result<Vec<Event>>;
    fn subscribe(&self) -> Pollable;
}

/// The log of one container.
pub trait LogSource {
    /// Blocks until there are bytes; empty at the end.
    fn next(&self) -> Result<Vec<u8>>;
    fn subscribe(&self) -> Pollable;
    #[doc(hidden)]
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A log that is copied to stdout.
pub trait ForwardSource {
    fn subscribe(&self) -> Pollable;
    /// Blocks until the end and returns the number of bytes copied.
    fn finish(&self) -> Result<u64>;
}

/// A process in a container that the command talks to.
pub trait ProcessSource {
    /// Blocks until there is output.
    fn next(&self) -> Result<Output>;
    fn subscribe(&self) -> Pollable;
    fn write(&self, data: &[u8]) -> Result<()>;
    fn close_stdin(&self) -> Result<()>;
}

/// Forwarded ports, bound until dropped.
pub trait PortForwardSource {
    fn ports(&self) -> Vec<Port>;
    fn subscribe(&self) -> Pollable;
    /// Blocks until it has ended.
    fn finish(&self) -> Result<()>;
    fn open_page(&self, path: &str) -> Result<bool>;
}

/// A live table.
pub trait LiveSink {
    fn update(&self, rows: &[Row]) -> Result<()>;
}

/// A progress indicator.
pub trait ProgressSink {
    fn set(&self, label: &str, done: u64);
}

/// The host of a command.
pub trait Host {
    fn context(&self) -> Context;
    /// The words that the user typed after `kf`.
    fn command_line(&self) -> Vec<String>;

    /// The time in milliseconds since 1970.
    fn now(&self) -> u64;
    fn after(&self, milliseconds: u64) -> Pollable;
    fn wait(&self, pollables: &[&Pollable]) -> Vec<usize>;

    fn get(&self, object: &ObjectRef) -> Result<Value>;
    fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page>;
    fn get_many(&self, objects: &[ObjectRef]) -> Vec<Result<Value>>;
    fn list_many(&self, what: &[Selection], limit: Option<u32>) -> Vec<Result<Page>>;
    fn create(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value>;
    fn apply(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value>;
    fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value>;
    fn delete(&self, object: &ObjectRef, options: &DeleteOptions) -> Result<()>;
    fn open_watch(&self, what: &Selection, resource_version: &str) -> Result<Box<dyn WatchSource>>;
    fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>>;
    fn whoami(&self) -> Result<Identity>;
    fn discover(&self, group: &str) -> Result<Vec<ServedKind>>;

    fn open_log(
        &self,
        namespace: Option<&str>,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Box<dyn LogSource>>;
    fn forward(&self, log: Box<dyn LogSource>, prefix: Option<&str>) -> Result<Box<dyn ForwardSource>>;

    fn exec(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<i32>;
    fn attach(&self, namespace: Option<&str>, pod: &str, options: &SessionOptions) -> Result<i32>;
    fn start(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<Box<dyn ProcessSource>>;
    fn open_port_forward(
        &self,
        namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Box<dyn PortForwardSource>>;
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse>;

    fn selected(&self) -> Result<Selected>;
    fn select(&self, namespace: Option<&str>) -> Result<()>;

    fn read_file(&self, path: &str) -> Result<Vec<u8>>;
    fn walk(&self, directory: &str, skip: &[String]) -> Result<FileTree>;
    fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>>;

    fn output_format(&self) -> Format;
    fn print(&self, data: &[u8]) -> Result<()>;
    fn note(&self, text: &str);
    fn warn(&self, text: &str);
    fn table(&self, columns: &[Column], rows: &[Row]) -> Result<()>;
    fn record(&self, fields: &[Column], value: &Row) -> Result<()>;
    fn live_table(&self, columns: &[Column]) -> Box<dyn LiveSink>;
    fn progress(&self, label: &str, total: Option<u64>) -> Box<dyn ProgressSink>;
    fn confirm(&self, question: &str, default: bool) -> bool;
    fn ask(&self, question: &str) -> Option<String>;
}

/// A handle to the host.
///
/// In WebAssembly it is the ABI itself, without a vtable: functions that a command never calls are not
/// linked, so the component imports only what it uses.
#[cfg(target_arch = "wasm32")]
pub type HostHandle = crate::guest::Abi;

/// A handle to the host in a native test.
#[cfg(not(target_arch = "wasm32"))]
pub type HostHandle = std::rc::Rc<dyn Host>;
