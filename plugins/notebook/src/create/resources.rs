use kf_plugin_sdk::manifest::{Amount, Devices, amounts};
use kf_plugin_sdk::prelude::*;

/// What a notebook's container may use; requests and limits are the same.
#[derive(clap::Args, Debug, Default, Describe)]
pub(crate) struct Resources {
    /// CPUs of a notebook, such as 2 or 500m
    #[arg(long, value_name = "AMOUNT", help_heading = "A notebook")]
    cpu: Option<Amount>,
    /// Memory of a notebook, such as 4Gi
    #[arg(long, value_name = "AMOUNT", help_heading = "A notebook")]
    memory: Option<Amount>,
    /// GPUs of a notebook; NAME=COUNT for others than nvidia.com/gpu
    #[arg(long, value_name = "COUNT", help_heading = "A notebook")]
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
