//! `kf hello`: the smallest command, which needs no rights.

use kf_plugin_sdk::prelude::*;

/// Say hello
#[derive(clap::Parser, Describe)]
#[kf(example("hello", "greet the world"))]
#[kf(example("hello Ada", "greet someone"))]
#[kf(example("hello Ada --loud", "greet someone, loudly"))]
pub struct Hello {
    /// Name to greet
    #[arg(default_value = "world")]
    name: String,
    /// Print in upper case
    #[arg(long, short)]
    loud: bool,
}

/// What `-o json` prints.
#[derive(serde::Serialize, TableRow)]
#[row(name = "self.greeting.clone()")]
struct Greeting {
    greeting: String,
}

#[kf_plugin_sdk::main]
pub fn main(hello: Hello, kf: &Kf) -> Result<Exit> {
    let greeting = format!("hello {}", hello.name);
    let greeting = if hello.loud { greeting.to_uppercase() } else { greeting };
    kf.say(greeting.clone(), &Greeting { greeting })?;
    Ok(Exit::OK)
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    #[test]
    fn greets_world_or_given_name() {
        let host = FakeHost::new("team-a");
        assert_eq!(host.run::<Plugin>(&[]), Ok(Exit::OK));
        assert_eq!(host.run::<Plugin>(&["Ada", "--loud"]), Ok(Exit::OK));
        assert_eq!(host.terminal().stdout, "hello world\nHELLO ADA\n");
    }

    #[test]
    fn json_format_prints_greeting() {
        let host = FakeHost::new("team-a");
        host.format(Format::Json);
        assert_eq!(host.run::<Plugin>(&["Ada"]), Ok(Exit::OK));
        let output: serde_json::Value = serde_json::from_str(&host.terminal().stdout).unwrap();
        assert_eq!(output, serde_json::json!({ "greeting": "hello Ada" }));
    }

    #[test]
    fn unknown_flag_is_refused() {
        let error = FakeHost::new("team-a").run::<Plugin>(&["--quiet"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message, "unexpected argument '--quiet' found");
    }
}
