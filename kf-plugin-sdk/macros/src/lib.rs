//! The macros of `kf-plugin-sdk`.

mod command;
mod describe;
mod table_row;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Marks the function of the command: `fn main(arguments: A, kf: &Kf) -> Result<Exit>`.
///
/// `#[kf_plugin_sdk::main(complete = path)]` sets the function that completes arguments with
/// `#[kf(complete = dynamic)]`: `fn(&CompletionRequest, &Kf) -> Result<Vec<Candidate>>`.
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as command::Options);
    let function = parse_macro_input!(function as syn::ItemFn);
    command::expand(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Derives `Describe`: `#[kf(example("train mnist", "…"))]` on the struct or a variant, and
/// `#[kf(complete = objects("group/Kind") | files | dynamic)]` on a field.
#[proc_macro_derive(Describe, attributes(kf))]
pub fn describe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    describe::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Derives `TableRow`: `#[row(name = "expression")]` on the struct, `#[column(title = "…", wide, skip)]` on a field.
#[proc_macro_derive(TableRow, attributes(row, column))]
pub fn table_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    table_row::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
