//! A namespace for one test, deleted with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use fs_err as fs;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, PropagationPolicy};

use super::Cluster;
use super::access;
use super::client::{block_on, connect};
use super::error::{ClusterError, Result};
use super::users::{self, User};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A new namespace that dana can edit, including TrainJobs, that vic can view, and that nils cannot access. Deleted
/// without waiting when dropped.
#[derive(Debug)]
pub struct TestNamespace {
    name: String,
    directory: PathBuf,
    admin: PathBuf,
}

impl TestNamespace {
    /// Creates a namespace whose name starts with `hint`, and waits until dana can create pods in it.
    pub fn new(cluster: &Cluster, hint: &str) -> Result<Self> {
        let name = unique_name(hint);
        let directory = cluster.directory().join("namespaces").join(&name);
        fs::create_dir_all(&directory)?;
        let namespace = Self { name, directory, admin: cluster.kubeconfig(User::Admin) };
        for user in User::ALL {
            users::copy_kubeconfig(&cluster.kubeconfig(user), &namespace.kubeconfig(user), &namespace.name)?;
        }
        let logs = cluster.logs();
        let has_controllers = cluster.has_controllers();
        block_on(async {
            let client = connect(&namespace.admin).await?;
            access::make_namespace(&client, &namespace.name).await?;
            access::bind_users(&client, &namespace.name).await?;
            if !has_controllers {
                access::make_service_account(&client, &namespace.name).await?;
            }
            access::wait_for_service_account(&client, &namespace.name, &logs).await?;
            access::wait_for_bindings(&client, &namespace.name, &logs).await
        })?;
        Ok(namespace)
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kubeconfig of `user` with this namespace in its current context.
    #[must_use]
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        user.kubeconfig(&self.directory)
    }

    /// The test's own directory, deleted with the namespace.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn delete(&self) -> Result<()> {
        block_on(async {
            let namespaces: Api<Namespace> = Api::all(connect(&self.admin).await?);
            let background = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            namespaces
                .delete(&self.name, &background)
                .await
                .map(drop)
                .map_err(ClusterError::api(format!("delete the namespace {}", self.name)))
        })
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        // Fails if the cluster is gone already.
        let _ = self.delete();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn unique_name(hint: &str) -> String {
    let hint: String = hint
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros();
    // Of constant length, so that output with the name always has the same layout.
    format!("{}-{:06x}-{:05x}{:02x}", hint.trim_matches('-'), std::process::id(), time, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_labels() {
        let (a, b) = (unique_name("Logs of_a Job!"), unique_name("Logs of_a Job!"));
        assert_ne!(a, b);
        assert!(a.starts_with("logs-of-a-job-"), "{a}");
        assert!(a.len() < 63);
    }
}
