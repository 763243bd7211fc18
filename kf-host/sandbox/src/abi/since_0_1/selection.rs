//! The interface `selection`: the default namespace of later runs.

use kf_core::api::{ApiError, ErrorCode};
use wasmtime::Result;

use super::WitError;
use super::wit::selection::{Host, Selection};
use crate::state::State;

fn no_selection() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "this run cannot select a namespace")
}

impl Host for State {
    fn current(&mut self) -> Result<Result<Selection, WitError>> {
        self.call()?;
        let selected = self.selection.as_mut().ok_or_else(no_selection).and_then(|own| own.current());
        Ok(selected
            .map(|selected| Selection { namespace: selected.namespace, previous: selected.previous })
            .map_err(|error| self.return_error(error)))
    }

    fn select(&mut self, namespace: Option<String>) -> Result<Result<(), WitError>> {
        self.call()?;
        let selection = self.selection.as_mut().ok_or_else(no_selection);
        Ok(selection.and_then(|own| own.select(namespace)).map_err(|error| self.return_error(error)))
    }
}
