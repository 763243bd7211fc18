//! What a person sees: one line a pod, or one a component.

use std::collections::{BTreeMap, BTreeSet};

use kf_plugin_sdk::Quantity;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Amounts, Measured, component_of};
use serde::Serialize;

use crate::usage::{Asked, asked};

/// Above this share of its limit of memory a pod is close to being killed, in percent.
const CLOSE: i128 = 90;

/// One pod.
#[derive(Clone, Debug, Serialize, TableRow)]
#[row(name = "format!(\"pod/{}\", self.pod)")]
pub(crate) struct PodUse {
    pod: String,
    component: String,
    #[serde(flatten)]
    #[column(skip)]
    amounts: Use,
    #[serde(skip)]
    #[column(title = "CPU")]
    cpu: Cell,
    #[serde(skip)]
    #[column(title = "CPU REQ/LIM")]
    cpu_asked: String,
    #[serde(skip)]
    #[column(title = "MEMORY")]
    memory: Cell,
    #[serde(skip)]
    #[column(title = "MEM REQ/LIM")]
    memory_asked: String,
    #[serde(skip)]
    #[column(title = "GPU")]
    gpus: String,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// All pods of a component.
#[derive(Clone, Debug, Serialize, TableRow)]
#[row(name = "self.component.clone()")]
pub(crate) struct ComponentUse {
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
    cpu_asked: String,
    #[serde(skip)]
    #[column(title = "MEMORY")]
    memory: Cell,
    #[serde(skip)]
    #[column(title = "MEM REQ/LIM")]
    memory_asked: String,
    #[serde(skip)]
    #[column(title = "GPU")]
    gpus: String,
    #[serde(skip)]
    #[column(title = "NODES", wide)]
    node_names: String,
    #[column(skip)]
    nodes: BTreeSet<String>,
}

/// What is used, asked for and allowed; in cores, bytes and devices.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Use {
    /// Null where it is unknown.
    used: Option<Amounts>,
    requests: Amounts,
    limits: Amounts,
    gpu: Quantity,
}

impl Use {
    /// Unknown use stays unknown, also in a sum.
    fn plus(self, other: Self) -> Self {
        Self {
            used: self.used.zip(other.used).map(|(one, another)| one + another),
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
                let close = limit > 0 && used.memory.value() * 100 >= limit * CLOSE;
                Cell::toned(used.memory.bytes(), if close { Tone::Bad } else { Tone::Plain })
            }
        }
    }

    fn cpu_asked(&self) -> String {
        asked_of(self.requests.cpu, self.limits.cpu, Quantity::cores)
    }

    fn memory_asked(&self) -> String {
        asked_of(self.requests.memory, self.limits.memory, Quantity::bytes)
    }

    fn gpus(&self) -> String {
        if self.gpu.is_zero() { String::new() } else { self.gpu.cores() }
    }

    /// The largest first: by GPUs, then what is used, then what is asked for.
    fn size(&self) -> (Quantity, Quantity, Quantity) {
        let cpu = self.used.map_or(self.requests.cpu, |used| used.cpu);
        (self.gpu, cpu, self.requests.memory)
    }
}

fn asked_of(request: Quantity, limit: Quantity, write: impl Fn(Quantity) -> String) -> String {
    let one = |amount: Quantity| if amount.is_zero() { "-".to_owned() } else { write(amount) };
    format!("{}/{}", one(request), one(limit))
}

/// The largest first.
pub(crate) fn of_pods(pods: &[Object], measured: &Measured, training_jobs: &BTreeSet<String>) -> Vec<PodUse> {
    let mut rows: Vec<_> = pods
        .iter()
        .map(|pod| {
            let (mut kind, name) = component_of(pod);
            if kind == "jobset" && training_jobs.contains(&name) {
                kind = "trainjob".to_owned();
            }
            let Asked { requests, limits, gpu } = asked(pod);
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
            cpu_asked: amounts.cpu_asked(),
            memory: amounts.memory(),
            memory_asked: amounts.memory_asked(),
            gpus: amounts.gpus(),
        }
    }

    pub(crate) fn size(&self) -> (Quantity, Quantity, Quantity) {
        self.amounts.size()
    }

    /// The last line of a table for people.
    pub(crate) fn total(rows: &[Self]) -> Self {
        Self::new("total".to_owned(), String::new(), None, sum(rows.iter().map(|row| row.amounts)))
    }
}

impl ComponentUse {
    pub(crate) fn size(&self) -> (Quantity, Quantity, Quantity) {
        self.amounts.size()
    }

    /// The largest first.
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
                    cpu_asked: amounts.cpu_asked(),
                    memory: amounts.memory(),
                    memory_asked: amounts.memory_asked(),
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
