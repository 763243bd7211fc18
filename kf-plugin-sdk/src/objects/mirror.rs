use std::collections::BTreeMap;

use super::{Api, Change, Object, Reflector};
use crate::abi::Pollable;
use crate::error::{Error, Result};
use crate::kf::Kf;

/// The objects of a selection by name, kept up to date by a [`Reflector`].
pub struct Mirror {
    reflector: Reflector,
    objects: BTreeMap<String, Object>,
}

impl Mirror {
    /// Lists the objects and starts watching them.
    pub fn open(kf: &Kf, api: Api) -> Result<Self> {
        let (found, reflector) = Reflector::open(kf, api)?;
        let mut mirror = Self { reflector, objects: BTreeMap::new() };
        mirror.apply(Change::All(found));
        Ok(mirror)
    }

    /// Ready when [`Mirror::take`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.reflector.subscribe()
    }

    /// Applies the changes, blocking until there is one. An error is final.
    pub fn take(&mut self) -> Result<()> {
        for change in self.reflector.changes()? {
            self.apply(change);
        }
        Ok(())
    }

    /// Returns why the objects may be out of date, while the connection is lost.
    pub fn lost(&self) -> Option<&Error> {
        self.reflector.lost()
    }

    /// Returns an object by name.
    pub fn get(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)
    }

    /// Iterates over the objects, sorted by name.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    fn apply(&mut self, change: Change) {
        let named = |object: Object| (object.name().to_owned(), object);
        match change {
            Change::All(objects) => self.objects = objects.into_iter().map(named).collect(),
            Change::Put(object) => self.objects.extend([named(object)]),
            Change::Deleted(object) => drop(self.objects.remove(object.name())),
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorCode;
    use crate::testing::FakeHost;

    fn pod(name: &str, phase: &str) -> serde_json::Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "status": { "phase": phase } })
    }

    fn phases(mirror: &Mirror) -> Vec<(&str, Option<&str>)> {
        mirror.objects().map(|pod| (pod.name(), pod.str("/status/phase"))).collect()
    }

    #[test]
    fn mirror_follows_changes() {
        let host = FakeHost::new("team-a");
        host.put(pod("a", "Pending"));
        host.put(pod("b", "Running"));
        let mut mirror = Mirror::open(&host.kf(), host.kf().api("Pod")).unwrap();
        assert_eq!(phases(&mirror), [("a", Some("Pending")), ("b", Some("Running"))]);
        host.put(pod("a", "Running"));
        host.put(pod("c", "Pending"));
        host.cluster(|cluster| cluster.remove("Pod", "b"));
        while mirror.subscribe().ready() {
            mirror.take().unwrap();
        }
        assert_eq!(phases(&mirror), [("a", Some("Running")), ("c", Some("Pending"))]);
        assert!(mirror.get("b").is_none() && mirror.lost().is_none());
    }

    #[test]
    fn mirror_reconnects_to_unavailable_server() {
        // A server that has just started forbids everything until its roles are loaded.
        for code in [ErrorCode::Unreachable, ErrorCode::Forbidden, ErrorCode::NotFound] {
            let host = FakeHost::new("team-a");
            host.put(pod("a", "Pending"));
            let mut mirror = Mirror::open(&host.kf(), host.kf().api("Pod")).unwrap();
            let away = Error::new(code, "away");
            host.cluster(|cluster| {
                cluster.break_watches("Pod", away.clone());
                cluster.fail("list", "Pod", away);
            });
            mirror.take().unwrap();
            assert!(mirror.lost().is_some());
            assert_eq!(phases(&mirror), [("a", Some("Pending"))], "known objects are kept");
            host.cluster(|cluster| {
                cluster.recover("list", "Pod");
                cluster.remove("Pod", "a");
            });
            mirror.take().unwrap();
            assert!(mirror.lost().is_none() && mirror.objects().next().is_none());
        }
    }
}
