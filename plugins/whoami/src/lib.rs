//! `kf whoami`: the user as the cluster sees them, and their role in this namespace.

mod role;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::{Context, Identity, short_duration};
use serde::Serialize;

pub use role::Role;

/// Show your user, groups and role
#[derive(clap::Parser, Describe)]
#[kf(example("whoami", "user, groups, cluster, namespace and role"))]
#[kf(example("whoami -o json", "the same for a script"))]
#[kf(example("whoami -n team-b", "your role in another namespace"))]
pub struct Whoami {}

/// The printed report.
#[derive(Serialize, TableRow)]
#[row(name = "format!(\"user/{}\", self.user.as_deref().unwrap_or(UNKNOWN))")]
struct Report {
    #[serde(skip)]
    #[column(title = "USER")]
    user_line: Cell,
    /// `None` if the cluster cannot tell.
    #[column(skip)]
    user: Option<String>,
    #[serde(skip)]
    #[column(title = "GROUPS")]
    groups_line: String,
    #[column(skip)]
    groups: Vec<String>,
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[column(skip)]
    environment: Option<String>,
    namespace: String,
    #[serde(skip)]
    #[column(title = "ROLE")]
    role_line: Cell,
    #[column(skip)]
    role: Role,
    #[serde(skip)]
    #[column(title = "CREDENTIALS")]
    expires_line: Cell,
    #[column(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
}

#[kf_plugin_sdk::main]
pub fn main(_: Whoami, kf: &Kf) -> Result<Exit> {
    let identity = match kf.whoami() {
        // `-o name` prints no made-up name.
        Err(error) if error.is(ErrorCode::Unsupported) && kf.output_format() != Format::Name => {
            kf.warn(error.message);
            None
        }
        identity => Some(identity?),
    };
    let role = role::probe(kf)?;
    kf.record(&report(identity, kf.context(), role, kf.now()))?;
    Ok(Exit::OK)
}

const UNKNOWN: &str = "unknown";

fn report(identity: Option<Identity>, context: Context, role: Role, now: Timestamp) -> Report {
    let user = identity.as_ref().map(|identity| identity.username.clone());
    let user_line = match &user {
        Some(user) => Cell::toned(user, Tone::Plain),
        None => Cell::toned(UNKNOWN, Tone::Warning),
    };
    let identity = identity.unwrap_or_default();
    let expires = identity.expires.map(Timestamp);
    Report {
        user_line,
        groups_line: identity.groups.join(", "),
        user,
        groups: identity.groups,
        cluster: context.cluster,
        environment: context.environment,
        namespace: context.namespace,
        role_line: role.cell(),
        role,
        expires_line: expiry(expires, now),
        expires,
        uid: identity.uid,
    }
}

fn expiry(expires: Option<Timestamp>, now: Timestamp) -> Cell {
    match expires {
        None => Cell::toned("no known expiry", Tone::Plain),
        Some(end) if end <= now => Cell::toned(format!("expired at {end}"), Tone::Bad),
        Some(end) => {
            let left = now.age(end);
            let tone = if left.as_secs() < 600 { Tone::Warning } else { Tone::Plain };
            Cell::toned(format!("valid for {}, until {end}", short_duration(left)), tone)
        }
    }
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn alice() -> FakeHost {
        let host = FakeHost::new("team-a");
        host.change_context(|context| context.cluster = Some("lab".into()));
        host.cluster(|cluster| {
            cluster.set_identity(Identity {
                username: "alice".into(),
                groups: vec!["ml".into(), "system:authenticated".into()],
                ..Identity::default()
            });
        });
        host
    }

    #[test]
    fn shows_user_groups_and_role() {
        let host = alice();
        host.cluster(|cluster| cluster.deny("create", "rbac.authorization.k8s.io", "rolebindings"));
        assert_eq!(host.run::<Plugin>(&[]), Ok(Exit::OK));
        assert_eq!(
            host.terminal().stdout,
            "USER  alice\nGROUPS  ml, system:authenticated\nCLUSTER  lab\nNAMESPACE  team-a\n\
             ROLE  edit: can run and change workloads\nCREDENTIALS  no known expiry\nUID\n"
        );
    }

    #[test]
    fn cluster_without_self_subject_review_still_shows_role() {
        let host = alice();
        let old = Error::unsupported("this cluster serves no SelfSubjectReview");
        host.cluster(|cluster| cluster.hide_identity(old.clone()));
        assert_eq!(host.run::<Plugin>(&[]), Ok(Exit::OK));
        assert_eq!(host.terminal().notes, ["warning: this cluster serves no SelfSubjectReview"]);
        assert!(host.terminal().stdout.starts_with("USER  unknown\n"), "{}", host.terminal().stdout);
        assert!(host.terminal().stdout.contains("ROLE  admin"), "{}", host.terminal().stdout);
        host.format(Format::Name);
        assert_eq!(host.run::<Plugin>(&[]), Err(old));
    }

    #[test]
    fn json_output_has_fields() {
        let host = alice();
        host.format(Format::Json);
        host.run::<Plugin>(&[]).unwrap();
        let json: serde_json::Value = serde_json::from_str(&host.terminal().stdout).unwrap();
        assert_eq!(json["user"], "alice");
        assert_eq!(json["groups"][0], "ml");
        assert_eq!(json["role"], "admin");
        assert!(json.get("expires").is_none());
    }

    #[test]
    fn expiring_credentials_are_highlighted() {
        let now = Timestamp(1_000_000);
        assert_eq!(expiry(Some(Timestamp(1_000_000 + 90_000)), now).tone, Tone::Warning);
        assert!(expiry(Some(now), now).text.starts_with("expired"));
        assert_eq!(expiry(Some(Timestamp(1_000_000 + 7_200_000)), now).tone, Tone::Plain);
    }
}
