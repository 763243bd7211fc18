//! Hostile guests.
//!
//! Each file under `attacks` is a program that tries one thing that a command must not be able to do. It
//! is an example of this package, compiled only for WebAssembly. [`foreach_attack!`] lists them, and
//! `tests/adversarial` expands it to one function each, so the build fails if an attack has no test.

include!(concat!(env!("OUT_DIR"), "/attacks.rs"));

#[cfg(target_arch = "wasm32")]
pub use guest::*;

#[cfg(target_arch = "wasm32")]
mod guest {
    pub use kf_plugin_sdk::bindings;
    pub use kf_plugin_sdk::bindings::kf::plugin;
    use kf_plugin_sdk::bindings::kf::plugin::tree::{Argument, ArgumentKind, Command, Completion, ValueType};
    pub use kf_plugin_sdk::bindings::kf::plugin::types::Error;
    pub use kf_plugin_sdk::bindings::{Candidate, CompletionRequest};

    /// The result of a run.
    pub type Answer = Result<u8, Error>;

    /// A minimal description.
    pub fn describe() -> Vec<Command> {
        vec![Command {
            path: Vec::new(),
            about: "Attack the host".to_owned(),
            long_about: None,
            examples: Vec::new(),
            arguments: Vec::new(),
            subcommand_required: false,
            hidden: false,
        }]
    }

    /// A command with one argument, `name`, with dynamic completion.
    pub fn describe_completing() -> Vec<Command> {
        let name = Argument {
            id: "name".to_owned(),
            kind: ArgumentKind::Positional,
            long: None,
            short: None,
            value_name: None,
            value_type: ValueType::Text,
            required: false,
            repeated: false,
            last: false,
            default: None,
            env: None,
            possible_values: Vec::new(),
            help: "What to attack".to_owned(),
            long_help: None,
            heading: None,
            hidden: false,
            conflicts_with: Vec::new(),
            requires: Vec::new(),
            completion: Completion::Dynamic,
        };
        describe().into_iter().map(|command| Command { arguments: vec![name.clone()], ..command }).collect()
    }

    /// No completion candidates.
    pub fn no_candidates(_: CompletionRequest) -> Vec<Candidate> {
        Vec::new()
    }

    /// A core-group kind.
    pub fn kind(kind: &str) -> plugin::kube::Kind {
        plugin::kube::Kind { group: String::new(), version: None, kind: kind.to_owned() }
    }

    /// An object of a core-group kind in the run's namespace.
    pub fn object(kind_name: &str, name: &str) -> plugin::kube::ObjectRef {
        plugin::kube::ObjectRef {
            kind: kind(kind_name),
            namespace: None,
            name: name.to_owned(),
            subresource: None,
        }
    }

    /// Exports a component with `run: fn(Vec<String>) -> Answer`, and optionally `describe`, `complete`
    /// or another ABI version.
    #[macro_export]
    macro_rules! attack {
        ($run:path) => {
            $crate::attack!($run, $crate::describe, $crate::no_candidates, *b"0.1.0");
        };
        ($run:path, describe = $describe:path) => {
            $crate::attack!($run, $describe, $crate::no_candidates, *b"0.1.0");
        };
        ($run:path, complete = $complete:path) => {
            $crate::attack!($run, $crate::describe_completing, $complete, *b"0.1.0");
        };
        ($run:path, abi = $abi:expr) => {
            $crate::attack!($run, $crate::describe, $crate::no_candidates, $abi);
        };
        ($run:path, $describe:path, $complete:path, $abi:expr) => {
            struct Attack;

            impl $crate::bindings::Guest for Attack {
                fn describe() -> Vec<$crate::plugin::tree::Command> {
                    $describe()
                }

                fn run(arguments: Vec<String>) -> $crate::Answer {
                    $run(arguments)
                }

                fn complete(request: $crate::CompletionRequest) -> Vec<$crate::Candidate> {
                    $complete(request)
                }
            }

            $crate::bindings::export_command!(Attack with_types_in $crate::bindings);

            #[unsafe(link_section = "kf:abi")]
            #[used]
            static ABI: [u8; 5] = $abi;
        };
    }
}
