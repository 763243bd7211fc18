use std::collections::BTreeMap;
use std::ops::Add;

use serde::Serialize;
use serde_json::Value;

use crate::border::Kind;
use crate::error::{ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};
use crate::quantity::Quantity;

/// CPU and memory of one pod or of several.
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

/// What a metrics server measured, by pod; or why there is nothing. Needs `list` on
/// `pods.metrics.k8s.io`, which the manifest should ask for as optional.
#[derive(Clone, Debug)]
pub enum Measured {
    Pods(BTreeMap<String, Amounts>),
    /// The cluster has no metrics server.
    NotServed,
    /// The user may not read what it measures.
    NotAllowed,
    /// It is there and does not answer.
    Broken(String),
}

impl Measured {
    /// What it is read from.
    pub fn api(kf: &Kf) -> Api {
        kf.api(Kind::new("metrics.k8s.io", "PodMetrics"))
    }

    /// What the pods of the run's namespace used when they were last measured.
    pub fn read(kf: &Kf) -> Result<Self> {
        match Self::api(kf).list() {
            Ok(pods) => Ok(Self::Pods(pods.iter().map(|pod| (pod.name().to_owned(), used(pod))).collect())),
            Err(error) => match error.code {
                ErrorCode::NotFound => Ok(Self::NotServed),
                ErrorCode::Forbidden => Ok(Self::NotAllowed),
                // An aggregated API whose server is away answers 503.
                _ if error.is_partial() => Ok(Self::Broken(error.message)),
                _ => Err(error),
            },
        }
    }

    /// Unknown for a pod that was not measured yet.
    pub fn of(&self, pod: &str) -> Option<Amounts> {
        match self {
            Self::Pods(pods) => pods.get(pod).copied(),
            _ => None,
        }
    }

    /// Why use is unknown, and who can help; none if it is not.
    pub fn missing(&self) -> Option<String> {
        let why = match self {
            Self::Pods(_) => return None,
            Self::NotServed => {
                "the cluster serves no metrics.k8s.io; its administrator can install metrics-server"
                    .to_owned()
            }
            Self::NotAllowed => "you may not list pods.metrics.k8s.io here".to_owned(),
            Self::Broken(why) => format!("metrics.k8s.io does not answer: {why}"),
        };
        Some(format!("CPU and memory used are unknown: {why}"))
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
