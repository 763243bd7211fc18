//! One module for each supported version of the ABI, behind one dispatch.
//!
//! The WIT of a released version never changes, and neither does its module's interface. When there is a
//! newer version, the host functions of the old one forward to the new one.

mod since_0_1;

use std::collections::BTreeSet;

use kf_core::tree::{CommandTree, TreeError};
use semver::Version;
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store};

use crate::interface::Interface;
use crate::run::{Candidate, CompletionRequest, GuestError};
use crate::state::State;

/// A supported version.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Abi {
    Since0_1,
}

impl Abi {
    /// The implementation for components built for `version`; none if this kf does not run them.
    pub(crate) fn serving(version: &Version) -> Option<Self> {
        kf_core::abi::is_supported(version).then_some(Self::Since0_1)
    }

    /// Links the given interfaces, and no others.
    pub(crate) fn link(self, linker: &mut Linker<State>, interfaces: &BTreeSet<Interface>) -> Result<()> {
        match self {
            Self::Since0_1 => since_0_1::link(linker, interfaces),
        }
    }

    pub(crate) async fn instantiate(
        self,
        store: &mut Store<State>,
        component: &Component,
        linker: &Linker<State>,
    ) -> Result<Instance> {
        Ok(match self {
            Self::Since0_1 => {
                Instance::Since0_1(since_0_1::Command::instantiate_async(store, component, linker).await?)
            }
        })
    }
}

/// An instantiated guest: the exports of the world, with the host's own types.
pub(crate) enum Instance {
    Since0_1(since_0_1::Command),
}

impl Instance {
    pub(crate) async fn describe(&self, store: &mut Store<State>) -> Result<Result<CommandTree, TreeError>> {
        match self {
            Self::Since0_1(guest) => Ok(since_0_1::tree(guest.call_describe(store).await?)),
        }
    }

    pub(crate) async fn run(
        &self,
        store: &mut Store<State>,
        arguments: &[String],
    ) -> Result<Result<u8, GuestError>> {
        match self {
            Self::Since0_1(guest) => Ok(guest.call_run(store, arguments).await?.map_err(GuestError::from)),
        }
    }

    pub(crate) async fn complete(
        &self,
        store: &mut Store<State>,
        request: CompletionRequest,
    ) -> Result<Vec<Candidate>> {
        match self {
            Self::Since0_1(guest) => {
                let CompletionRequest { words, argument } = request;
                let request = since_0_1::CompletionRequest { words, argument };
                let candidates = guest.call_complete(store, &request).await?;
                let candidate = |c: since_0_1::Candidate| Candidate { value: c.value, help: c.help };
                Ok(candidates.into_iter().map(candidate).collect())
            }
        }
    }
}
