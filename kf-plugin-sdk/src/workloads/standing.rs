use std::time::Duration;

use super::Events;
use crate::border::Pollable;
use crate::error::{Exit, Result};
use crate::kf::Kf;
use crate::objects::{Mirror, Object};
use crate::ui::{LiveTable, TableRow};

/// Events come without a watch of their own, and ages grow.
const REFRESH: Duration = Duration::from_secs(5);

/// A row of a table that stays.
pub trait StandingRow: TableRow + PartialEq + Sized {
    /// Takes over from the rows that are shown what time alone has changed, such as an age.
    fn age_like(&mut self, shown: &[Self]);
}

/// The place of a table that stays. A person sees ages grow; a program gets rows when something has happened.
pub struct StandingScreen<T: StandingRow> {
    table: LiveTable<T>,
    for_a_person: bool,
    shown: Option<Vec<T>>,
}

impl<T: StandingRow> StandingScreen<T> {
    pub fn of(kf: &Kf) -> Self {
        let for_a_person = kf.context().interactive && kf.output_format().is_table();
        Self { table: kf.live_table(), for_a_person, shown: None }
    }

    /// Shows the rows if they are others than before.
    pub fn show(&mut self, mut rows: Vec<T>) -> Result<()> {
        if !self.for_a_person {
            rows.iter_mut().for_each(|row| row.age_like(self.shown.as_deref().unwrap_or_default()));
        }
        if self.shown.as_ref() != Some(&rows) {
            self.table.update(&rows)?;
            self.shown = Some(rows);
        }
        Ok(())
    }
}

/// A table that stays until it is stopped from outside, kept up to date by watches.
pub struct StandingTable<'a> {
    kf: &'a Kf,
    mirrors: Vec<Mirror>,
    with_events: bool,
}

impl<'a> StandingTable<'a> {
    pub fn of(kf: &'a Kf, mirrors: Vec<Mirror>) -> Self {
        Self { kf, mirrors, with_events: false }
    }

    /// Reads the namespace's events as well, every few seconds.
    #[must_use]
    pub fn with_events(self) -> Self {
        Self { with_events: true, ..self }
    }

    /// Shows rows of what the mirrors hold.
    pub fn show<T: StandingRow>(mut self, rows: impl Fn(&[Mirror], &Events) -> Vec<T>) -> Result<Exit> {
        let mut screen = StandingScreen::of(self.kf);
        let mut events = if self.with_events { Events::read(self.kf)? } else { Events::default() };
        let mut refresh = self.kf.after(REFRESH);
        let mut lost = false;
        loop {
            screen.show(rows(&self.mirrors, &events))?;
            let Some(refreshed) = self.wait(&refresh)? else { return Ok(Exit::OK) };
            lost = self.tell_loss(lost);
            if refreshed {
                // A server that is away is waited for by the watches.
                if self.with_events {
                    let _away = events.renew(self.kf);
                }
                refresh = self.kf.after(REFRESH);
            }
        }
    }

    /// Takes what has changed, and says whether it is time to refresh; none at the end.
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

    /// Says once that what is shown may be old, and once that it is not.
    fn tell_loss(&self, was_lost: bool) -> bool {
        let lost = self.mirrors.iter().find_map(Mirror::lost);
        match (lost, was_lost) {
            (Some(error), false) => self.kf.note(format!("{error}; trying again")),
            (None, true) => self.kf.note("the API server answers again"),
            _ => {}
        }
        lost.is_some()
    }
}

/// What several mirrors hold, in their order.
pub fn mirrored(mirrors: &[Mirror]) -> impl Iterator<Item = &Object> {
    mirrors.iter().flat_map(Mirror::objects)
}
