//! The services of a namespace and their pods.
//!
//! Ready pods are determined from endpoint slices, from the older endpoints, or from the pods themselves: the first of
//! these that the user can list.

use std::collections::{BTreeMap, BTreeSet};

use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PodState, WorkloadKind, is_ready, pod_state};
use serde_json::Value;

/// Kinds with an address, besides services.
const KINDS: [WorkloadKind; 3] =
    [WorkloadKind::InferenceService, WorkloadKind::Notebook, WorkloadKind::Workspace];

const SLICE: &str = "discovery.k8s.io/EndpointSlice";
const SLICES: &str = "endpoint slices";
const ENDPOINTS: &str = "endpoints";

const WORKSPACE_LABEL: &str = "notebooks.kubeflow.org/workspace-name";

/// A service, or another object with an address.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `service`, `inferenceservice`, `notebook` or `workspace`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Its addresses, the best first.
    pub(crate) addresses: Vec<String>,
    /// The number of ready endpoints, and of all.
    pub(crate) ready: (usize, usize),
    /// Its pods that have not ended.
    pub(crate) pods: Vec<Object>,
    /// The port of its pods, if it declares one.
    pub(crate) port: Option<Value>,
}

impl Target {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// The lists that targets are read from, the required pods and services first.
pub(crate) fn sources(kf: &Kf) -> Vec<Api> {
    let kinds = KINDS.map(WorkloadKind::kind).into_iter();
    ["Service", "Pod"].map(Kind::from).into_iter().chain(kinds).map(|kind| kf.api(kind)).collect()
}

/// The objects that targets are read from.
pub(crate) struct Snapshot {
    pods: Vec<Object>,
    services: Vec<Object>,
    endpoints: Endpoints,
    components: Vec<(WorkloadKind, Vec<Object>)>,
}

impl Snapshot {
    pub(crate) fn read(kf: &Kf) -> Result<Self> {
        let pods = kf.api("Pod").list()?;
        let services = kf.api("Service").list()?;
        let mut left_out = Skipped::default();
        let endpoints = Endpoints::read(kf, &mut left_out)?;
        let mut components = Vec::new();
        let lists = kf.list_many(&KINDS.map(WorkloadKind::kind));
        for (kind, listed) in KINDS.into_iter().zip(lists) {
            let found = left_out.take_readable(kind.plural(), listed)?;
            components.push((kind, found.map(|listed| listed.items).unwrap_or_default()));
        }
        left_out.tell(kf);
        Ok(Self { pods, services, endpoints, components })
    }

    /// A snapshot of the mirrors of [`Live`].
    pub(crate) fn of(sources: &[Source], mirrors: &[Mirror]) -> Self {
        let mut snapshot = Self {
            pods: Vec::new(),
            services: Vec::new(),
            endpoints: Endpoints::Unknown,
            components: Vec::new(),
        };
        for (source, mirror) in sources.iter().zip(mirrors) {
            let objects: Vec<_> = mirror.objects().cloned().collect();
            match source {
                Source::Pods => snapshot.pods = objects,
                Source::Services => snapshot.services = objects,
                Source::Slices => snapshot.endpoints = Endpoints::Known(of_slices(&objects)),
                Source::Endpoints => snapshot.endpoints = Endpoints::Known(of_endpoints(&objects)),
                Source::Components(kind) => snapshot.components.push((*kind, objects)),
            }
        }
        snapshot
    }

