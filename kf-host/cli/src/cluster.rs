//! The cluster a command line means, and one command's way to it.

mod names;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use kf_cluster::broker::{Broker, BrokerConfig, Budgets, Change, Command, Mark, render_calls};
use kf_cluster::connection::{Connection, Timeouts};
use kf_cluster::kubeconfig::{self, Choice, KubeconfigError, Settings, Sources};
use kf_cluster::preflight;
use kf_core::Kind;
use kf_core::PluginName;
use kf_core::api::ApiError;
use kf_core::grants::Granter;
use kf_core::grants::explain::{Who, explain, to_json};
use kf_core::grants::{Ceiling, Consent, Grants, Refusal, RuleSet, RunFlags};
use kf_core::names::Namespace;
use kf_registry::receipt::Receipt;

use crate::app::App;
use crate::args::RunArgs;
use crate::env;
use crate::error::{CliError, Context, Result};
use crate::plugin::rights::Rights;
use crate::selection::{ClusterId, RunSelection, Store};
use crate::ui::{Format, Tone};

pub use names::namespaces;

/// An audit log larger than this makes room for a new one; one old one is kept.
const AUDIT_LOG_BYTES: u64 = 16 << 20;

/// Reads the kubeconfig as the command line and the environment choose; no network. The namespace
/// is the one that is named, else the one in use, else the kubeconfig's.
pub fn settings(app: &App) -> Result<Settings> {
    let (mut settings, named) = load(app)?;
    if !named && let Some(in_use) = Store::of(&app.home).in_use(&ClusterId::of(&settings))? {
        settings.namespace = in_use;
    }
    Ok(settings)
}

/// The same for a command that chooses the namespace: what was chosen for another cluster, or
/// cannot be read, is not in its way.
fn settings_to_choose(app: &App) -> Result<Settings> {
    let (mut settings, named) = load(app)?;
    if !named && let Ok(Some(in_use)) = Store::of(&app.home).in_use(&ClusterId::of(&settings)) {
        settings.namespace = in_use;
    }
    Ok(settings)
}

/// Whether a namespace was named comes along.
fn load(app: &App) -> Result<(Settings, bool)> {
    let namespace = app.global.namespace.clone().or_else(|| env::text(env::KF_NAMESPACE));
    let named = namespace.is_some();
    let choice =
        Choice { file: app.global.kubeconfig.clone(), context: app.global.context.clone(), namespace };
    let mut settings = kubeconfig::load(&Sources::from_env(), &choice).map_err(no_cluster)?;
    settings.attended = !app.ui.is_mute();
    Ok((settings, named))
}

fn timeouts(app: &App) -> Timeouts {
    let of = |limit| Timeouts { connect: limit, answer: limit };
    app.global.request_timeout.map(of).unwrap_or_default()
}

fn no_cluster(error: KubeconfigError) -> CliError {
    let kind = match error {
        KubeconfigError::Missing(_) => Kind::Unauthenticated,
        _ => Kind::Usage,
    };
    CliError::new(kind, error.to_string()).maybe_hint(error.hint())
}

/// Drives the host's own questions to the API server.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(Kind::Failed, || "cannot start the runtime for the network".to_owned())?;
    Ok(runtime.block_on(future))
}

/// Which of a command's rules the user holds in the namespace of the command line.
pub struct OwnRights {
    pub namespace: String,
    /// In the manifest's order.
    pub rules: Vec<OwnRule>,
}

/// A rule, and what the user lacks of it.
pub struct OwnRule {
    /// `get, list pods, pods/log`
    pub rule: String,
    /// `create trainjobs.trainer.kubeflow.org in team-a`
    pub missing: Vec<String>,
    /// The command works without it.
    pub optional: bool,
}

impl OwnRule {
    pub fn held(&self) -> bool {
        self.missing.is_empty()
    }
}

impl OwnRights {
    pub fn all(&self) -> bool {
        self.rules.iter().all(OwnRule::held)
    }

    /// What stops the command. Without an optional rule it only does less.
    fn missing(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| !rule.optional).flat_map(|rule| &rule.missing).map(String::as_str)
    }
}

/// Whether a command can be used in the namespace of the command line.
pub enum Here {
    Ready,
    NotServed { resource: String },
    NotPermitted { missing: String },
    Unknown { why: String },
}

