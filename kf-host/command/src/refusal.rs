//! A refusal for people and for programs: the layers that allowed the access, the one that refused
//! it, and what to do about it.

use kf_core::grants::{Granter, Layer, Refusal};
use serde_json::{Value, json};

/// The run in which an access was refused.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The command as the user types it.
    pub command: &'a str,
    /// The command line to be asked for its rights again.
    pub reinstall: &'a str,
    /// The namespace of the run.
    pub environment: &'a str,
    /// Whether a registry vouches for the command.
    pub from_registry: bool,
    /// Who can grant rights in the environment; empty if unknown.
    pub granters: &'a [Granter],
}

/// One layer's line: `your own rights     ✗ alice has no `create trainjobs` in team-a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub layer: Layer,
    pub label: String,
    pub allowed: bool,
    /// Why not; empty if it is allowed.
    pub reason: String,
}

/// A refusal, ready to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `train is not allowed to create trainjobs.trainer.kubeflow.org in team-a`
    pub headline: String,
    /// Up to the layer that refused; later layers were not checked.
    pub steps: Vec<Step>,
    pub hint: String,
}

impl Explanation {
    /// The steps as aligned lines, without colour.
    pub fn lines(&self) -> Vec<String> {
        let width = self.steps.iter().map(|s| s.label.chars().count()).max().unwrap_or(0);
        self.steps
            .iter()
            .map(|step| {
                let mark = if step.allowed { "✓" } else { "✗" };
                let pad = " ".repeat(width - step.label.chars().count());
                format!("  {}{pad} {mark} {}", step.label, step.reason).trim_end().to_owned()
            })
            .collect()
    }
}

/// Explains a refusal: the layers in order, and how to get past the one that refused.
pub fn explain(refusal: &Refusal, who: Who<'_>) -> Explanation {
    let Who { command, environment, .. } = who;
    let layers = [
        (Layer::Manifest, format!("requested by {command}")),
        (
            Layer::Registry,
            if who.from_registry { "allowed by registry" } else { "allowed for local files" }.to_owned(),
        ),
        (Layer::Consent, "accepted by you".to_owned()),
        (Layer::Run, "flags of this run".to_owned()),
        (Layer::Environment, format!("environment {environment}")),
        (Layer::Rbac, "your own rights".to_owned()),
    ];
    let steps = layers
        .into_iter()
        .filter(|(layer, _)| *layer <= refusal.layer)
        // The flags are shown only if they refused the access.
        .filter(|(layer, _)| *layer != Layer::Run || refusal.layer == Layer::Run)
        .map(|(layer, label)| {
            let allowed = layer != refusal.layer;
            Step { layer, label, allowed, reason: if allowed { String::new() } else { reason(refusal, who) } }
        })
        .collect();
    let headline = format!("{command} is not allowed to {}", refusal.rule);
    Explanation { headline, steps, hint: hint(refusal, who) }
}

fn elsewhere<'r>(refusal: &'r Refusal, who: Who<'_>) -> Option<&'r str> {
    refusal.rule.namespace.as_deref().filter(|namespace| *namespace != who.environment)
}

fn reason(refusal: &Refusal, who: Who<'_>) -> String {
    let rule = &refusal.rule;
    match refusal.layer {
        Layer::Manifest => format!("no rule for `{} {}` {}", rule.verb, rule.resource, rule.place()),
        Layer::Registry if who.from_registry => "above the ceiling set by its admins".to_owned(),
        Layer::Registry => "a dangerous right, which only the admins of a registry can allow".to_owned(),
        Layer::Consent => "you have not accepted this right for this version".to_owned(),
        Layer::Run => "--read-only".to_owned(),
        Layer::Environment => match elsewhere(refusal, who) {
            Some(namespace) => format!("{namespace} is another environment"),
            None => "not among the rights it allows commands".to_owned(),
        },
        Layer::Rbac => format!(
            "{} has no `{} {}` {}",
            refusal.user.as_deref().unwrap_or("your user"),
            rule.verb,
            rule.resource,
            rule.place(),
        ),
    }
}

