//! Invented plugins with names, summaries and ceilings like those of real ones. The same numbers give the same plugins.

use std::collections::HashSet;
use std::io::{Error, Result};

use kf_core::nearest::look_alike_keys;

/// How many plugins an author has.
pub(crate) const PLUGINS_PER_AUTHOR: usize = 10;

/// The commands that are really added, each with the component of `hello`. They begin with the most frequent letters, so
/// that nothing is gained by a sparse part of the index.
pub(crate) const ADDED: [&str; 2] = ["cost-report", "train-audit"];

/// A name for one of [`ADDED`] with two swapped letters.
pub(crate) const MISSPELLED: &str = "cost-reprot";

/// The first words of names, most frequent first. Some letters are frequent, as in real indexes, and some are rare.
const FIRST: [&str; 96] = [
    "cost",
    "pod",
    "train",
    "cluster",
    "secret",
    "model",
    "config",
    "resource",
    "service",
    "data",
    "node",
    "check",
    "prune",
    "graph",
    "gpu",
    "cert",
    "split",
    "view",
    "trace",
    "label",
    "image",
    "deploy",
    "score",
    "access",
    "backup",
    "volume",
    "policy",
    "event",
    "queue",
    "tune",
    "debug",
    "notebook",
    "pipeline",
    "feature",
    "metric",
    "schema",
    "export",
    "import",
    "lineage",
    "drift",
    "batch",
    "shadow",
    "canary",
    "quota",
    "ingress",
    "janitor",
    "snapshot",
    "stream",
    "tensor",
    "vector",
    "warm",
    "bench",
    "budget",
    "census",
    "clean",
    "compare",
    "convert",
    "dataset",
    "digest",
    "embed",
    "explain",
    "fetch",
    "forecast",
    "gateway",
    "hyper",
    "idle",
    "inspect",
    "jobset",
    "kernel",
    "ledger",
    "lint",
    "migrate",
    "mirror",
    "namespace",
    "offload",
    "owner",
    "partition",
    "profile",
    "quantize",
    "ray",
    "registry",
    "replay",
    "rollout",
    "sample",
    "scale",
    "sweep",
    "tail",
    "topology",
    "upload",
    "usage",
    "validate",
    "watch",
    "workload",
    "xray",
    "yield",
    "zone",
];

/// Later words.
const LATER: [&str; 80] = [
    "report",
    "audit",
    "tree",
    "status",
    "top",
    "clean",
    "diff",
    "lens",
    "sync",
    "logs",
    "count",
    "search",
    "stats",
    "plan",
    "guard",
    "history",
    "review",
    "limits",
    "map",
    "rotate",
    "compare",
    "exporter",
    "doctor",
    "list",
    "summary",
    "helper",
    "copy",
    "monitor",
    "runner",
    "shell",
    "browser",
    "finder",
    "cache",
    "alerts",
    "trends",
    "usage",
    "owners",
    "rights",
    "rules",
    "graph",
    "replay",
    "snapshot",
    "bench",
    "preview",
    "restore",
    "archive",
    "cleanup",
    "checker",
    "converter",
    "dashboard",
    "estimate",
    "filter",
    "gateway",
    "health",
    "inventory",
    "janitor",
    "keeper",
    "linter",
    "merge",
    "notify",
    "optimizer",
    "planner",
    "query",
    "resizer",
    "scanner",
    "tracker",
    "upgrade",
    "validator",
    "watcher",
    "explorer",
    "forecast",
    "backfill",
    "billing",
    "drain",
    "export",
    "freeze",
    "inspect",
    "labels",
    "migrator",
    "profiler",
];

/// The beginnings of summaries, and what they are about. Together they have 60 to 80 letters.
const VERBS: [&str; 8] = [
    "Show which training jobs and notebooks",
    "Report how many pods and volumes",
    "Find inference services and workloads that",
    "List namespaces whose jobs and pods",
    "Compare runs and show which of them",
    "Check that models and their services",
    "Watch queues and print which jobs",
    "Explain why pods of a training job",
];
const MATTERS: [&str; 8] = [
    "use the most GPUs and memory",
    "were idle for more than a day",
    "exceed the quota of their team",
    "lack an owner or a cost label",
    "still wait for a free node",
    "changed since the last release",
    "cost more than in the last week",
    "restart again and again",
];

