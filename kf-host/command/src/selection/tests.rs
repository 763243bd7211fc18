use super::*;

fn cluster(context: &str, server: &str, authority: &str) -> ClusterId {
    ClusterId {
        context: Some(context.into()),
        server: server.into(),
        authority: Some(Digest::of(authority.as_bytes())),
    }
}

fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::of(&Home::under(dir.path()))
}

fn lab() -> ClusterId {
    cluster("default", "https://lab:6443", "aa")
}

#[test]
fn no_namespace_is_in_use_before_first_choice() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(store(&dir).in_use(&lab()).unwrap(), None);
    assert!(!dir.path().join("state").exists(), "reading creates no file");
}

#[test]
fn each_cluster_has_its_own_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    // The context name of every k3s.
    let prod = cluster("default", "https://prod:6443", "bb");
    store.save(&lab(), Some(namespace("playground"))).unwrap();
    store.save(&prod, Some(namespace("serving"))).unwrap();
    assert_eq!(store.in_use(&lab()).unwrap(), Some(namespace("playground")));
    assert_eq!(store.in_use(&prod).unwrap(), Some(namespace("serving")));
    let other = ClusterId { context: Some("other".into()), ..lab() };
    assert_eq!(store.in_use(&other).unwrap(), None);
}

#[test]
fn namespace_of_another_cluster_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    store.save(&lab(), Some(namespace("playground"))).unwrap();
    for now in [cluster("default", "https://prod:6443", "aa"), cluster("default", "https://lab:6443", "bb")] {
        let error = store.in_use(&now).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let lines = error.lines();
        assert!(
            lines[0].starts_with("error: namespace playground was chosen for another cluster"),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("hint: kf use NAMESPACE"), "{lines:?}");
    }
    assert_eq!(store.in_use(&lab()).unwrap(), Some(namespace("playground")));
}

#[test]
fn previous_namespace_survives_same_choice_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    store.save(&lab(), Some(namespace("a"))).unwrap();
    assert_eq!(store.find(&lab()).unwrap(), Found::Chosen { namespace: namespace("a"), previous: None });
    store.save(&lab(), Some(namespace("b"))).unwrap();
    store.save(&lab(), Some(namespace("b"))).unwrap();
    let previous = Some(namespace("a"));
    assert_eq!(store.find(&lab()).unwrap(), Found::Chosen { namespace: namespace("b"), previous });
    store.save(&lab(), None).unwrap();
    assert_eq!(store.find(&lab()).unwrap(), Found::Nothing { previous: Some(namespace("b")) });
    assert_eq!(store.in_use(&lab()).unwrap(), None);
}

#[test]
fn newer_or_broken_file_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    store.save(&lab(), Some(namespace("a"))).unwrap();
    for text in
        ["{\"format\": 2, \"clusters\": {}}", "{\"format\": 1", "{\"format\": 1, \"clusters\": [], \"x\": 1}"]
    {
        fs_err::write(store.file(), text).unwrap();
        assert!(store.in_use(&lab()).is_err(), "{text}");
        assert!(store.save(&lab(), Some(namespace("b"))).is_err(), "{text}");
        assert_eq!(fs_err::read_to_string(store.file()).unwrap(), text);
    }
}

#[test]
fn concurrent_choices_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let clusters: Vec<_> = (0..16).map(|at| cluster(&format!("c{at}"), "https://lab:6443", "aa")).collect();
    std::thread::scope(|scope| {
        for cluster in &clusters {
            scope.spawn(|| store.save(cluster, Some(namespace("a"))).unwrap());
        }
    });
    for cluster in &clusters {
        assert_eq!(store.in_use(cluster).unwrap(), Some(namespace("a")));
    }
}

#[test]
fn refused_read_only_or_dry_run_selects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = RunSelection {
        store: store(&dir),
        cluster: lab(),
        dry_run: false,
        refused: Some("its registry no longer lets it".into()),
        read_only: false,
        overridden: None,
        reporter: Arc::new(crate::reporter::NullReporter),
    };
    assert_eq!(run.current().unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(run.select(Some("a".into())).unwrap_err().code, ErrorCode::Forbidden);
    run.refused = None;
    run.read_only = true;
    assert_eq!(run.select(Some("a".into())).unwrap_err().code, ErrorCode::Forbidden);
    run.read_only = false;
    assert_eq!(run.select(Some("../a".into())).unwrap_err().code, ErrorCode::Invalid);
    run.dry_run = true;
    run.select(Some("a".into())).unwrap();
    assert_eq!(run.current().unwrap(), Selected::default());
    run.dry_run = false;
    run.select(Some("a".into())).unwrap();
    assert_eq!(run.current().unwrap().namespace.as_deref(), Some("a"));
}
