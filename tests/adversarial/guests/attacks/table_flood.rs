//! Prints tables in an endless loop.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui::{self, Cell, Column, Row, Tone};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let columns = [Column { title: "NAME".to_owned(), wide: false }];
    let cell = || Cell { text: String::new(), tone: Tone::Plain };
    let row = || Row { cells: vec![cell()], object: "{}".to_owned(), name: String::new() };
    let rows: Vec<Row> = (0..1000).map(|_| row()).collect();
    loop {
        let _ = ui::table(&columns, &rows);
    }
}
