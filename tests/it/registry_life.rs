//! A registry from its first day to a stolen key: two admins, the machine that publishes, an author and a user, each with a
//! home of their own. What they hand to each other are files in one shared folder.

use std::path::Path;

use crate::common::people::{KUBECONFIG, PASSPHRASE, Registry, SELECTION};
use crate::common::readme;
use crate::common::registry::{self, copy};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

/// Asserts the end of what was said; the changes before it have keys, whose order differs in every run.
fn ends_with(ran: &Ran, end: &str) {
    assert!(ran.stderr.ends_with(end), "{}", ran.transcript());
}

fn is_blocked(ran: &Ran) {
    assert_eq!(ran.code, Some(8), "{}", ran.transcript());
    assert!(
        ran.stderr.contains("is blocked by registry team: it switches to other namespaces"),
        "{}",
        ran.transcript()
    );
}

#[test]
fn registry_lives_through_growing_rights_stolen_key_and_root_rotation() {
    let registry = Registry::delegated();
    let Registry { bob, carol, alice, user, .. } = &registry;

    // The admins sign on their own machines, one after the other.
    registry.run(bob, "kf registry stage first --index index").success();
    ends_with(
        &registry.sign(bob, "first"),
        "root needs 1 more signature, of carol\ntargets needs 1 more signature, of carol\n",
    );
    kf_snapshot!(registry.publish("first"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: signature threshold not met for role root: 1/2 valid signatures
    ");
    ends_with(
        &registry.sign(carol, "first"),
        "all signatures are there; next: `kf registry publish first` where the online keys are\n",
    );
    registry.publish("first").success();

    // 0.1.0 has no rights.
    registry.hand_in("key.pem", "0.1.0", "", "handed-in").success();
    kf_snapshot!(registry.accept(bob, "handed-in", ""), @"
    exit: 0
    ----- stdout -----
    hello 0.1.0 by alice (sha256 [DIGEST]), first version
      + summary: Say hello
      + license: Apache-2.0
      + ABI: 0.1.0
      + size: [SIZE]
      + hello
      + hello --loud
      + hello NAME
    ----- stderr -----
    next: `kf registry publish handed-in --index index`
    ");
    registry.publish("handed-in").success();
    // A command that may choose the namespace reads the kubeconfig, and connects to nothing.
    fs_err::create_dir(user.path().join(".kube")).unwrap();
    fs_err::write(user.path().join(".kube/config"), KUBECONFIG).unwrap();
    let published = registry.path("published").display().to_string();
    registry
        .run(user, &format!("kf registry add team file://{published} --root published/metadata/1.root.json"))
        .success();
    registry.run(user, "kf command add hello").success();
    registry.run(user, "kf hello").success();

    // 0.2.0 wants to choose the namespace, which its ceiling allows.
    registry.hand_in("key.pem", "0.2.0", SELECTION, "more").success();
    kf_snapshot!(registry.accept(bob, "more", ""), @"
    exit: 8
    ----- stdout -----
    hello 0.2.0 by alice (sha256 [DIGEST]), since 0.1.0
      + may change which namespace later commands use
    ----- stderr -----
    warning: hello 0.2.0 may do more than before: change which namespace later commands use
    author-alice needs 2 more approvals, of bob or carol
    error: refusing author-alice: rights grow and the admins have not approved it
    hint: kf registry accept more --approve-grants --key FILE --index index
    ");
    kf_snapshot!(registry.publish("more"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot publish hello 0.2.0: it may do more than 0.1.0, and the admins have not approved it: change which namespace later commands use
    hint: kf registry accept STAGING --approve-grants --key FILE
    ");
    kf_snapshot!(registry.approve(bob, "more"), @"
    exit: 0
    ----- stdout -----
    hello 0.2.0 by alice (sha256 [DIGEST]), since 0.1.0
      + may change which namespace later commands use
    Approved the new rights of author-alice
    ----- stderr -----
    warning: hello 0.2.0 may do more than before: change which namespace later commands use
    author-alice needs 1 more approval, of carol
    ");
    assert_eq!(registry.publish("more").code, Some(8), "one of two approvals is not enough");
    registry.approve(carol, "more").success();
    registry.publish("more").success();

    // The user sees the difference, and decides.
    let refused = registry.run(user, "kf command upgrade hello");
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by alice ([SIZE], sha256 [DIGEST])
    It may change which namespace later commands use.
    error: not a terminal: refusing to upgrade hello and let it change which namespace later commands use without confirmation
    hint: kf command add team/hello@0.2.0 --accept [DIGEST]
    ");
    registry.run(user, &format!("kf {}", registry::hinted(&refused).join(" "))).success();
    registry.run(user, "kf hello").success();

    // Alice's key is stolen. The admins replace it; what the thief signs is refused from then on.
    registry.hand_in("key.pem", "0.3.0", SELECTION, "stolen").success();
    let new = registry.key(alice, "new.pem");
    let author = fs_err::read_to_string(registry.path("index/authors/alice.toml")).unwrap();
    let stolen = author.split('"').find(|word| word.len() == 64).unwrap().to_owned();
    registry.run(bob, &format!("kf registry key rotate author-alice {stolen} {new} --index index")).success();
    registry.publish_text("revoked");
    assert_eq!(registry.accept(bob, "stolen", "").code, Some(8));
    kf_snapshot!(registry.publish("stolen"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot publish role author-alice: signature threshold not met for role author-alice: 0/1 valid signatures
    ");

    // 0.2.0 turns out to be harmful: it is blocked, and does not start any more, offline as well.
    registry
        .run(bob, "kf registry block hello@0.2.0 --reason 'it switches to other namespaces' --index index")
        .success();
    registry.publish_text("blocked");
    registry.run(user, "kf hello").success();
    registry.run(user, "kf command list --available").success();
    is_blocked(&registry.run(user, "kf hello"));
    fs_err::rename(registry.path("published"), registry.path("away")).unwrap();
    is_blocked(&registry.run(user, "kf hello"));
    fs_err::rename(registry.path("away"), registry.path("published")).unwrap();

    // Bob leaves, and dave takes over.
    let dave = Home::empty();
    let daves = registry.key(&dave, "key.pem");
    let bobs = public_of(&registry.path("index/root/1.root.json"), "bob");
    for role in ["root", "targets"] {
        registry
            .run(carol, &format!("kf registry key rotate {role} {bobs} dave={daves} --index index"))
            .success();
    }
    registry.run(carol, "kf registry stage rotation --index index").success();
    // Both roles need the old keys as well as the new ones.
    ends_with(
        &registry.sign(carol, "rotation"),
        "root needs 1 more signature, of bob\nroot needs 1 more signature, of dave\n\
         targets needs 1 more signature, of bob\ntargets needs 1 more signature, of dave\n",
    );
    registry.sign(bob, "rotation");
    registry.sign(&dave, "rotation");
    registry.publish("rotation").success();

    // All still works: alice has a new key, and the user who pinned the first root gets the next version.
    registry.hand_in("new.pem", "0.3.0", "", "third").success();
    registry.accept(&dave, "third", "").success();
    registry.publish("third").success();
    kf_snapshot!(registry.run(user, "kf command upgrade hello"), @"
    exit: 0
    ----- stdout -----
    Upgraded hello to 0.3.0
    ----- stderr -----
    hello 0.2.0 → 0.3.0 by alice ([SIZE], sha256 [DIGEST])
    Signed with different keys than the installed version.
    ");
    registry.run(user, "kf hello").success();
    let status = registry.run(user, "kf registry status team").success();
    assert_eq!(status.stdout.matches("fresh").count(), 5, "{}", status.transcript());
    kf_snapshot!(registry.run(&dave, "kf registry verify --index index --root published/metadata/1.root.json"), @"
    exit: 0
    ----- stdout -----
    team: 5 roles, 1 command, 3 versions, 10 files ([SIZE]), no problems found
    ----- stderr -----
    ");
}

/// What an author types according to kf-plugin-sdk/README.md, as it is written, in the registry of others.
#[test]
fn author_guide_signing_steps_work_as_written() {
    let readme = fs_err::read_to_string(registry::index().join("../kf-plugin-sdk/README.md")).unwrap();
    let blocks = readme::blocks(&readme).into_iter().filter(|(language, _)| *language == "console");
    let blocks: Vec<String> = blocks
        .map(|(_, text)| text.lines().map(|line| format!("{}\n", line.strip_prefix("$ ").unwrap())).collect())
        .collect();
    let [keygen, sign] = blocks.as_slice() else { panic!("{blocks:?}") };

    let registry = Registry::delegated();
    let Registry { bob, alice, .. } = &registry;
    let shared = registry.path("").display().to_string();
    let type_lines = |lines: &str| {
        let shell = alice.shell(&format!("set -ex\ncd {shared}\n{lines}"));
        let passphrase = format!("{PASSPHRASE}\n");
        let answers = [
            ("New passphrase:", passphrase.as_str()),
            ("Repeat the passphrase:", &passphrase),
            ("Passphrase of ", &passphrase),
        ];
        let (status, screen) = Terminal::start(shell).answer(&answers);
        assert!(status.success(), "{screen}");
    };
    type_lines(keygen);
    let old = registry.run(bob, "grep -o '[0-9a-f]\\{64\\}' index/authors/alice.toml").success().stdout;
    let rotate =
        format!("kf registry key rotate author-alice {} \"$(cat alice.pub)\" --index index", old.trim());
    registry.run(bob, &rotate).success();
    registry.publish_text("first");
    registry.run(bob, "ln -s index registry-index && mkdir artifacts").success();
    copy(&registry::artifacts().join("hello"), &registry.path("artifacts/hello"));
    type_lines(sign);
    let published = registry.publish("staged").success();
    assert!(published.transcript().contains("hello 0.1.0"), "{}", published.transcript());
}

/// The key id of a holder in a root.
fn public_of(root: &Path, holder: &str) -> String {
    let root: serde_json::Value = serde_json::from_slice(&fs_err::read(root).unwrap()).unwrap();
    let holders = root["signed"]["x-kf-holders"].as_object().unwrap();
    holders.iter().find(|(_, name)| name.as_str() == Some(holder)).unwrap().0.clone()
}

/// registry-index/README.md, typed as it is written.
#[test]
fn admin_guide_steps_work_as_written() {
    let readme = fs_err::read_to_string(registry::index().join("README.md")).unwrap();
    let home = Home::empty();
    copy(&registry::artifacts().join("hello"), &home.path().join("hello"));
    let steps: Vec<String> = readme::blocks(&readme)
        .into_iter()
        .filter(|(language, _)| *language == "sh")
        .map(|(_, text)| text)
        .collect();
    let shell = home.shell(&format!("set -ex\n{}", steps.concat()));
    let passphrase = format!("{PASSPHRASE}\n");
    let answers = [
        ("New passphrase:", passphrase.as_str()),
        ("Repeat the passphrase:", &passphrase),
        ("Passphrase of ", &passphrase),
        ("[y/N]", "y\n"),
    ];
    let (status, screen) = Terminal::start(shell).answer(&answers);
    assert!(status.success(), "{screen}");
    assert!(screen.contains("published hello 0.1.0"), "{screen}");
    // The next root is ready to be signed.
    assert!(home.path().join("registry-index/root/2.root.json").exists());
}
