//! Copies the logs of two pods at once, and reads a third log itself. The attack is in the pods: each
//! tries to print lines in the name of another.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::logs::{self, LogOptions, LogStream};
use kf_attacks::plugin::{clock, kube, poll, ui};
use kf_attacks::{Answer, Error, attack, kind};

attack!(run);

fn open(pod: &str) -> Result<LogStream, Error> {
    let options = LogOptions {
        container: None,
        follow: true,
        previous: false,
        timestamps: false,
        since: None,
        tail_lines: None,
    };
    logs::open_log(None, pod, &options)
}

fn run(_: Vec<String>) -> Answer {
    let copies =
        [logs::forward(open("web-0")?, Some("[web-0] ")), logs::forward(open("web-1")?, Some("[web-1] "))];
    let own = open("web-2")?;
    let pods = kube::Selection {
        kind: kind("Pod"),
        reach: kube::Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    };
    let watch = kube::open_watch(&pods, "1")?;
    let (mut read, mut events) = (0, 0);
    let waits = [
        copies[0].subscribe(),
        copies[1].subscribe(),
        own.subscribe(),
        watch.subscribe(),
        clock::after(u64::MAX),
    ];
    let mut waiting: Vec<usize> = (0..waits.len()).collect();
    // All but the timer end, in any order.
    while waiting.len() > 1 {
        let pollables: Vec<_> = waiting.iter().map(|index| &waits[*index]).collect();
        let ready: Vec<usize> = poll::wait(&pollables).iter().map(|at| waiting[*at as usize]).collect();
        for index in ready {
            let ended = match index {
                0 | 1 => copies[index].finish()? > 0,
                2 => {
                    let bytes = own.next()?.len();
                    read += bytes;
                    bytes == 0
                }
                _ => {
                    let news = watch.next()?.len();
                    events += news;
                    news == 0
                }
            };
            if ended {
                waiting.retain(|other| *other != index);
            }
        }
    }
    ui::note(&format!("{read} bytes, {events} events"));
    Ok(0)
}