impl Here {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotServed { .. } => "not served",
            Self::NotPermitted { .. } => "not permitted",
            Self::Unknown { .. } => "unknown",
        }
    }

    pub fn why(&self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::NotServed { resource } => Some(format!("needs {resource}; ask your admin")),
            Self::NotPermitted { missing } => Some(format!("you lack {missing}")),
            Self::Unknown { why } => Some(why.clone()),
        }
    }

    pub fn tone(&self) -> Tone {
        match self {
            Self::Ready => Tone::Good,
            Self::NotServed { .. } | Self::NotPermitted { .. } | Self::Unknown { .. } => Tone::Warning,
        }
    }
}

/// Asks about all commands on one connection.
pub fn usable_here(app: &App, commands: &[(PluginName, RuleSet)]) -> BTreeMap<PluginName, Here> {
    let asking: Vec<_> = commands.iter().filter(|(_, rules)| !rules.is_empty()).collect();
    let mut here: BTreeMap<_, _> = commands.iter().map(|(name, _)| (name.clone(), Here::Ready)).collect();
    let asked = Asking::open(app).and_then(|asking_for| {
        block_on(async {
            let mut answers = Vec::new();
            for (name, rules) in &asking {
                answers.push((name.clone(), asking_for.usable(rules).await));
            }
            answers
        })
    });
    match asked {
        Ok(answers) => here.extend(answers),
        Err(error) => {
            let unknown = |(name, _): &(PluginName, _)| (name.clone(), Here::Unknown { why: reason(&error) });
            here.extend(asking.into_iter().map(unknown));
        }
    }
    here
}

/// Questions about the user's rights in one namespace.
struct Asking {
    connection: Connection,
    namespace: Namespace,
    served: preflight::ServedResources,
    cache: PathBuf,
}

impl Asking {
    fn open(app: &App) -> Result<Self> {
        let settings = settings(app)?;
        Ok(Self {
            namespace: settings.namespace.clone(),
            connection: Connection::new(settings, timeouts(app)),
            served: preflight::ServedResources::default(),
            cache: app.home.cache.join("rights.json"),
        })
    }

    async fn usable(&self, rules: &RuleSet) -> Here {
        let unknown = |error: ApiError| Here::Unknown { why: error.message };
        match self.served.first_missing(&self.connection, rules).await {
            Ok(None) => {}
            Ok(Some(resource)) => return Here::NotServed { resource },
            Err(error) => return unknown(error),
        }
        match self.rights(rules).await {
            Err(error) => unknown(error),
            Ok(own) => match own.missing().next() {
                None => Here::Ready,
                Some(missing) => Here::NotPermitted { missing: missing.to_owned() },
            },
        }
    }

    async fn rights(&self, rules: &RuleSet) -> Result<OwnRights, ApiError> {
        let asked = preflight::preflight(&self.connection, rules, &self.namespace, Some(&self.cache));
        let verdicts = asked.await?;
        let rules = verdicts
            .iter()
            .filter_map(|verdict| Some((verdict, rules.rules().get(verdict.rule.checked_sub(1)?)?)))
            .map(|(verdict, rule)| OwnRule {
                rule: rule.to_string(),
                missing: verdict.missing.iter().map(ToString::to_string).collect(),
                optional: rule.optional,
            })
            .collect();
        Ok(OwnRights { namespace: self.namespace.to_string(), rules })
    }
}

