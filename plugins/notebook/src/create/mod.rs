//! `kf notebook create`: creates a Notebook from an image, or a Workspace from the options of its kind.

mod claim;
mod notebook;
mod resources;
mod workspace;

use kf_notebook_server::{Server, check_name, served, until_running};
use kf_plugin_sdk::manifest::{Amount, Variable};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::WorkloadKind;

pub(crate) use resources::Resources;

use crate::Report;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Create {
    /// The server's name
    name: String,
    /// Image
    #[arg(long, help_heading = "Notebook")]
    image: Option<String>,
    #[command(flatten)]
    resources: Resources,
    /// Environment variable; can be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "Notebook")]
    env: Vec<Variable>,
    /// Workspace kind
    #[arg(long, help_heading = "Workspace")]
    #[kf(complete = objects("kubeflow.org/WorkspaceKind"))]
    kind: Option<String>,
    /// Image option of the kind
    #[arg(long, value_name = "ID", help_heading = "Workspace")]
    image_option: Option<String>,
    /// Pod option of the kind
    #[arg(long, value_name = "ID", help_heading = "Workspace")]
    pod_option: Option<String>,
    /// Existing claim for the home volume
    #[arg(long, value_name = "CLAIM", help_heading = "Storage")]
    #[kf(complete = objects("/PersistentVolumeClaim"))]
    pvc: Option<String>,
    /// Create a claim of this size for the home volume, such as 10Gi
    #[arg(long, conflicts_with = "pvc", help_heading = "Storage")]
    size: Option<Amount>,
    /// Storage class of the new claim
    #[arg(long, value_name = "CLASS", help_heading = "Storage")]
    storage_class: Option<String>,
    /// Wait until the server is ready
    #[arg(long, short)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

pub(crate) fn run(create: &Create, kf: &Kf) -> Result<Exit> {
    let kind = create.choose(kf, &served(kf)?)?;
    check_name(kind, &create.name)?;
    if create.storage_class.is_some() && create.size.is_none() {
        return Err(Error::invalid("--storage-class requires --size"));
    }
    let servers = kf.api(kind.kind());
    if let Some(found) = servers.find(&create.name)? {
        let name = &create.name;
        if found.str("/metadata/deletionTimestamp").is_some() {
            let text = format!("{kind} {name} is being deleted; its name is in use until then");
            return Err(Error::new(ErrorCode::Conflict, text).hint(format!("kf status {kind}/{name}")));
        }
        let text = format!("{kind} {} already exists", create.name);
        return Err(
            Error::new(ErrorCode::Conflict, text).hint(format!("kf notebook start {kind}/{}", create.name))
        );
    }
    let home = claim::home(kf, create)?;
    let object = match kind {
        WorkloadKind::Notebook => notebook::object(create, home.name()),
        _ => workspace::object(kf, create, home.name())?,
    };
    let dry_run = kf.context().dry_run;
    // Nothing is created before the server has checked the object.
    if !dry_run && home.is_new() {
        servers.check_apply(&object, false)?;
    }
    home.create(kf, create)?;
    let made = servers.create(&object).map_err(|error| home.with_claim(error))?;
    if dry_run {
        return Ok(Exit::OK);
    }
    let unexpected =
        || Error::failed(format!("the cluster returned an unexpected object for {}", create.name));
    let mut server = Server::of(made).ok_or_else(unexpected)?;
    if create.wait {
        until_running(kf, &mut server, create.timeout.0)?;
    }
    let more = home.name().map(|claim| format!(", home on {claim}")).unwrap_or_default();
    Report::of(&server, if create.wait { "running" } else { "created" }).print(kf, &more)?;
    kf.next_step("open it", &format!("kf notebook open {}", create.name));
    Ok(Exit::OK)
}

impl Create {
    /// The kind that the flags imply, among the served ones.
    fn choose(&self, kf: &Kf, served: &[WorkloadKind]) -> Result<WorkloadKind> {
        let notebook = self.image.is_some() || !self.env.is_empty() || !self.resources.is_empty();
        let workspace = self.kind.is_some() || self.image_option.is_some() || self.pod_option.is_some();
        let kind = match (notebook, workspace, served) {
            (true, true, _) => {
                let text = "--image, --env, --cpu, --memory and --gpu (notebook) cannot be used with \
                            --kind, --image-option and --pod-option (workspace)";
                return Err(Error::invalid(text));
            }
            (true, false, _) => WorkloadKind::Notebook,
            (false, true, _) => WorkloadKind::Workspace,
            (false, false, [only]) => *only,
            (false, false, _) => {
                let text = "this cluster has notebooks and workspaces: choose one with --image or --kind";
                let line = kf.command_line().set("--image", "IMAGE");
                return Err(Error::invalid(text).hint(format!("{line}, or --kind KIND")));
            }
        };
        if !served.contains(&kind) {
            let other = served.first().map_or("notebook", |kind| kind.word());
            return Err(Error::not_found(format!("this cluster has no {}, only {other}s", kind.plural())));
        }
        Ok(kind)
    }
}
