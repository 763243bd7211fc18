use kf_plugin_sdk::manifest::{Amount, Devices, amounts};
use kf_plugin_sdk::prelude::*;

/// The resources of a notebook's container; requests and limits are equal.
#[derive(clap::Args, Debug, Default, Describe)]
pub(crate) struct Resources {
    /// CPUs, such as 2 or 500m
    #[arg(long, value_name = "AMOUNT", help_heading = "Notebook")]
    cpu: Option<Amount>,
    /// Memory, such as 4Gi
    #[arg(long, value_name = "AMOUNT", help_heading = "Notebook")]
    memory: Option<Amount>,
    /// GPUs; NAME=COUNT for resources other than nvidia.com/gpu
    #[arg(long, value_name = "COUNT", help_heading = "Notebook")]
    gpu: Option<Devices>,
}

impl Resources {
    pub(crate) fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.gpu.is_none()
    }

    /// By resource name.
    pub(crate) fn amounts(&self) -> Vec<(String, String)> {
        amounts(self.cpu.as_ref(), self.memory.as_ref(), self.gpu.as_ref())
    }
}