    /// All targets, or the named one.
    pub(crate) fn targets(&self, kf: &Kf, named: Option<&str>, all: bool) -> Result<Vec<Target>> {
        let has_ended = |pod: &&Object| matches!(pod_state(pod), PodState::Complete | PodState::Failed);
        let pods: Vec<Object> = self.pods.iter().filter(|pod| !has_ended(pod)).cloned().collect();
        let mut targets = Vec::new();
        for (kind, objects) in &self.components {
            targets.extend(objects.iter().map(|object| component(kf, *kind, object, &pods)));
        }
        for object in &self.services {
            let part = part_of(object).is_some_and(|(kind, name)| {
                targets.iter().any(|target: &Target| target.kind == kind && target.name == name)
            });
            // A headless service for the ranks of a training job.
            let of_job_set = object.controller().is_some_and(|(kind, _)| kind == "JobSet");
            let asked_for =
                named.is_some_and(|named| named == object.name() || named.starts_with("service/"));
            if all || asked_for || !(part || of_job_set) {
                targets.push(service(kf, object, &pods, &self.endpoints));
            }
        }
        match named {
            None => Ok(targets),
            Some(words) => one(kf, targets, words).map(|target| vec![target]),
        }
    }
}

/// The mirrors of a [`Snapshot`] that is kept up to date.
pub(crate) struct Live {
    pub(crate) mirrors: Vec<Mirror>,
    /// The source of each mirror.
    pub(crate) sources: Vec<Source>,
}

pub(crate) enum Source {
    Pods,
    Services,
    Slices,
    Endpoints,
    Components(WorkloadKind),
}

impl Live {
    pub(crate) fn open(kf: &Kf) -> Result<Self> {
        let mut live = Self { mirrors: Vec::new(), sources: Vec::new() };
        let mut left_out = Skipped::default();
        live.mirror(kf, Source::Pods, "Pod".into())?;
        live.mirror(kf, Source::Services, "Service".into())?;
        let slices = live.mirror(kf, Source::Slices, SLICE.into());
        if left_out.take_readable(SLICES, slices)?.is_none() {
            let endpoints = live.mirror(kf, Source::Endpoints, "Endpoints".into());
            left_out.take_readable(ENDPOINTS, endpoints)?;
        }
        for kind in KINDS {
            let components = live.mirror(kf, Source::Components(kind), kind.kind());
            left_out.take_readable(kind.plural(), components)?;
        }
        left_out.tell(kf);
        Ok(live)
    }

    fn mirror(&mut self, kf: &Kf, source: Source, kind: Kind) -> Result<()> {
        self.mirrors.push(Mirror::open(kf, kf.api(kind))?);
        self.sources.push(source);
        Ok(())
    }
}

fn one(kf: &Kf, targets: Vec<Target>, words: &str) -> Result<Target> {
    let (kind, name) = match words.split_once('/') {
        Some(("isvc" | "inference", name)) => (Some("inferenceservice"), name),
        Some(("svc", name)) => (Some("service"), name),
        Some((kind, name)) => (Some(kind), name),
        None => (None, words),
    };
    // A notebook comes before its service of the same name.
    let is = |target: &Target| target.name == name && kind.is_none_or(|kind| kind == target.kind);
    targets.into_iter().find(is).ok_or_else(|| {
        let missing = format!("no service `{words}` in {}", kf.namespace());
        Error::not_found(missing).hint("kf services list")
    })
}

fn component(kf: &Kf, kind: WorkloadKind, object: &Object, pods: &[Object]) -> Target {
    let name = object.name().to_owned();
    let (label, addresses) = match kind {
        WorkloadKind::InferenceService => {
            let urls = ["/status/url", "/status/address/url"].into_iter().filter_map(|url| object.str(url));
            let mut addresses: Vec<String> = urls.map(str::to_owned).collect();
            addresses.dedup();
            ("serving.kserve.io/inferenceservice", addresses)
        }
        // Without the port id, which is in the kind that few users can read.
        WorkloadKind::Workspace => {
            (WORKSPACE_LABEL, vec![format!("/workspace/connect/{}/{name}/", kf.namespace())])
        }
        _ => ("notebook-name", vec![format!("/notebook/{}/{name}/", kf.namespace())]),
    };
    let pods: Vec<Object> = pods.iter().filter(|pod| pod.label(label) == Some(&name)).cloned().collect();
    let ready = (pods.iter().filter(|pod| is_ready(pod)).count(), pods.len());
    Target { kind: kind.word(), name, addresses, ready, pods, port: None }
}

fn service(kf: &Kf, object: &Object, pods: &[Object], endpoints: &Endpoints) -> Target {
    let pods = selected(object, pods);
    let port = object.list("/spec/ports").first();
    let port = port.and_then(|port| port.get("targetPort").or_else(|| port.get("port"))).cloned();
    Target {
        kind: "service",
        name: object.name().to_owned(),
        addresses: addresses(object, &kf.namespace()),
        ready: endpoints.of(object.name(), &pods),
        pods,
        port,
    }
}

/// The notebook, workspace or inference service that owns a service.
fn part_of(service: &Object) -> Option<(&'static str, &str)> {
    if let Some(name) = service.label("serving.kserve.io/inferenceservice") {
        return Some(("inferenceservice", name));
    }
    match service.controller()? {
        ("InferenceService", name) => Some(("inferenceservice", name)),
        ("Notebook", name) => Some(("notebook", name)),
        ("Workspace", name) => Some(("workspace", name)),
        _ => None,
    }
}

fn selected(service: &Object, pods: &[Object]) -> Vec<Object> {
    let Some(selector) =
        service.at("/spec/selector").and_then(Value::as_object).filter(|own| !own.is_empty())
    else {
        return Vec::new();
    };
    let fits = |pod: &&Object| selector.iter().all(|(key, value)| pod.label(key) == value.as_str());
    pods.iter().filter(fits).cloned().collect()
}

/// External addresses first, then the name inside the cluster.
fn addresses(service: &Object, namespace: &str) -> Vec<String> {
    if let Some(external) = service.str("/spec/externalName") {
        return vec![external.to_owned()];
    }
    let ports: Vec<i64> = service
        .list("/spec/ports")
        .iter()
        .filter_map(|port| port.get("port").and_then(Value::as_i64))
        .collect();
    let with_ports = |host: String| match ports.as_slice() {
        [] => vec![host],
        ports => ports.iter().map(|port| format!("{host}:{port}")).collect(),
    };
    let ingress = service.list("/status/loadBalancer/ingress").iter();
    let outside = ingress.filter_map(|place| place.get("hostname").or_else(|| place.get("ip"))?.as_str());
    let inside = format!("{}.{namespace}.svc", service.name());
    outside.map(str::to_owned).chain([inside]).flat_map(with_ports).collect()
}

/// Which endpoints are ready, by service.
enum Endpoints {
    Known(BTreeMap<String, (usize, usize)>),
    /// Neither kind can be listed; the pods are used.
    Unknown,
}

impl Endpoints {
    fn read(kf: &Kf, left_out: &mut Skipped) -> Result<Self> {
        if let Some(slices) = left_out.take_readable(SLICES, kf.api(SLICE).list())? {
            return Ok(Self::Known(of_slices(&slices)));
        }
        let endpoints = left_out.take_readable(ENDPOINTS, kf.api("Endpoints").list())?;
        Ok(endpoints.map_or(Self::Unknown, |endpoints| Self::Known(of_endpoints(&endpoints))))
    }

