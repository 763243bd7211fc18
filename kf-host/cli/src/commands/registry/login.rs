use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install;
use kf_core::failure::{Failure, Result};
use kf_core::{Kind, RegistryId};
use kf_registry::transport::Url;
use kf_registry::{access, registries};
use secrecy::SecretString;

use crate::app::App;
use crate::candidates::known;
use crate::secret_input;

const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Store the token of a private registry
///
/// The token is sent only to the address that it is for, and never over http. Passwords in ~/.netrc and the variable
/// KF_REGISTRY_NAME_TOKEN work without a login.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Name of the registry
    #[arg(add = ArgValueCompleter::new(known::registries))]
    name: String,

    /// Address that the token is for [default: the first one of the registry]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Read the token from the first line of this file descriptor, without a prompt
    #[arg(long, value_name = "FD")]
    token_fd: Option<u32>,
}

pub fn run(app: &App, args: &LoginArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    let registry = registries::load(&app.home, kf_built_in::built_ins(), &id)?;
    let url = match &args.url {
        None => registry.urls.first().cloned(),
        Some(text) => {
            let url = Url::parse(text)?;
            registry.urls.contains(&url).then_some(url)
        }
    };
    let url = url.ok_or_else(|| {
        let unknown = args.url.as_deref().unwrap_or_default();
        Failure::usage(format!("{unknown} is not an address of registry {id}")).hint("kf registry list")
    })?;
    let origin = access::login(&app.home, &id, &url, &token(app, args, &id, &url)?)?;
    match install::refresh(app.commands(), &id, app.reporter().as_ref(), App::now()) {
        Err(error) if error.kind() == Kind::Unauthenticated => {
            access::logout(&app.home, &id, Some(&url))?;
            return Err(error);
        }
        Err(error) => app.ui.warn(&format!("the token was not tried: {}", error.message())),
        Ok(_) => {}
    }
    Ok(app.ui.data_line(&format!("Logged in to registry {id} at {origin}"))?)
}

fn token(app: &App, args: &LoginArgs, id: &RegistryId, url: &Url) -> Result<SecretString> {
    match args.token_fd {
        Some(fd) => secret_input::read_line(fd, "token", MAX_TOKEN_BYTES),
        None => app.ui.ask_secret(&format!("Token for {url}:")).ok_or_else(|| {
            Failure::usage("not a terminal: cannot ask for the token")
                .hint(format!("kf registry login {id} --token-fd 0 < FILE"))
        }),
    }
}
