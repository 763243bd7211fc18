//! The people of a registry, each with a home of their own: two admins, the machine that publishes, an author and a user.

use std::path::PathBuf;

use super::registry::{self, copy};
use super::{Home, Ran, output_of};

pub const PASSPHRASE: &str = "correct horse battery";

/// Everyone, and the folder that they share.
pub struct Registry {
    pub shared: tempfile::TempDir,
    pub bob: Home,
    pub carol: Home,
    pub publisher: Home,
    pub alice: Home,
    pub user: Home,
}

impl Registry {
    fn new() -> Self {
        let [bob, carol, publisher, alice, user] = std::array::from_fn(|_| Home::empty());
        Self { shared: tempfile::tempdir().unwrap(), bob, carol, publisher, alice, user }
    }

    /// A registry with two admins, and `hello` delegated to alice with a ceiling of choosing the namespace.
    pub fn delegated() -> Self {
        let registry = Self::new();
        let Self { bob, carol, publisher, alice, .. } = &registry;
        let bobs = registry.key(bob, "key.pem");
        let carols = registry.key(carol, "key.pem");
        let online = registry.key(publisher, "key.pem");
        let alices = registry.key(alice, "key.pem");
        let init = format!(
            "kf registry init team --index index --root-key bob={bobs} --root-key carol={carols} --root-threshold 2 \
             --targets-threshold 2 --snapshot-key publisher={online}"
        );
        registry.run(bob, &init).success();
        fs_err::write(registry.path("hello.toml"), manifest("0.1.0", SELECTION)).unwrap();
        let delegate = format!(
            "kf registry delegate alice --index index --contact alice@example.org --key {alices} --manifest hello.toml"
        );
        registry.run(bob, &delegate).success();
        registry
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.shared.path().join(path)
    }

    /// Runs a line in the shared folder. `$HOME` is the person's own.
    pub fn run(&self, who: &Home, line: &str) -> Ran {
        fs_err::write(who.path().join("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        let line = format!("cd {} && {line} 3< \"$HOME/passphrase\"", self.shared.path().display());
        let mut ran = Ran::of(&output_of(&mut who.shell(&line)), who.path());
        let shared = self.shared.path().display().to_string();
        for text in [&mut ran.stdout, &mut ran.stderr] {
            *text = text.replace(&shared, "[SHARED]");
        }
        ran
    }

    /// Generates a key in a person's home; its public half.
    pub fn key(&self, who: &Home, file: &str) -> String {
        let line = format!("kf registry key generate \"$HOME/{file}\" --passphrase-fd 3");
        self.run(who, &line).success().stdout.trim().to_owned()
    }

    /// Signs with a person's key everything that it may sign, as the hint of the refusal without a terminal says.
    pub fn sign(&self, who: &Home, staging: &str) -> Ran {
        self.sign_with(who, "key.pem", staging)
    }

    pub fn sign_with(&self, who: &Home, key: &str, staging: &str) -> Ran {
        let sign =
            format!("kf registry sign {staging} --key \"$HOME/{key}\" --index index --passphrase-fd 3");
        let mut line = sign.clone();
        loop {
            let ran = self.run(who, &line);
            let Some((_, digest)) = ran.stderr.rsplit_once(" --accept ").filter(|_| ran.code == Some(8))
            else {
                return ran.success();
            };
            let accept = format!(" --accept {}", digest.trim());
            assert!(!line.contains(&accept), "{}", ran.transcript());
            line.push_str(&accept);
        }
    }

    /// Stages the text, lets both admins sign, and publishes.
    pub fn publish_text(&self, staging: &str) {
        self.run(&self.bob, &format!("kf registry stage {staging} --index index")).success();
        self.sign(&self.bob, staging);
        self.sign(&self.carol, staging);
        self.publish(staging).success();
    }

    pub fn publish(&self, staging: &str) -> Ran {
        let line =
            format!("kf registry publish {staging} --key \"$HOME/key.pem\" --index index --passphrase-fd 3");
        self.run(&self.publisher, &line)
    }

    /// Signs `hello` as this version, with more lines in its manifest.
    pub fn hand_in(&self, key: &str, version: &str, permissions: &str, out: &str) -> Ran {
        let folder = self.alice.path().join("hello");
        if !folder.exists() {
            copy(&registry::artifacts().join("hello"), &folder);
        }
        fs_err::write(folder.join("plugin.toml"), manifest(version, permissions)).unwrap();
        // Each version has another component, as if it were built again.
        let mut wasm = fs_err::read(registry::artifacts().join("hello/plugin.wasm")).unwrap();
        let section = [&[7][..], b"version", version.as_bytes()].concat();
        wasm.extend([0, u8::try_from(section.len()).unwrap()]);
        wasm.extend(section);
        fs_err::write(folder.join("plugin.wasm"), wasm).unwrap();
        let line = format!(
            "kf plugin sign \"$HOME/hello\" --index index --published published --key \"$HOME/{key}\" --out {out} --passphrase-fd 3"
        );
        self.run(&self.alice, &line)
    }

    pub fn accept(&self, who: &Home, staging: &str, more: &str) -> Ran {
        self.run(who, &format!("kf registry accept {staging} --index index {more}"))
    }

    pub fn approve(&self, who: &Home, staging: &str) -> Ran {
        self.accept(who, staging, "--approve-grants --key \"$HOME/key.pem\" --passphrase-fd 3")
    }
}

pub fn manifest(version: &str, permissions: &str) -> String {
    format!(
        "format = 1\n[plugin]\nname = \"hello\"\nversion = \"{version}\"\nabi = \"0.1.0\"\nsummary = \"Say hello\"\n\
         license = \"Apache-2.0\"\n{permissions}"
    )
}

pub const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n\
                          clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n";

pub const SELECTION: &str = "[permissions]\nselection = true\n";
