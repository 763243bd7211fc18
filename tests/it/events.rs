//! `kf events` on a real API server.

use kf_tests::cluster::User;

use crate::common::team::Team;
use crate::common::terminal::Terminal;

#[test]
fn events_are_filtered_by_workload() {
    let team = Team::new("events");
    team.apply(
        "apiVersion: batch/v1
kind: Job
metadata: {name: prepare}
spec:
  template:
    spec: {schedulerName: nobody, restartPolicy: Never, containers: [{name: main, image: 'kf.test/none'}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: other}
spec:
  suspend: true
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: 'kf.test/none'}]}
",
    );
    for user in [User::DataScientist, User::Viewer] {
        let home = team.home(user, &["events"]);
        let mut terminal = Terminal::start(home.kf(["events", "prepare", "--watch"]));
        terminal.expect("SuccessfulCreate");
        terminal.interrupt();
        let all = home.run_unchanged(["events"]).success().stdout;
        assert!(all.contains("job/other"), "{all}");
        let own = home.run_unchanged(["events", "prepare"]).success().stdout;
        assert!(own.contains("job/prepare") && own.contains("SuccessfulCreate"), "{own}");
        assert!(!own.contains("job/other"), "{own}");
        home.run_unchanged(["events", "prepaer"]).code(5);
    }
    let ran = team.home(User::NoRights, &["events"]).run_unchanged(["events"]).code(4);
    assert!(ran.stderr.contains("✗ nils has no `list events`"), "{}", ran.transcript());
}
