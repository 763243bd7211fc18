//! Conversions between Rust types and WIT types.

use serde_json::Value;

use crate::abi::{Kind, ObjectRef, Page, Selection, SessionOptions, WriteOptions};
use crate::bindings::kf::plugin as abi;
use crate::error::{Error, ErrorCode, Result};
use crate::tree;
use crate::ui::{Column, Row, Tone};

pub(super) fn parse(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(text)?)
}

pub(super) fn json(answer: std::result::Result<String, abi::types::Error>) -> Result<Value> {
    parse(&answer.map_err(error)?)
}

pub(super) fn object_ref(object: &ObjectRef) -> abi::kube::ObjectRef {
    abi::kube::ObjectRef {
        kind: kind(&object.kind),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        subresource: object.subresource.clone(),
    }
}

pub(super) fn kind(kind: &Kind) -> abi::kube::Kind {
    abi::kube::Kind { group: kind.group.clone(), version: kind.version.clone(), kind: kind.kind.clone() }
}

pub(super) fn selection(what: &Selection) -> abi::kube::Selection {
    abi::kube::Selection {
        kind: kind(&what.kind),
        reach: match what.everywhere {
            true => abi::kube::Reach::AllNamespaces,
            false => abi::kube::Reach::Namespaced,
        },
        namespace: what.namespace.clone(),
        label_selector: what.labels.clone(),
        field_selector: what.fields.clone(),
    }
}

pub(super) fn page(page: abi::kube::Page) -> Result<Page> {
    Ok(Page {
        items: page.items.iter().map(|item| parse(item)).collect::<Result<_>>()?,
        next: page.continue_token,
        resource_version: page.resource_version,
    })
}

pub(super) fn session_options(options: &SessionOptions) -> abi::sessions::SessionOptions {
    abi::sessions::SessionOptions {
        container: options.container.clone(),
        stdin: options.stdin,
        tty: options.tty,
    }
}

pub(super) fn write_options(options: WriteOptions) -> abi::kube::WriteOptions {
    abi::kube::WriteOptions { dry_run: options.dry_run, force: options.force }
}

pub(super) fn columns(columns: &[Column]) -> Vec<abi::ui::Column> {
    columns.iter().map(|column| abi::ui::Column { title: column.title.clone(), wide: column.wide }).collect()
}

pub(super) fn rows(rows: &[Row]) -> Vec<abi::ui::Row> {
    rows.iter().map(row).collect()
}

pub(super) fn row(row: &Row) -> abi::ui::Row {
    let tone = |tone| match tone {
        Tone::Plain => abi::ui::Tone::Plain,
        Tone::Good => abi::ui::Tone::Good,
        Tone::Warning => abi::ui::Tone::Warning,
        Tone::Bad => abi::ui::Tone::Bad,
        Tone::Faint => abi::ui::Tone::Faint,
    };
    abi::ui::Row {
        cells: row
            .cells
            .iter()
            .map(|cell| abi::ui::Cell { text: cell.text.clone(), tone: tone(cell.tone) })
            .collect(),
        object: row.object.to_string(),
        name: row.name.clone(),
    }
}

pub(super) fn error(error: abi::types::Error) -> Error {
    use abi::types::ErrorCode as Abi;
    let code = match error.code {
        Abi::Invalid => ErrorCode::Invalid,
        Abi::Unauthenticated => ErrorCode::Unauthenticated,
        Abi::Forbidden => ErrorCode::Forbidden,
        Abi::NotFound => ErrorCode::NotFound,
        Abi::TimedOut => ErrorCode::TimedOut,
        Abi::Unreachable => ErrorCode::Unreachable,
        Abi::Conflict => ErrorCode::Conflict,
        Abi::Expired => ErrorCode::Expired,
        Abi::Budget => ErrorCode::Budget,
        Abi::Unsupported => ErrorCode::Unsupported,
        Abi::Failed => ErrorCode::Failed,
        Abi::Internal => ErrorCode::Internal,
    };
    Error { code, message: error.message, hint: error.hint }
}

pub(super) fn code_out(code: ErrorCode) -> abi::types::ErrorCode {
    use abi::types::ErrorCode as Abi;
    match code {
        ErrorCode::Invalid => Abi::Invalid,
        ErrorCode::Unauthenticated => Abi::Unauthenticated,
        ErrorCode::Forbidden => Abi::Forbidden,
        ErrorCode::NotFound => Abi::NotFound,
        ErrorCode::TimedOut => Abi::TimedOut,
        ErrorCode::Unreachable => Abi::Unreachable,
        ErrorCode::Conflict => Abi::Conflict,
        ErrorCode::Expired => Abi::Expired,
        ErrorCode::Budget => Abi::Budget,
        ErrorCode::Unsupported => Abi::Unsupported,
        ErrorCode::Failed => Abi::Failed,
        ErrorCode::Internal => Abi::Internal,
    }
}

pub(super) fn command(node: tree::CommandNode) -> abi::tree::Command {
    abi::tree::Command {
        path: node.path,
        about: node.about,
        long_about: node.long_about,
        examples: node
            .examples
            .into_iter()
            .map(|example| abi::tree::Example { command: example.command, about: example.about })
            .collect(),
        arguments: node.arguments.into_iter().map(argument).collect(),
        subcommand_required: node.subcommand_required,
        hidden: node.hidden,
    }
}

pub(super) fn argument(argument: tree::Argument) -> abi::tree::Argument {
    abi::tree::Argument {
        id: argument.id,
        kind: match argument.kind {
            tree::ArgumentKind::Positional => abi::tree::ArgumentKind::Positional,
            tree::ArgumentKind::Option => abi::tree::ArgumentKind::Option,
            tree::ArgumentKind::Flag => abi::tree::ArgumentKind::Flag,
            tree::ArgumentKind::Count => abi::tree::ArgumentKind::Count,
        },
        long: argument.long,
        short: argument.short,
        value_name: argument.value_name,
        value_type: match argument.value_type {
            tree::ValueType::Text => abi::tree::ValueType::Text,
            tree::ValueType::Integer => abi::tree::ValueType::Integer,
            tree::ValueType::Number => abi::tree::ValueType::Number,
            tree::ValueType::Boolean => abi::tree::ValueType::Boolean,
            tree::ValueType::Duration => abi::tree::ValueType::Duration,
            tree::ValueType::File => abi::tree::ValueType::File,
            tree::ValueType::Directory => abi::tree::ValueType::Directory,
            tree::ValueType::NameOrFile => abi::tree::ValueType::NameOrFile,
        },
        required: argument.required,
        repeated: argument.repeated,
        last: argument.last,
        default: argument.default,
        env: argument.env,
        possible_values: argument
            .possible_values
            .into_iter()
            .map(|value| abi::tree::PossibleValue { name: value.name, help: value.help })
            .collect(),
        help: argument.help,
        long_help: argument.long_help,
        heading: argument.heading,
        hidden: argument.hidden,
        conflicts_with: argument.conflicts_with,
        requires: argument.requires,
        completion: match argument.completion {
            tree::Completion::None => abi::tree::Completion::None,
            tree::Completion::Objects(kind) => abi::tree::Completion::Objects(kind),
            tree::Completion::Files => abi::tree::Completion::Files,
            tree::Completion::Dynamic => abi::tree::Completion::Dynamic,
        },
    }
}
