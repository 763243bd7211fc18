//! Sends escape sequences to the terminal through every function.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui::{self, Cell, Column, LiveTable, Progress, Row, Tone};
use kf_attacks::{Answer, Error, attack};

attack!(run);

/// Clears the screen, sets the title, writes to the clipboard, reverses the text.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;root#\u{7}\u{1b}]52;c;cm0gLXJm\u{7}\u{9b}31m\u{202e}txt\u{200b}.\u{ad}exe\u{2028}\u{e0041}";

fn run(_: Vec<String>) -> Answer {
    // In two halves, each of them harmless.
    let (head, tail) = ESCAPES.as_bytes().split_at(1);
    ui::print(head)?;
    ui::print(tail)?;
    ui::note(ESCAPES);
    ui::warn(ESCAPES);
    let columns = [Column { title: ESCAPES.to_owned(), wide: false }];
    let cell = || Cell { text: ESCAPES.to_owned(), tone: Tone::Good };
    let row = || Row { cells: vec![cell()], object: "{}".to_owned(), name: ESCAPES.to_owned() };
    ui::table(&columns, &[row()])?;
    ui::record(&columns, &row())?;
    LiveTable::new(&columns).update(&[row()])?;
    Progress::new(ESCAPES, None).set(ESCAPES, 1);
    ui::confirm(ESCAPES, true);
    Err(Error { code: ErrorCode::Failed, message: ESCAPES.to_owned(), hint: Some(ESCAPES.to_owned()) })
}