/// The rules of ceilings, as in the first-party commands: groups, resources and verbs.
const RULES: [(&str, &str, &str); 12] = [
    (r#"[""]"#, r#"["pods"]"#, r#"["get", "list", "watch"]"#),
    (r#"[""]"#, r#"["pods/log"]"#, r#"["get"]"#),
    (r#"[""]"#, r#"["events"]"#, r#"["list", "watch"]"#),
    (r#"[""]"#, r#"["persistentvolumeclaims"]"#, r#"["get", "list"]"#),
    (r#"[""]"#, r#"["configmaps"]"#, r#"["get", "list"]"#),
    (r#"["apps"]"#, r#"["deployments", "statefulsets"]"#, r#"["get", "list", "watch"]"#),
    (r#"["batch"]"#, r#"["jobs"]"#, r#"["get", "list", "watch"]"#),
    (r#"["trainer.kubeflow.org"]"#, r#"["trainjobs"]"#, r#"["get", "list", "watch", "create", "patch"]"#),
    (
        r#"["kubeflow.org"]"#,
        r#"["pytorchjobs", "tfjobs", "mpijobs", "xgboostjobs", "paddlejobs", "jaxjobs"]"#,
        r#"["get", "list", "watch"]"#,
    ),
    (r#"["kubeflow.org"]"#, r#"["notebooks", "workspaces"]"#, r#"["get", "list", "watch"]"#),
    (r#"["serving.kserve.io"]"#, r#"["inferenceservices"]"#, r#"["get", "list", "watch"]"#),
    (r#"["kueue.x-k8s.io"]"#, r#"["workloads"]"#, r#"["list", "watch"]"#),
];

/// A plugin with everything that an index has about it.
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) author: String,
    pub(crate) summary: String,
    pub(crate) homepage: String,
    /// For manifests of krew; kf's index has none.
    pub(crate) description: String,
    rules: Vec<(&'static str, &'static str, &'static str)>,
}

impl Plugin {
    /// Whether it is one of [`ADDED`].
    pub(crate) fn is_added(&self) -> bool {
        ADDED.contains(&self.name.as_str())
    }

    /// The rules as TOML, below the table `ceiling` or `permissions`.
    pub(crate) fn rules(&self, table: &str) -> String {
        let rule = |(groups, resources, verbs): &(&str, &str, &str)| {
            format!(
                "\n[[{table}.kubernetes]]\napiGroups = {groups}\nresources = {resources}\nverbs = {verbs}\n"
            )
        };
        self.rules.iter().map(rule).collect()
    }
}

/// `count` plugins. Those of [`ADDED`] come first in their authors' lists.
pub(crate) fn plugins(count: usize) -> Result<Vec<Plugin>> {
    let mut random = fastrand::Rng::with_seed(15);
    let mut names = Names::default();
    let authors = count.div_ceil(PLUGINS_PER_AUTHOR);
    let author_names: Vec<String> =
        (0..authors).map(|number| author(number, &mut random)).collect::<Result<_>>()?;
    for name in ADDED {
        names.take(name);
    }
    (0..count)
        .map(|number| {
            let (author, place) = (number / PLUGINS_PER_AUTHOR, number % PLUGINS_PER_AUTHOR);
            let author = author_names.get(author).ok_or_else(|| Error::other("an author is missing"))?;
            let added = ADDED.get(number / PLUGINS_PER_AUTHOR).filter(|_| place == 0);
            let name = match added {
                Some(name) => (*name).to_owned(),
                None => names.next(&mut random)?,
            };
            plugin(name, author, &mut random)
        })
        .collect()
}

fn plugin(name: String, author: &str, random: &mut fastrand::Rng) -> Result<Plugin> {
    let (verb, matter) = (pick(&VERBS, random)?, pick(&MATTERS, random)?);
    let count = 2 + random.usize(..3);
    let rules = random.choose_multiple(RULES, count);
    Ok(Plugin {
        summary: format!("{verb} {matter}"),
        homepage: format!("https://github.com/{author}/kf-{name}"),
        description: format!(
            "{verb} {matter}.\nIt reads objects of the namespace in use, or of all namespaces with -A,\nand \
             prints a table, or JSON and YAML for scripts.\nSee the homepage for examples of {name} and for how to report bugs."
        ),
        author: author.to_owned(),
        name,
        rules,
    })
}

/// The names so far. No two of them can be mistaken for each other, because registries refuse that.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The next name of two or three words.
    fn next(&mut self, random: &mut fastrand::Rng) -> Result<String> {
        // The rest of the names is found long before.
        for attempt in 0..1_000_000 {
            let mut words = vec![frequent(random)?, pick(&LATER, random)?];
            if attempt > 10 || random.u8(..) < 64 {
                words.push(pick(&LATER, random)?);
            }
            let mut unlike = words.clone();
            unlike.dedup();
            let name = words.join("-");
            if unlike.len() == words.len() && name.len() <= 40 && self.take(&name) {
                return Ok(name);
            }
        }
        Err(Error::other("the words do not make enough names"))
    }

    /// Whether the name is unlike all others so far.
    fn take(&mut self, name: &str) -> bool {
        let keys = look_alike_keys(name);
        let is_free = keys.iter().all(|key| !self.0.contains(key));
        if is_free {
            self.0.extend(keys);
        }
        is_free
    }
}

/// A first word. Each is a little rarer than the one before.
fn frequent(random: &mut fastrand::Rng) -> Result<&'static str> {
    // The smaller of two random numbers.
    let at = random.usize(..FIRST.len()).min(random.usize(..FIRST.len()));
    FIRST.get(at).copied().ok_or_else(|| Error::other("a word is missing"))
}

fn author(number: usize, random: &mut fastrand::Rng) -> Result<String> {
    const TEAMS: [&str; 8] = ["labs", "ml", "data", "cloud", "research", "infra", "works", "ai"];
    Ok(format!("{}-{}-{number}", pick(&FIRST, random)?, pick(&TEAMS, random)?))
}

fn pick(words: &[&'static str], random: &mut fastrand::Rng) -> Result<&'static str> {
    random.choice(words).copied().ok_or_else(|| Error::other("no words"))
}
