use std::collections::BTreeMap;
use std::ops::Add;

use serde::Serialize;
use serde_json::Value;

use crate::abi::Kind;
use crate::error::{ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};
use crate::quantity::Quantity;

/// An amount of CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// In cores.
    pub cpu: Quantity,
    /// In bytes.
    pub memory: Quantity,
}

impl Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }
}

/// The resource usage of pods from the metrics server, or why it is missing. Needs `list` on `pods.metrics.k8s.io`,
/// which the manifest should request as optional.
#[derive(Clone, Debug)]
pub enum Measured {
    /// The usage by pod name.
    Pods(BTreeMap<String, Amounts>),
    /// The cluster has no metrics server.
    NotServed,
    /// The user has no permission to read the metrics.
    NotAllowed,
    /// The metrics server does not answer.
    Broken(String),
}

impl Measured {
    /// Returns the API that it is read from.
    pub fn api(kf: &Kf) -> Api {
        kf.api(Kind::new("metrics.k8s.io", "PodMetrics"))
    }

    /// Reads the usage of the pods in the namespace of the run.
    pub fn read(kf: &Kf) -> Result<Self> {
        match Self::api(kf).list() {
            Ok(pods) => Ok(Self::Pods(pods.iter().map(|pod| (pod.name().to_owned(), used(pod))).collect())),
            Err(error) => match error.code {
                ErrorCode::NotFound => Ok(Self::NotServed),
                ErrorCode::Forbidden => Ok(Self::NotAllowed),
                // An aggregated API whose server is unavailable answers 503.
                _ if error.is_partial() => Ok(Self::Broken(error.message)),
                _ => Err(error),
            },
        }
    }

    /// Returns the usage of a pod; `None` if it was not measured yet.
    pub fn of(&self, pod: &str) -> Option<Amounts> {
        match self {
            Self::Pods(pods) => pods.get(pod).copied(),
            _ => None,
        }
    }

    /// Returns why the usage is missing; `None` if it is available.
    pub fn missing(&self) -> Option<String> {
        let why = match self {
            Self::Pods(_) => return None,
            Self::NotServed => {
                "the cluster does not serve metrics.k8s.io; an admin can install metrics-server".to_owned()
            }
            Self::NotAllowed => "no permission to list pods.metrics.k8s.io".to_owned(),
            Self::Broken(why) => format!("metrics.k8s.io is unavailable: {why}"),
        };
        Some(format!("CPU and memory usage unknown: {why}"))
    }
}

fn used(metrics: &Object) -> Amounts {
    metrics.list("/containers").iter().fold(Amounts::default(), |sum, container| {
        let amount = |resource: &str| -> Quantity {
            let text = container.pointer(&format!("/usage/{resource}")).and_then(Value::as_str);
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        sum + Amounts { cpu: amount("cpu"), memory: amount("memory") }
    })
}
