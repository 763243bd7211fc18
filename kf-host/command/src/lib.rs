//! The commands on this machine: adding, running and removing them.
//!
//! | question | module |
//! |---|---|
//! | what would adding or upgrading it change, and does that need consent? | [`plan`], [`consent`] |
//! | what may it do, in words? | [`rights`], [`consent_text`] |
//! | does it match its manifest and the ceiling? | [`examine`] |
//! | adding, upgrading, removing, going back | [`install`], [`remove`], [`rollback`] |
//! | is what is installed still what was verified? | [`verify`] |
//! | which newer versions are known? | [`updates`] |
//! | which releases and rights does a project pin? | [`lockfile`] |
//! | taking commands to a machine without a network | [`carry`] |
//! | which command runs under a name, and which can be added? | [`installed`], [`offered`] |
//! | can this user run it on this cluster? | [`availability`] |
//! | what prevents a run? | [`checkup`] |
//! | which permissions hold for this run? | [`grants`] |
//! | running it, and completing its arguments | [`run`], [`complete`] |
//! | what is wrong with a plugin? | [`check`] |
//! | may it be published? | [`publish`] |
//! | what is wrong with a registry's index? | [`lint`] |
//! | why was a call refused? | [`refusal`] |
//! | which command helps after an error? | [`hints`] |
//!
//! This crate decides and prints nothing: callers pass a [`Reporter`](reporter::Reporter) for progress and
//! warnings, show plans, ask the user, and pass the answer back.

pub mod availability;
pub mod carry;
pub mod check;
pub mod checkup;
pub mod cluster;
mod code;
pub mod complete;
pub mod consent;
pub mod consent_text;
pub mod examine;
pub mod explain;
pub mod grants;
pub mod hints;
pub mod install;
pub mod installed;
pub mod lint;
pub mod local;
pub mod lockfile;
pub mod offered;
pub mod plan;
pub mod publish;
pub mod refusal;
pub mod remove;
pub mod reporter;
pub mod reserved;
pub mod rights;
pub mod rollback;
pub mod run;
pub mod selection;
pub mod updates;
pub mod verify;