fn hint(refusal: &Refusal, who: Who<'_>) -> String {
    let Who { command, environment, .. } = who;
    match refusal.layer {
        Layer::Manifest => {
            format!(
                "ask the author of {command} to add the rule; `kf command describe {command}` names the author"
            )
        }
        Layer::Registry if who.from_registry => {
            format!("ask an admin of the registry; `kf command describe {command}` shows the ceiling")
        }
        Layer::Registry => "publish the command in a registry whose admins allow it".to_owned(),
        Layer::Consent => who.reinstall.to_owned(),
        Layer::Run => "run without --read-only".to_owned(),
        Layer::Environment => match elsewhere(refusal, who) {
            Some(namespace) => format!("kf -n {namespace} {command} …"),
            None => format!("ask {} to allow it there", owner(environment, who.granters)),
        },
        Layer::Rbac => match refusal.rule.namespace.as_deref() {
            None => "ask an administrator of the cluster".to_owned(),
            // No role in a namespace allows changing the namespace itself.
            Some(_) if refusal.rule.resource == "namespaces" && !reads(&refusal.rule.verb) => {
                "ask an administrator of the cluster".to_owned()
            }
            Some(namespace) => {
                let mut hint = format!("ask {}", owner(namespace, who.granters));
                if let Some(role) = who.granters.iter().find_map(|g| g.enough.as_deref()) {
                    hint.push_str(&format!(" for the role {role}"));
                }
                hint
            }
        },
    }
}

fn reads(verb: &str) -> bool {
    ["get", "list", "watch"].contains(&verb)
}

fn owner(namespace: &str, granters: &[Granter]) -> String {
    const MAX_NAMED: usize = 3;
    let names: Vec<String> =
        granters.iter().take(MAX_NAMED).map(|g| format!("{}, role {}", g.subject, g.role)).collect();
    if names.is_empty() {
        format!("an owner of {namespace} (role admin or kubeflow-admin)")
    } else {
        format!("an owner of {namespace} ({})", names.join("; "))
    }
}

/// The refusal as `-o json` prints it on stderr.
pub fn to_json(refusal: &Refusal, who: Who<'_>) -> Value {
    let explanation = explain(refusal, who);
    json!({"error": {
        "code": "forbidden",
        "message": explanation.headline,
        "layer": refusal.layer,
        "rule": refusal.rule,
        "namespace": refusal.rule.namespace,
        "user": refusal.user,
        "hint": explanation.hint,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use kf_core::grants::MissingRule;

    fn refusal(layer: Layer) -> Refusal {
        Refusal {
            layer,
            rule: MissingRule {
                verb: "create".into(),
                group: "trainer.kubeflow.org".into(),
                resource: "trainjobs".into(),
                name: None,
                namespace: Some("team-a".into()),
            },
            user: (layer == Layer::Rbac).then(|| "alice".into()),
        }
    }

    const WHO: Who<'static> = Who {
        command: "train",
        reinstall: "kf command remove train && kf command add lab/train@1.4.0",
        environment: "team-a",
        from_registry: true,
        granters: &[],
    };

    #[test]
    fn rbac_refusal_shows_every_layer_and_names_owner() {
        let granters = [Granter {
            subject: "bob".into(),
            role: "kubeflow-admin".into(),
            enough: Some("kubeflow-edit".into()),
        }];
        let explanation = explain(&refusal(Layer::Rbac), Who { granters: &granters, ..WHO });
        assert_eq!(
            explanation.headline,
            "train is not allowed to create trainjobs.trainer.kubeflow.org in team-a"
        );
        assert_eq!(
            explanation.lines(),
            [
                "  requested by train  ✓",
                "  allowed by registry ✓",
                "  accepted by you     ✓",
                "  environment team-a  ✓",
                "  your own rights     ✗ alice has no `create trainjobs` in team-a",
            ]
        );
        assert_eq!(
            explanation.hint,
            "ask an owner of team-a (bob, role kubeflow-admin) for the role kubeflow-edit"
        );
    }

    #[test]
    fn refusing_layer_is_the_last_step() {
        for layer in
            [Layer::Manifest, Layer::Registry, Layer::Consent, Layer::Run, Layer::Environment, Layer::Rbac]
        {
            let explanation = explain(&refusal(layer), WHO);
            let (last, before) = explanation.steps.split_last().unwrap();
            assert_eq!(last.layer, layer);
            assert!(!last.allowed && !last.reason.is_empty());
            assert!(before.iter().all(|step| step.allowed));
            assert!(!explanation.hint.is_empty());
        }
    }

    #[test]
    fn json_has_the_layer_the_rule_and_the_hint() {
        let value = to_json(&refusal(Layer::Rbac), WHO);
        assert_eq!(value["error"]["code"], "forbidden");
        assert_eq!(value["error"]["layer"], "rbac");
        assert_eq!(value["error"]["rule"]["verb"], "create");
        assert_eq!(value["error"]["namespace"], "team-a");
        assert_eq!(value["error"]["hint"], "ask an owner of team-a (role admin or kubeflow-admin)");
    }
}
