use super::clip;
use crate::border::Kind;
use crate::error::{Error, ErrorCode, Optional, Result};
use crate::kf::Kf;
use crate::objects::{Api, Object};

/// The kinds a person names to see logs or wait for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    TrainJob,
    JobSet,
    Job,
    Pod,
}

impl TargetKind {
    /// A name alone is looked for in this order.
    pub const ALL: [Self; 4] = [Self::TrainJob, Self::JobSet, Self::Job, Self::Pod];

    /// As in `trainjob/mnist`.
    pub fn word(self) -> &'static str {
        match self {
            Self::TrainJob => "trainjob",
            Self::JobSet => "jobset",
            Self::Job => "job",
            Self::Pod => "pod",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::TrainJob => Kind::new("trainer.kubeflow.org", "TrainJob"),
            Self::JobSet => Kind::new("jobset.x-k8s.io", "JobSet"),
            Self::Job => Kind::new("batch", "Job"),
            Self::Pod => Kind::new("", "Pod"),
        }
    }
}

/// A workload a person named.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: TargetKind,
    pub name: String,
    /// As it was when it was found.
    pub object: Object,
}

impl Target {
    /// Finds `NAME` or `KIND/NAME` in the namespace of the run.
    ///
    /// What belongs to another match is left out: a training job's job set has its name.
    pub fn find(kf: &Kf, words: &str) -> Result<Self> {
        let (kinds, name) = match words.split_once('/') {
            Some((word, name)) => (vec![kind_named(word)?], name),
            None => (TargetKind::ALL.to_vec(), words),
        };
        let mut found: Vec<Self> = Vec::new();
        let mut refused = None;
        for kind in kinds {
            match kf.api(kind.kind()).get(name).optional() {
                Ok(Some(object)) => found.push(Self { kind, name: name.to_owned(), object }),
                Ok(None) => {}
                // A bare name seldom means a job set, and many users may not see them.
                Err(error)
                    if error.is(ErrorCode::Forbidden)
                        && kind == TargetKind::JobSet
                        && !words.contains('/') => {}
                Err(error) if error.is(ErrorCode::Forbidden) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        found.retain(|target| {
            target.object.controller().is_none() || target.kind == TargetKind::Pod || words.contains('/')
        });
        match (found.len(), refused) {
            (0, Some(refused)) => Err(refused),
            (0, None) => {
                let namespace = kf.namespace();
                Err(Error::not_found(format!("no job or pod `{words}` in {namespace}")).hint("kf status"))
            }
            (1, _) => found.pop().ok_or_else(|| Error::not_found(words)),
            _ => {
                let names: Vec<_> =
                    found.iter().map(|target| format!("{}/{name}", target.kind.word())).collect();
                let first = names.first().cloned().unwrap_or_default();
                let command = kf.context().command;
                Err(Error::invalid(format!("`{name}` can be {}", names.join(" or ")))
                    .hint(format!("kf {command} {first}")))
            }
        }
    }

    /// Itself, as a selection of one.
    pub fn itself(&self, kf: &Kf) -> Api {
        kf.api(self.kind.kind()).fields(format!("metadata.name={}", self.name))
    }

    /// Its pods.
    pub fn pods(&self, kf: &Kf) -> Api {
        let pods = kf.api("Pod");
        match self.kind {
            TargetKind::TrainJob | TargetKind::JobSet => {
                pods.labels(format!("jobset.sigs.k8s.io/jobset-name={}", self.name))
            }
            TargetKind::Job => pods.labels(format!("batch.kubernetes.io/job-name={}", self.name)),
            TargetKind::Pod => pods.fields(format!("metadata.name={}", self.name)),
        }
    }

    /// What the objects between it and its pods complain about, when there are no pods.
    pub(crate) fn complaint(&self, events: &super::Events) -> Option<String> {
        let below = format!("{}-", self.name);
        let (_, message) = events
            .warning(&self.object)
            .or_else(|| events.warning_like("JobSet", &self.name))
            .or_else(|| events.warning_like("Job", &below))?;
        Some(clip(message, 160))
    }
}

fn kind_named(word: &str) -> Result<TargetKind> {
    let word = word.to_lowercase();
    let is = |kind: &TargetKind| word == kind.word() || word == format!("{}s", kind.word());
    TargetKind::ALL.into_iter().find(is).ok_or_else(|| {
        let words: Vec<_> = TargetKind::ALL.iter().map(|kind| kind.word()).collect();
        Error::invalid(format!("`{word}` is no kind known here; it can be {}", words.join(", ")))
    })
}