    fn of(&self, service: &str, pods: &[Object]) -> (usize, usize) {
        match self {
            Self::Known(known) => known.get(service).copied().unwrap_or_default(),
            Self::Unknown => (pods.iter().filter(|pod| is_ready(pod)).count(), pods.len()),
        }
    }
}

/// A service can have several slices, and an endpoint can be in one for each address type.
fn of_slices(slices: &[Object]) -> BTreeMap<String, (usize, usize)> {
    let mut seen: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for slice in slices {
        let Some(service) = slice.label("kubernetes.io/service-name") else { continue };
        let (ready, all) = seen.entry(service.to_owned()).or_default();
        for endpoint in slice.list("/endpoints") {
            let address = endpoint.pointer("/addresses/0").and_then(Value::as_str);
            let pod = endpoint.pointer("/targetRef/name").and_then(Value::as_str);
            let Some(name) = pod.or(address) else { continue };
            all.insert(name.to_owned());
            // Absent means ready.
            if endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false) {
                ready.insert(name.to_owned());
            }
        }
    }
    seen.into_iter().map(|(service, (ready, all))| (service, (ready.len(), all.len()))).collect()
}

fn of_endpoints(endpoints: &[Object]) -> BTreeMap<String, (usize, usize)> {
    let count = |subset: &Value, field: &str| subset.get(field).and_then(Value::as_array).map_or(0, Vec::len);
    endpoints
        .iter()
        .map(|object| {
            let subsets = object.list("/subsets");
            let ready = subsets.iter().map(|subset| count(subset, "addresses")).sum();
            let waiting: usize = subsets.iter().map(|subset| count(subset, "notReadyAddresses")).sum();
            (object.name().to_owned(), (ready, ready + waiting))
        })
        .collect()
}
