use std::time::Duration;

use super::Events;
use crate::abi::Pollable;
use crate::error::{Exit, Result};
use crate::kf::Kf;
use crate::objects::{Mirror, Object};
use crate::ui::{LiveTable, TableRow};

/// The interval at which events and ages are refreshed.
const REFRESH: Duration = Duration::from_secs(5);

/// A row of a watched table.
pub trait WatchedRow: TableRow + PartialEq + Sized {
    /// Copies values that only change with time, such as an age, from the rows already shown.
    fn age_like(&mut self, shown: &[Self]);
}

/// The output of a watched table. On a terminal, ages are updated; programs only get rows that changed otherwise.
pub struct WatchedScreen<T: WatchedRow> {
    table: LiveTable<T>,
    interactive: bool,
    shown: Option<Vec<T>>,
}

impl<T: WatchedRow> WatchedScreen<T> {
    /// Starts the output.
    pub fn of(kf: &Kf) -> Self {
        let interactive = kf.context().interactive && kf.output_format().is_table();
        Self { table: kf.live_table(), interactive, shown: None }
    }

    /// Shows the rows if they have changed.
    pub fn show(&mut self, mut rows: Vec<T>) -> Result<()> {
        if !self.interactive {
            rows.iter_mut().for_each(|row| row.age_like(self.shown.as_deref().unwrap_or_default()));
        }
        if self.shown.as_ref() != Some(&rows) {
            self.table.update(&rows)?;
            self.shown = Some(rows);
        }
        Ok(())
    }
}

/// A table that is kept up to date by watches until the run is stopped.
pub struct WatchedTable<'a> {
    kf: &'a Kf,
    mirrors: Vec<Mirror>,
    with_events: bool,
}

impl<'a> WatchedTable<'a> {
    /// Creates a table of these mirrors.
    pub fn of(kf: &'a Kf, mirrors: Vec<Mirror>) -> Self {
        Self { kf, mirrors, with_events: false }
    }

    /// Also reads the events of the namespace, every few seconds.
    #[must_use]
    pub fn with_events(self) -> Self {
        Self { with_events: true, ..self }
    }

    /// Shows rows built from the objects of the mirrors.
    pub fn show<T: WatchedRow>(mut self, rows: impl Fn(&[Mirror], &Events) -> Vec<T>) -> Result<Exit> {
        let mut screen = WatchedScreen::of(self.kf);
        let mut events = if self.with_events { Events::read(self.kf)? } else { Events::default() };
        let mut refresh = self.kf.after(REFRESH);
        let mut lost = false;
        loop {
            screen.show(rows(&self.mirrors, &events))?;
            let Some(refreshed) = self.wait(&refresh)? else { return Ok(Exit::OK) };
            lost = self.note_loss(lost);
            if refreshed {
                // The watches already wait for an unavailable server.
                if self.with_events {
                    let _ignored = events.refresh(self.kf);
                }
                refresh = self.kf.after(REFRESH);
            }
        }
    }

    /// Applies changes and returns whether a refresh is due; `None` at the end.
    fn wait(&mut self, refresh: &Pollable) -> Result<Option<bool>> {
        let streams: Vec<_> = self.mirrors.iter().map(Mirror::subscribe).collect();
        let all: Vec<_> = [refresh].into_iter().chain(&streams).collect();
        let ready = self.kf.wait(&all);
        for index in &ready {
            if let Some(mirror) = index.checked_sub(1).and_then(|index| self.mirrors.get_mut(index)) {
                mirror.take()?;
            }
        }
        Ok((!ready.is_empty()).then(|| ready.contains(&0)))
    }

    /// Prints a note when the connection is lost, and when it is back.
    fn note_loss(&self, was_lost: bool) -> bool {
        let lost = self.mirrors.iter().find_map(Mirror::lost);
        match (lost, was_lost) {
            (Some(error), false) => self.kf.note(format!("{error}; retrying")),
            (None, true) => self.kf.note("the API server answers again"),
            _ => {}
        }
        lost.is_some()
    }
}

/// Iterates over the objects of several mirrors, in order.
pub fn mirrored(mirrors: &[Mirror]) -> impl Iterator<Item = &Object> {
    mirrors.iter().flat_map(Mirror::objects)
}
