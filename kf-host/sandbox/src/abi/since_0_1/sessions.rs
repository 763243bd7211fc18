//! Sessions in containers and forwarded ports: not in this version.

use wasmtime::Result;
use wasmtime::component::Resource;

use super::wit::sessions::{Host, HostPortForward, Port, SessionOptions};
use super::{WitError, wit};
use crate::poll::Pollable;
use crate::state::State;

/// There is none, and no way to make one.
pub enum PortForward {}

fn unsupported() -> WitError {
    wit::types::Error {
        code: wit::types::ErrorCode::Unsupported,
        message: "sessions are not in this version of kf".to_owned(),
        hint: None,
    }
}

impl Host for State {
    fn exec(
        &mut self,
        _: Option<String>,
        _: String,
        _: Vec<String>,
        _: SessionOptions,
    ) -> Result<Result<i32, WitError>> {
        self.call()?;
        Ok(Err(unsupported()))
    }

    fn attach(&mut self, _: Option<String>, _: String, _: SessionOptions) -> Result<Result<i32, WitError>> {
        self.call()?;
        Ok(Err(unsupported()))
    }

    fn open_port_forward(
        &mut self,
        _: Option<String>,
        _: String,
        _: Vec<Port>,
    ) -> Result<Result<Resource<PortForward>, WitError>> {
        self.call()?;
        Ok(Err(unsupported()))
    }
}

impl HostPortForward for State {
    fn ports(&mut self, this: Resource<PortForward>) -> Result<Vec<Port>> {
        match *self.table.get(&this)? {}
    }

    fn subscribe(&mut self, this: Resource<PortForward>) -> Result<Resource<Pollable>> {
        match *self.table.get(&this)? {}
    }

    fn finish(&mut self, this: Resource<PortForward>) -> Result<Result<(), WitError>> {
        match *self.table.get(&this)? {}
    }

    fn drop(&mut self, this: Resource<PortForward>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
