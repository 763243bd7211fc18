//! Uploads local code: as a ConfigMap, or to a volume.

use kf_plugin_sdk::prelude::*;
use kf_training_job::{Code as ConfigMap, Stored, Volume};

use crate::Train;
use crate::claim::ClaimCode;

/// The local code of a job.
pub(crate) enum Code {
    ConfigMap(ConfigMap),
    Claim(Box<ClaimCode>),
}

impl Code {
    /// Reads the directory of `--from-dir`; `None` without the flag.
    pub(crate) fn read(
        kf: &Kf,
        train: &Train,
        job: &Object,
        runtime: Option<&Object>,
    ) -> Result<Option<Self>> {
        let Some(directory) = &train.job.from_dir else { return Ok(None) };
        let (code, summary) = match &train.pvc {
            Some(claim) => {
                let code = ClaimCode::read(kf, directory, claim, job, runtime)?;
                let summary = code.summary(directory);
                (Self::Claim(Box::new(code)), summary)
            }
            None => {
                let code = ConfigMap::read(kf, directory, job.name(), &too_large_hint(kf))?;
                let summary = code.summary(directory);
                (Self::ConfigMap(code), summary)
            }
        };
        if kf.context().interactive {
            kf.note(format!("code: {summary}"));
        }
        Ok(Some(code))
    }

    /// Validates on the server what will be created, without storing it.
    pub(crate) fn check(&self, kf: &Kf) -> Result<()> {
        match self {
            Self::ConfigMap(code) => code.check(kf),
            Self::Claim(code) => code.check(kf),
        }
    }

    /// Uploads the code; that of an existing job is on its claim already. Returns the ConfigMap, if it is one: code on a
    /// claim is kept.
    pub(crate) fn store(&self, kf: &Kf, job_exists: bool) -> Result<Option<Stored>> {
        match self {
            Self::ConfigMap(code) => code.store(kf).map(Some),
            Self::Claim(_) if job_exists => Ok(None),
            Self::Claim(code) => code.load(kf).map(|()| None),
        }
    }

    /// Makes the job the owner of its ConfigMap. Code on a claim has no owner.
    pub(crate) fn set_owner(&self, kf: &Kf, job: &Object) -> Result<()> {
        match self {
            Self::ConfigMap(code) => code.set_owners(kf, [job]),
            Self::Claim(_) => Ok(()),
        }
    }

    pub(crate) fn volume(&self) -> Volume {
        match self {
            Self::ConfigMap(code) => code.volume(),
            Self::Claim(code) => code.volume(),
        }
    }
}

/// The hint for code that is too large for a ConfigMap.
fn too_large_hint(kf: &Kf) -> String {
    let line = kf.command_line().set("--pvc", "CLAIM");
    format!("{line}, to upload it to a volume claim; or build an image and pass it with --image")
}
