//! `kf registry`: registries to add commands from, access to private ones, and what their admins do.

mod accept;
mod add;
mod build;
mod delegate;
mod folders;
mod init;
mod key;
mod lint;
mod list;
mod login;
mod logout;
mod mirror;
mod publish;
mod remove;
mod set_url;
mod sign;
mod site;
mod stage;
mod status;
mod verify;
mod withdraw;

use std::path::PathBuf;

use clap::Subcommand;
use kf_core::failure::Result;

use crate::app::App;

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    Add(add::AddArgs),
    SetUrl(set_url::SetUrlArgs),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Remove(remove::RemoveArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Mirror(mirror::MirrorArgs),

    Init(init::InitArgs),
    /// Add, remove and rotate signing keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    Delegate(delegate::DelegateArgs),
    Yank(withdraw::YankArgs),
    Unyank(withdraw::UnyankArgs),
    Block(withdraw::BlockArgs),
    Unblock(withdraw::UnblockArgs),
    Lint(lint::LintArgs),
    Stage(stage::StageArgs),
    Sign(sign::SignArgs),
    Accept(accept::AcceptArgs),
    Publish(publish::PublishArgs),
    Verify(verify::VerifyArgs),
    Build(build::BuildArgs),
    Site(site::SiteArgs),
}

pub fn run(app: &App, command: &RegistryCommand) -> Result<()> {
    match command {
        RegistryCommand::Add(args) => add::run(app, args),
        RegistryCommand::SetUrl(args) => set_url::run(app, args),
        RegistryCommand::Login(args) => login::run(app, args),
        RegistryCommand::Logout(args) => logout::run(app, args),
        RegistryCommand::Remove(args) => remove::run(app, args),
        RegistryCommand::List(args) => list::run(app, args),
        RegistryCommand::Status(args) => status::run(app, args),
        RegistryCommand::Mirror(args) => mirror::run(app, args),
        RegistryCommand::Init(args) => init::run(app, args),
        RegistryCommand::Key(command) => key::run(app, command),
        RegistryCommand::Delegate(args) => delegate::run(app, args),
        RegistryCommand::Yank(args) => withdraw::yank(app, args),
        RegistryCommand::Unyank(args) => withdraw::unyank(app, args),
        RegistryCommand::Block(args) => withdraw::block(app, args),
        RegistryCommand::Unblock(args) => withdraw::unblock(app, args),
        RegistryCommand::Lint(args) => lint::run(app, args),
        RegistryCommand::Stage(args) => stage::run(app, args),
        RegistryCommand::Sign(args) => sign::run(app, args),
        RegistryCommand::Accept(args) => accept::run(app, args),
        RegistryCommand::Publish(args) => publish::run(app, args),
        RegistryCommand::Verify(args) => verify::run(app, args),
        RegistryCommand::Build(args) => build::run(app, args),
        RegistryCommand::Site(args) => site::run(app, args),
    }
}

/// Prints the files of the index that were changed.
fn changed(app: &App, files: &[PathBuf]) -> Result<()> {
    for file in files {
        app.ui.data_line(&file.display().to_string())?;
    }
    app.ui.note("next: review the change, then `kf registry stage`");
    Ok(())
}
