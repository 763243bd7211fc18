//! A registry as a static site: which commands it offers, what each may do to a cluster, and how to add it.
//!
//! The site is made from a [verified view](kf_registry::trust) of the registry, never from files that were not verified.
//! It is for reading, and it is not signed: anyone who serves it can change it. So it shows the digest of the root to
//! compare, and every command that it lists is verified again, and its rights shown again, when a user adds it.
//!
//! # What an author can do to a reader
//!
//! Most of the text is written by authors, and a page of a registry is a place where people copy command lines from. So:
//!
//! * Pages are [askama](https://docs.rs/askama) templates, which escape every value by default, and no template disables
//!   that. Text of others reaches a template only as a [`Text`], with visible escapes where the original has
//!   [control, bidirectional or invisible characters](kf_core::text::is_unsafe), as on a terminal.
//! * The content security policy of each page allows style sheets and scripts of the site, and nothing else: no inline
//!   script or style, no other host, no requests by scripts. Forms only lead to the site itself.
//! * No request leaves the site: fonts are the system's, and there are no images.
//! * What a command may do is the [text that its user consents to](kf_command::consent_text), from the same function.
//!
//! # Search
//!
//! Without JavaScript, the pages list all commands by name; search needs the script. Its index is a table of the commands
//! with the words of their rights, each of which is stored once (`search.rs`). serde_json writes it behind an assignment,
//! so that it is loaded like a script, also from a disk, where pages cannot fetch anything, and the policy need not allow
//! requests.
//!
//! The script searches the whole table, so a part of a word is found as well, and it scores names first. For 10,000
//! commands the table has 1.1 MB, 130 kB of them on the wire with compression; the inverted index that `elasticlunr-rs`
//! makes of the same text has 8.8 MB, finds only stems, and needs a script that has not been maintained since 2016.
//! `tinysearch` and Pagefind compile to WebAssembly, which the policy would have to allow.
//!
//! # Output
//!
//! The same view gives the same bytes. The folder is written under another name and then renamed ([`Folder`]).

mod folder;
pub mod help;
mod pages;
mod search;
mod site;
mod text;

pub use folder::Folder;
pub use site::{Pin, Site};
pub use text::Text;

/// The format of a site's folder.
pub const FORMAT: u64 = 1;

#[cfg(test)]
mod tests;
