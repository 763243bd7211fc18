//! Which way local code goes: in a ConfigMap, or onto a volume.

use kf_plugin_sdk::prelude::*;
use kf_training_job::{Code as ConfigMap, Stored, Volume};

use crate::Train;
use crate::claim::OnClaim;

/// The code that goes with a job.
pub(crate) enum Code {
    ConfigMap(ConfigMap),
    OnClaim(Box<OnClaim>),
}

impl Code {
    /// What `--from-dir` names; none without it.
    pub(crate) fn read(
        kf: &Kf,
        train: &Train,
        job: &Object,
        runtime: Option<&Object>,
    ) -> Result<Option<Self>> {
        let Some(directory) = &train.job.from_dir else { return Ok(None) };
        let (code, summary) = match &train.pvc {
            Some(claim) => {
                let code = OnClaim::read(kf, directory, claim, job, runtime)?;
                let summary = code.summary(directory);
                (Self::OnClaim(Box::new(code)), summary)
            }
            None => {
                let code = ConfigMap::read(kf, directory, job.name(), &instead(kf))?;
                let summary = code.summary(directory);
                (Self::ConfigMap(code), summary)
            }
        };
        if kf.context().interactive {
            kf.note(format!("takes along {summary}"));
        }
        Ok(Some(code))
    }

    /// Lets the server check what will be made, storing nothing.
    pub(crate) fn check(&self, kf: &Kf) -> Result<()> {
        match self {
            Self::ConfigMap(code) => code.check(kf),
            Self::OnClaim(code) => code.check(kf),
        }
    }

    /// Brings it to the cluster. A job that is there already has its code on the claim. What is on a claim stays there,
    /// and only a ConfigMap is returned.
    pub(crate) fn store(&self, kf: &Kf, is_there: bool) -> Result<Option<Stored>> {
        match self {
            Self::ConfigMap(code) => code.store(kf).map(Some),
            Self::OnClaim(_) if is_there => Ok(None),
            Self::OnClaim(code) => code.load(kf).map(|()| None),
        }
    }

    /// Lets the job own what was made for it alone.
    pub(crate) fn own(&self, kf: &Kf, job: &Object) -> Result<()> {
        match self {
            Self::ConfigMap(code) => code.own(kf, [job]),
            Self::OnClaim(_) => Ok(()),
        }
    }

    pub(crate) fn volume(&self) -> Volume {
        match self {
            Self::ConfigMap(code) => code.volume(),
            Self::OnClaim(code) => code.volume(),
        }
    }
}

/// What to do with more code than a ConfigMap holds.
fn instead(kf: &Kf) -> String {
    let line = kf.command_line().set("--pvc", "CLAIM");
    format!("{line}, to put it on a volume claim; or build an image and name it with --image")
}
