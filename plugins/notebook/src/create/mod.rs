//! `kf notebook create`: a Notebook from an image, or a Workspace from what its kind offers.

mod claim;
mod notebook;
mod resources;
mod workspace;

use kf_notebook_server::{Server, check_name, served, until_running};
use kf_plugin_sdk::manifest::{Amount, Variable};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::ComponentKind;

pub(crate) use resources::Resources;

use crate::Report;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Create {
    /// The server's name
    name: String,
    /// The image of a notebook
    #[arg(long, help_heading = "A notebook")]
    image: Option<String>,
    #[command(flatten)]
    resources: Resources,
    /// A variable of a notebook; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = "A notebook")]
    env: Vec<Variable>,
    /// The kind of a workspace
    #[arg(long, help_heading = "A workspace")]
    #[kf(complete = objects("kubeflow.org/WorkspaceKind"))]
    kind: Option<String>,
    /// The image option of a workspace
    #[arg(long, value_name = "ID", help_heading = "A workspace")]
    image_option: Option<String>,
    /// The pod option of a workspace
    #[arg(long, value_name = "ID", help_heading = "A workspace")]
    pod_option: Option<String>,
    /// The claim of the home volume
    #[arg(long, value_name = "CLAIM", help_heading = "Its files")]
    #[kf(complete = objects("/PersistentVolumeClaim"))]
    pvc: Option<String>,
    /// Make a claim of this size for the home volume, such as 10Gi
    #[arg(long, conflicts_with = "pvc", help_heading = "Its files")]
    size: Option<Amount>,
    /// The storage class of that claim
    #[arg(long, value_name = "CLASS", help_heading = "Its files")]
    storage_class: Option<String>,
    /// Stay until it can be used
    #[arg(long, short)]
    wait: bool,
    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

pub(crate) fn run(create: &Create, kf: &Kf) -> Result<Exit> {
    let kind = create.choose(kf, &served(kf)?)?;
    check_name(kind, &create.name)?;
    if create.storage_class.is_some() && create.size.is_none() {
        return Err(Error::invalid("--storage-class is for a claim that --size makes"));
    }
    let servers = kf.api(kind.kind());
    if let Some(found) = servers.find(&create.name)? {
        let name = &create.name;
        if found.str("/metadata/deletionTimestamp").is_some() {
            let text = format!("{kind} {name} is being deleted, and its name is free once it is gone");
            return Err(Error::new(ErrorCode::Conflict, text).hint(format!("kf status {kind}/{name}")));
        }
        let text = format!("{kind} {} exists already", create.name);
        return Err(
            Error::new(ErrorCode::Conflict, text).hint(format!("kf notebook start {kind}/{}", create.name))
        );
    }
    let home = claim::home(kf, create)?;
    let object = match kind {
        ComponentKind::Notebook => notebook::object(create, home.name()),
        _ => workspace::object(kf, create, home.name())?,
    };
    let dry_run = kf.context().dry_run;
    // Nothing is made before the server has agreed to all of it.
    if !dry_run && home.is_new() {
        servers.check_apply(&object, false)?;
    }
    home.make(kf, create)?;
    let made = servers.create(&object).map_err(|error| home.mention(error))?;
    if dry_run {
        return Ok(Exit::OK);
    }
    let of_another = || Error::failed(format!("the cluster made something else of {}", create.name));
    let mut server = Server::of(made).ok_or_else(of_another)?;
    if create.wait {
        until_running(kf, &mut server, create.timeout.0)?;
    }
    let more = home.name().map(|claim| format!(", home on {claim}")).unwrap_or_default();
    Report::of(&server, if create.wait { "running" } else { "created" }).print(kf, &more)?;
    kf.next_step("open it", &format!("kf notebook open {}", create.name));
    Ok(Exit::OK)
}

impl Create {
    /// Which of the kinds that are served the flags mean.
    fn choose(&self, kf: &Kf, served: &[ComponentKind]) -> Result<ComponentKind> {
        let notebook = self.image.is_some() || !self.env.is_empty() || !self.resources.is_empty();
        let workspace = self.kind.is_some() || self.image_option.is_some() || self.pod_option.is_some();
        let kind = match (notebook, workspace, served) {
            (true, true, _) => {
                let text = "--image, --env, --cpu, --memory and --gpu make a notebook; --kind and its \
                            options make a workspace: they cannot be together";
                return Err(Error::invalid(text));
            }
            (true, false, _) => ComponentKind::Notebook,
            (false, true, _) => ComponentKind::Workspace,
            (false, false, [only]) => *only,
            (false, false, _) => {
                let text = "notebooks and workspaces are both served here, and nothing says which to make";
                let line = kf.command_line().set("--image", "IMAGE");
                return Err(Error::invalid(text).hint(format!("{line}, or --kind KIND")));
            }
        };
        if !served.contains(&kind) {
            let other = served.first().map_or("notebook", |kind| kind.word());
            return Err(Error::not_found(format!("this cluster has no {}; it has {other}s", kind.plural())));
        }
        Ok(kind)
    }
}
