//! The search index, and the list of commands for programs.

use std::collections::BTreeMap;

use kf_core::failure::{Failure, Result};
use serde::Serialize;

use crate::pages::{Reach, Row};
use crate::{FORMAT, Text};

/// Where the index is assigned for the script.
const ASSIGNMENT: &str = "globalThis.kfSearchIndex=";

/// Text to search in, for each command. What many commands have in common is stored once, and referred to by number.
#[derive(Debug, Default)]
pub(crate) struct Index {
    owners: Table,
    rights: Table,
    commands: Vec<Entry>,
}

/// Name, version, summary, owner, number of the [`Reach`], rights.
#[derive(Debug, Serialize)]
struct Entry(Text, Text, Text, usize, usize, Vec<usize>);

#[derive(Debug, Default)]
struct Table {
    numbers: BTreeMap<Text, usize>,
    texts: Vec<Text>,
}

impl Table {
    fn number(&mut self, text: &Text) -> usize {
        let next = self.texts.len();
        *self.numbers.entry(text.clone()).or_insert_with(|| {
            self.texts.push(text.clone());
            next
        })
    }
}

impl Index {
    /// Adds a command with its rights in words.
    pub(crate) fn add(&mut self, row: &Row, rights: &[Text]) {
        let reach = Reach::ALL.iter().position(|reach| *reach == row.reach).unwrap_or_default();
        self.commands.push(Entry(
            row.name.clone(),
            row.version.clone().unwrap_or_default(),
            row.summary.clone(),
            self.owners.number(&row.owner),
            reach,
            rights.iter().map(|right| self.rights.number(right)).collect(),
        ));
    }

    /// The script that assigns it.
    pub(crate) fn to_script(&self) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct File<'a> {
            format: u64,
            reaches: Vec<(&'static str, &'static str)>,
            owners: &'a [Text],
            rights: &'a [Text],
            commands: &'a [Entry],
        }
        let file = File {
            format: FORMAT,
            reaches: Reach::ALL.iter().map(|reach| (reach.words(), reach.class())).collect(),
            owners: &self.owners.texts,
            rights: &self.rights.texts,
            commands: &self.commands,
        };
        let mut script = ASSIGNMENT.as_bytes().to_vec();
        script.extend(to_json(&file)?);
        Ok(script)
    }
}

/// A command in `index.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) name: Text,
    pub(crate) version: Option<Text>,
    pub(crate) summary: Text,
    pub(crate) owner: Text,
    pub(crate) license: Option<Text>,
    pub(crate) homepage: Option<Text>,
    /// Of the component.
    pub(crate) sha256: Option<String>,
    /// Lines such as `create training jobs`, the strongest first.
    pub(crate) rights: Vec<Text>,
    pub(crate) page: String,
}

/// `index.json`: the commands for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Feed {
    pub(crate) format: u64,
    pub(crate) registry: Text,
    pub(crate) snapshot: u64,
    pub(crate) expires: String,
    pub(crate) root_sha256: String,
    pub(crate) commands: Vec<Listed>,
}

impl Feed {
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        to_json(self)
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(value);
    let mut json = json.map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}
