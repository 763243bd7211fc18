//! The pages, as askama templates. Each field is a [`Text`], a number or made of them.

use askama::Template;
use jiff::Timestamp;
use kf_command::consent_text::Paragraph;

use crate::Text;
use crate::help::Help;

/// What all pages have around their content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The way to the site's folder: empty or `../`.
    pub(crate) up: &'static str,
    /// `commands` or `registry`, in the navigation.
    pub(crate) place: &'static str,
    pub(crate) registry: Text,
    pub(crate) snapshot: u64,
    pub(crate) signed: Option<Moment>,
    pub(crate) expires: Moment,
}

/// A time for people and for programs, in UTC.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// `2026-11-30`
    pub(crate) day: String,
    /// `2026-11-30 07:15 UTC`
    pub(crate) minute: String,
    /// `2026-11-30T07:15:00Z`
    pub(crate) machine: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp) -> Self {
        let text = |format: &str| at.strftime(format).to_string();
        Self {
            day: text("%Y-%m-%d"),
            minute: text("%Y-%m-%d %H:%M UTC"),
            machine: text("%Y-%m-%dT%H:%M:%SZ"),
        }
    }
}

/// The list of commands, or one page of it.
#[derive(Template)]
#[template(path = "index.html")]
pub(crate) struct IndexPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) total: usize,
    /// Its number, from 1.
    pub(crate) page: usize,
    pub(crate) pages: &'a [PageLink],
    pub(crate) rows: &'a [Row],
}

#[derive(Clone, Debug)]
pub(crate) struct PageLink {
    pub(crate) number: usize,
    pub(crate) path: String,
    /// The first command on it.
    pub(crate) first: Text,
}

/// A command in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: Text,
    pub(crate) version: Option<Text>,
    pub(crate) summary: Text,
    pub(crate) owner: Text,
    pub(crate) group: Option<Text>,
    pub(crate) reach: Reach,
}

/// How much a command may do, in two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No version can be added.
    Unavailable,
    Nothing,
    /// No rights on the cluster, but others.
    NotTheCluster,
    Reads,
    Changes,
    /// It starts containers, or may start them, or runs commands in them.
    Containers,
    Dangerous,
}

impl Reach {
    pub(crate) const ALL: [Self; 7] = [
        Self::Unavailable,
        Self::Nothing,
        Self::NotTheCluster,
        Self::Reads,
        Self::Changes,
        Self::Containers,
        Self::Dangerous,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Unavailable => "not available",
            Self::Nothing => "no rights",
            Self::NotTheCluster => "no cluster rights",
            Self::Reads => "only reads",
            Self::Changes => "makes changes",
            Self::Containers => "runs containers",
            Self::Dangerous => "dangerous rights",
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Unavailable => "gone",
            Self::Nothing | Self::NotTheCluster | Self::Reads => "calm",
            Self::Changes => "plain",
            Self::Containers => "warning",
            Self::Dangerous => "danger",
        }
    }
}

/// The page of a command.
#[derive(Template)]
#[template(path = "command.html")]
pub(crate) struct CommandPage {
    pub(crate) frame: Frame,
    pub(crate) name: Text,
    pub(crate) summary: Text,
    /// The version that is offered.
    pub(crate) version: Option<Text>,
    pub(crate) offered: Option<Offered>,
    /// Why no version is offered.
    pub(crate) problem: Text,
    pub(crate) versions: Vec<Version>,
    pub(crate) owner: Text,
    pub(crate) homepage: Option<Homepage>,
    pub(crate) keys: Vec<Text>,
}

/// What the offered version says about itself.
pub(crate) struct Offered {
    pub(crate) license: Text,
    pub(crate) group: Option<Text>,
    pub(crate) rights: Rights,
    pub(crate) help: Vec<Section>,
}

/// The consent text.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    pub(crate) head: Text,
    pub(crate) rows: Vec<RightRow>,
    pub(crate) implied: Vec<Implied>,
}

#[derive(Debug)]
pub(crate) struct RightRow {
    pub(crate) verbs: Text,
    pub(crate) what: Text,
    pub(crate) resources: Text,
    pub(crate) dangerous: bool,
}

#[derive(Debug)]
pub(crate) struct Implied {
    pub(crate) words: Text,
    pub(crate) dangerous: bool,
}

impl Rights {
    /// Whether there is anything to consent to.
    pub(crate) fn needs_consent(&self) -> bool {
        !self.rows.is_empty() || !self.implied.is_empty()
    }

    pub(crate) fn new(paragraphs: &[Paragraph]) -> Self {
        let mut rights = Self::default();
        for paragraph in paragraphs {
            match paragraph {
                // Only an upgrade has unchanged rights.
                Paragraph::Unchanged(_) => {}
                Paragraph::Head(words) => rights.head = Text::line(words),
                Paragraph::Right(sentence) => rights.rows.push(RightRow {
                    verbs: Text::line(&sentence.verbs),
                    what: Text::line(&sentence.what),
                    resources: Text::line(&sentence.resources),
                    dangerous: sentence.danger().is_some(),
                }),
                Paragraph::Other(words) => {
                    rights.implied.push(Implied { words: Text::line(words), dangerous: false });
                }
                Paragraph::Consequence { text, dangerous } => {
                    rights.implied.push(Implied { words: Text::line(text), dangerous: *dangerous });
                }
            }
        }
        rights
    }
}

/// The help of the command or a subcommand, with the id of its heading.
pub(crate) struct Section {
    pub(crate) anchor: String,
    pub(crate) help: Help,
}

pub(crate) struct Version {
    pub(crate) version: Text,
    pub(crate) signed: Option<Moment>,
    pub(crate) abi: Text,
    pub(crate) size: String,
    pub(crate) sha256: String,
    pub(crate) yanked: bool,
    /// Why, if the admins said so.
    pub(crate) yank_reason: Option<Text>,
    pub(crate) blocked: Option<Text>,
}

pub(crate) struct Homepage {
    pub(crate) address: Text,
    /// Whether it is an `https://` address without anything to hide.
    pub(crate) is_link: bool,
}

impl Homepage {
    pub(crate) fn new(address: &str) -> Self {
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
        Self { address: Text::line(address), is_link: is_plain && address.starts_with("https://") }
    }
}

/// The page of the registry itself.
#[derive(Template)]
#[template(path = "registry.html")]
pub(crate) struct RegistryPage {
    pub(crate) frame: Frame,
    pub(crate) total: usize,
    pub(crate) url: Text,
    pub(crate) pin: PinnedRoot,
    pub(crate) roles: Vec<Role>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) yanked: Vec<Yanked>,
    pub(crate) blocked: Vec<Blocked>,
}

pub(crate) struct PinnedRoot {
    pub(crate) sha256: String,
    pub(crate) version: u64,
    /// Whether `kf registry add` finds it by its digest.
    pub(crate) is_first: bool,
}

pub(crate) struct Role {
    pub(crate) name: Text,
    pub(crate) signs: &'static str,
    pub(crate) version: u64,
    pub(crate) expires: Option<Moment>,
}

pub(crate) struct Owner {
    pub(crate) name: Text,
    /// Of commands.
    pub(crate) count: usize,
    pub(crate) keys: Vec<Text>,
    pub(crate) expires: Option<Moment>,
}

/// A yanked version of a command.
pub(crate) struct Yanked {
    pub(crate) name: Text,
    pub(crate) version: Version,
}

pub(crate) struct Blocked {
    /// `train 0.1.0`, if it is a version of a command.
    pub(crate) release: Option<Text>,
    pub(crate) reason: Text,
    pub(crate) sha256: String,
}
