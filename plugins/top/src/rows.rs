//! The tables: one row per pod, or per workload.

use std::collections::{BTreeMap, BTreeSet};

use kf_plugin_sdk::Quantity;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Amounts, Measured, workload_of};
use serde::Serialize;

use crate::usage::{Requested, requested};

/// From this percentage of its memory limit on, a pod is about to be killed.
const NEAR_LIMIT_PERCENT: i128 = 90;

/// One pod.
#[derive(Clone, Debug, Serialize, TableRow)]
#[row(name = "format!(\"pod/{}\", self.pod)")]
pub(crate) struct PodUse {
    pod: String,
    #[column(title = "WORKLOAD")]
    component: String,
    #[serde(flatten)]
    #[column(skip)]
    amounts: Use,
    #[serde(skip)]
    #[column(title = "CPU")]
    cpu: Cell,
    #[serde(skip)]
    #[column(title = "CPU REQ/LIM")]
    cpu_requested: String,
    #[serde(skip)]
    #[column(title = "MEMORY")]
    memory: Cell,
    #[serde(skip)]
    #[column(title = "MEM REQ/LIM")]
    memory_requested: String,
    #[serde(skip)]
    #[column(title = "GPU")]
    gpus: String,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// The pods of a workload.
#[derive(Clone, Debug, Serialize, TableRow)]
#[row(name = "self.component.clone()")]
pub(crate) struct WorkloadUse {
    #[column(title = "WORKLOAD")]
    component: String,
    pods: usize,
    #[serde(flatten)]
    #[column(skip)]
    amounts: Use,
    #[serde(skip)]
    #[column(title = "CPU")]
    cpu: Cell,
    #[serde(skip)]
    #[column(title = "CPU REQ/LIM")]
    cpu_requested: String,
    #[serde(skip)]
    #[column(title = "MEMORY")]
    memory: Cell,
    #[serde(skip)]
    #[column(title = "MEM REQ/LIM")]
    memory_requested: String,
    #[serde(skip)]
    #[column(title = "GPU")]
    gpus: String,
    #[serde(skip)]
    #[column(title = "NODES", wide)]
    node_names: String,
    #[column(skip)]
    nodes: BTreeSet<String>,
}

/// Usage, requests and limits, in cores, bytes and devices.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Use {
    /// Null if unknown.
    used: Option<Amounts>,
    requests: Amounts,
    limits: Amounts,
    gpu: Quantity,
}

impl Use {
    /// The sum. Unknown usage makes it unknown.
    fn plus(self, other: Self) -> Self {
        Self {
            used: self.used.zip(other.used).map(|(left, right)| left + right),
            requests: self.requests + other.requests,
            limits: self.limits + other.limits,
            gpu: self.gpu + other.gpu,
        }
    }

    fn cpu(&self) -> Cell {
        match self.used {
            None => Cell::toned("unknown", Tone::Faint),
            Some(used) => Cell::toned(used.cpu.cores(), Tone::Plain),
        }
    }

    fn memory(&self) -> Cell {
        match self.used {
            None => Cell::toned("unknown", Tone::Faint),
            Some(used) => {
                let limit = self.limits.memory.value();
                let close = limit > 0 && used.memory.value() * 100 >= limit * NEAR_LIMIT_PERCENT;
                Cell::toned(used.memory.bytes(), if close { Tone::Bad } else { Tone::Plain })
            }
        }
    }

    fn cpu_requested(&self) -> String {
        request_and_limit(self.requests.cpu, self.limits.cpu, Quantity::cores)
    }

    fn memory_requested(&self) -> String {
        request_and_limit(self.requests.memory, self.limits.memory, Quantity::bytes)
    }

    fn gpus(&self) -> String {
        if self.gpu.is_zero() { String::new() } else { self.gpu.cores() }
    }

    /// The sort key: GPUs, then usage, then requests.
    fn size(&self) -> (Quantity, Quantity, Quantity) {
        let cpu = self.used.map_or(self.requests.cpu, |used| used.cpu);
        (self.gpu, cpu, self.requests.memory)
    }
}

fn request_and_limit(request: Quantity, limit: Quantity, write: impl Fn(Quantity) -> String) -> String {
    let one = |amount: Quantity| if amount.is_zero() { "-".to_owned() } else { write(amount) };
    format!("{}/{}", one(request), one(limit))
}

/// The rows of pods, largest first.
pub(crate) fn of_pods(pods: &[Object], measured: &Measured, training_jobs: &BTreeSet<String>) -> Vec<PodUse> {
    let mut rows: Vec<_> = pods
        .iter()
        .map(|pod| {
            let (mut kind, name) = workload_of(pod);
            if kind == "jobset" && training_jobs.contains(&name) {
                kind = "trainjob".to_owned();
            }
            let Requested { requests, limits, gpu } = requested(pod);
            let amounts = Use { used: measured.of(pod.name()), requests, limits, gpu };
            let node = pod.str("/spec/nodeName").map(str::to_owned);
            PodUse::new(pod.name().to_owned(), format!("{kind}/{name}"), node, amounts)
        })
        .collect();
    rows.sort_by(|left, right| {
        right.amounts.size().cmp(&left.amounts.size()).then_with(|| left.pod.cmp(&right.pod))
    });
    rows
}

impl PodUse {
    fn new(pod: String, component: String, node: Option<String>, amounts: Use) -> Self {
        Self {
            pod,
            component,
            node,
            amounts,
            cpu: amounts.cpu(),
            cpu_requested: amounts.cpu_requested(),
            memory: amounts.memory(),
            memory_requested: amounts.memory_requested(),
            gpus: amounts.gpus(),
        }
    }

    pub(crate) fn size(&self) -> (Quantity, Quantity, Quantity) {
        self.amounts.size()
    }

    /// The total, for the last row of the table.
    pub(crate) fn total(rows: &[Self]) -> Self {
        Self::new("total".to_owned(), String::new(), None, sum(rows.iter().map(|row| row.amounts)))
    }
}

impl WorkloadUse {
    pub(crate) fn size(&self) -> (Quantity, Quantity, Quantity) {
        self.amounts.size()
    }

    /// The rows of workloads, largest first.
    pub(crate) fn of(pods: Vec<PodUse>) -> Vec<Self> {
        let mut components: BTreeMap<String, (Vec<Use>, BTreeSet<String>)> = BTreeMap::new();
        for pod in pods {
            let (uses, nodes) = components.entry(pod.component).or_default();
            uses.push(pod.amounts);
            nodes.extend(pod.node);
        }
        let mut rows: Vec<_> = components
            .into_iter()
            .map(|(component, (uses, nodes))| {
                let amounts = sum(uses.iter().copied());
                Self {
                    component,
                    pods: uses.len(),
                    amounts,
                    cpu: amounts.cpu(),
                    cpu_requested: amounts.cpu_requested(),
                    memory: amounts.memory(),
                    memory_requested: amounts.memory_requested(),
                    gpus: amounts.gpus(),
                    node_names: nodes.iter().cloned().collect::<Vec<_>>().join(","),
                    nodes,
                }
            })
            .collect();
        rows.sort_by(|left, right| {
            right.amounts.size().cmp(&left.amounts.size()).then_with(|| left.component.cmp(&right.component))
        });
        rows
    }
}

fn sum(uses: impl Iterator<Item = Use>) -> Use {
    uses.reduce(Use::plus).unwrap_or_default()
}