pub fn reason(error: &CliError) -> String {
    let first = error.lines().into_iter().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

/// Asks the API server about the user's own rights, in one burst; a yes is kept for a minute.
pub fn own_rights(app: &App, rules: &RuleSet) -> Result<OwnRights> {
    let asking = Asking::open(app)?;
    Ok(block_on(asking.rights(rules))??)
}

/// The line below a command's rights that says whether the user holds them. Nobody needs a
/// cluster to add a command.
pub fn show_own_rights(app: &App, rules: &RuleSet) {
    match own_rights(app, rules) {
        Ok(rights) if rights.all() => {
            let count = rights.rules.len();
            app.ui.talk_toned(
                &format!("You may do all of this in {}.   ✓ {count} of {count} rules", rights.namespace),
                Tone::Good,
            );
        }
        Ok(rights) => {
            let held = rights.rules.iter().filter(|rule| rule.held()).count();
            let (all, namespace) = (rights.rules.len(), &rights.namespace);
            if rights.missing().next().is_none() {
                app.ui.talk_toned(
                    &format!("You may do all it needs in {namespace}.   ✓ {held} of {all} rules, the rest is optional"),
                    Tone::Good,
                );
                return;
            }
            app.ui.talk_toned(
                &format!("You may not do all of this in {namespace}.   {held} of {all} rules"),
                Tone::Warning,
            );
            for missing in rights.missing() {
                app.ui.note(&format!("  ✗ {missing}"));
            }
        }
        Err(error) => app.ui.note(&format!("Whether you may do this was not checked: {}", reason(&error))),
    }
}

/// One run of a command against the cluster.
pub struct ClusterRun {
    connection: Arc<Connection>,
    broker: Broker,
    rules: RuleSet,
    namespace: Namespace,
    context: Option<String>,
    id: ClusterId,
    flags: RunArgs,
}

impl ClusterRun {
    /// Nothing is connected before the command's first call.
    pub fn open(app: &App, receipt: &Receipt, rights: &Rights, flags: &RunArgs) -> Result<Self> {
        let rules = &rights.rules;
        let settings = if rights.selection { settings_to_choose(app)? } else { settings(app)? };
        for remark in settings.remarks() {
            app.ui.warn(&remark);
        }
        let id = ClusterId::of(&settings);
        let namespace = settings.namespace.clone();
        let context = settings.context.clone();
        let connection = Arc::new(Connection::new(settings, timeouts(app)));
        let broker = Broker::new(BrokerConfig {
            connection: Arc::clone(&connection),
            grants: grants(receipt, rules, flags)?,
            namespace: namespace.clone(),
            command: Command {
                name: receipt.name.to_string(),
                version: receipt.version.to_string(),
                digest: receipt.wasm.sha256.to_string(),
            },
            dry_run: flags.dry_run,
            budgets: Budgets::default(),
            audit: Some(audit_log(app)?),
        })
        .context(Kind::Failed, || format!("{} cannot run", receipt.name))?;
        Ok(Self { connection, broker, rules: rules.clone(), namespace, context, id, flags: flags.clone() })
    }

    pub fn kube(&self) -> kf_sandbox::Kube {
        kf_sandbox::Kube { api: Arc::new(self.broker.clone()), runtime: None }
    }

    /// What a command that asks for it may know and change of the namespace in use.
    pub fn selection(&self, app: &App, receipt: &Receipt) -> RunSelection {
        let refused = match (receipt.ceiling.selection, receipt.consent.permissions.selection) {
            (false, _) => Some("the registry no longer lets it choose namespaces"),
            (true, false) => Some("you have not let it choose namespaces"),
            (true, true) => None,
        };
        RunSelection {
            store: Store::of(&app.home),
            cluster: self.id.clone(),
            dry_run: self.flags.dry_run,
            refused: refused.map(|why| format!("{} may not do this: {why}", receipt.name)),
            read_only: self.flags.read_only,
            ui: app.ui.clone(),
        }
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_str()
    }

    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// What the host has to say about a run: warnings, a dry run's changes, the calls.
    pub fn report(&self, app: &App) -> Result<()> {
        for warning in self.broker.warnings() {
            app.ui.warn(&warning);
        }
        if self.flags.dry_run {
            show_changes(app, &self.broker.changes())?;
        }
        if self.flags.explain {
            for line in render_calls(&self.broker.calls(), &self.rules) {
                app.ui.note(&line);
            }
        }
        Ok(())
    }

    /// Who stands in the way of a call, layer by layer, and who can help.
    pub fn explain(&self, receipt: &Receipt, refusal: &Refusal) -> CliError {
        let granters = self.granters(refusal);
        let version = receipt.version.to_string();
        let who = Who {
            command: receipt.name.as_str(),
            version: Some(&version),
            environment: self.namespace.as_str(),
            from_registry: true,
            granters: &granters,
        };
        let explained = explain(refusal, who);
        let json = to_json(refusal, who);
        let mut error = CliError::new(Kind::Forbidden, explained.headline.clone())
            .details(explained.lines().iter().map(|line| line.trim_start().to_owned()))
            .details(self.also_missing(refusal))
            .hint(explained.hint);
        for (name, value) in json.get("error").and_then(|error| error.as_object()).into_iter().flatten() {
            if !["code", "message", "hint"].contains(&name.as_str()) {
                error = error.field(name, value.clone());
            }
        }
        error
    }

    /// What else the command will need of the user, so that one request to an owner is enough.
    fn also_missing(&self, refusal: &Refusal) -> Vec<String> {
        if refusal.layer != kf_core::grants::Layer::Rbac {
            return Vec::new();
        }
        let asked = block_on(preflight::preflight(&self.connection, &self.rules, &self.namespace, None));
        let needed = asked.into_iter().flatten().flatten().filter(|verdict| {
            let rule = verdict.rule.checked_sub(1).and_then(|at| self.rules.rules().get(at));
            rule.is_some_and(|rule| !rule.optional)
        });
        let mut verbs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for missing in needed.flat_map(|verdict| verdict.missing) {
            if (&missing.verb, &missing.resource) != (&refusal.rule.verb, &refusal.rule.resource) {
                verbs.entry(missing.full_resource()).or_default().push(missing.verb);
            }
        }
        let missing: Vec<String> =
            verbs.iter().map(|(resource, verbs)| format!("{} {resource}", verbs.join(", "))).collect();
        if missing.is_empty() { Vec::new() } else { vec![format!("also missing: {}", missing.join("; "))] }
    }

    /// Who can hand out rights, if the user may know.
    fn granters(&self, refusal: &Refusal) -> Vec<Granter> {
        let Some(namespace) = &refusal.rule.namespace else { return Vec::new() };
        if refusal.layer != kf_core::grants::Layer::Rbac {
            return Vec::new();
        }
        let Ok(namespace) = Namespace::parse(namespace.as_str()) else { return Vec::new() };
        block_on(preflight::granters(&self.connection, &namespace)).unwrap_or_default()
    }
}

fn grants(receipt: &Receipt, rules: &RuleSet, flags: &RunArgs) -> Result<Grants> {
    let parsed = |rules: &[serde_json::Value]| {
        RuleSet::parse(rules).map_err(|error| {
            CliError::untrusted(format!("the receipt of {} cannot be used: its {error}", receipt.name))
        })
    };
    let digest = receipt.wasm.sha256.to_string();
    Ok(Grants {
        component: digest.clone(),
        manifest: rules.clone(),
        ceiling: Ceiling::Registry(parsed(&receipt.ceiling.kubernetes)?),
        consent: Some(Consent { component: digest, rules: parsed(&receipt.consent.permissions.kubernetes)? }),
        environment: None,
        run: RunFlags { read_only: flags.read_only },
    })
}

/// Where every call is written down. The folder is made, and a log that has grown makes room.
fn audit_log(app: &App) -> Result<PathBuf> {
    if let Some(path) = env::var(env::KF_AUDIT_LOG) {
        return Ok(PathBuf::from(path));
    }
    let folder = &app.home.state;
    fs_err::create_dir_all(folder)
        .context(Kind::Failed, || "the audit log cannot be kept".to_owned())
        .map_err(|error| error.hint(format!("set {} to a file you can write to", env::KF_AUDIT_LOG)))?;
    let path = folder.join("audit.jsonl");
    if fs_err::metadata(&path).is_ok_and(|log| log.len() > AUDIT_LOG_BYTES) {
        fs_err::rename(&path, folder.join("audit.old.jsonl"))
            .context(Kind::Failed, || "the audit log cannot be kept".to_owned())?;
    }
    Ok(path)
}

fn show_changes(app: &App, changes: &[Change]) -> Result<()> {
    let data_is_json = !matches!(app.ui.format(), Format::Table | Format::Wide);
    for change in changes {
        app.ui.note(&format!("{}   (server dry run: admission agreed)", change.headline()));
        for (mark, text) in change.rendered() {
            let tone = match mark {
                Mark::Added => Tone::Good,
                Mark::Removed => Tone::Bad,
                Mark::Changed => Tone::Warning,
            };
            if data_is_json {
                app.ui.note(&text);
            } else {
                app.ui.data_toned(&text, tone)?;
            }
        }
        if let Some(note) = &change.note {
            app.ui.note(note);
        }
    }
    app.ui.note("Nothing was changed.");
    Ok(())
}
