use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Error, FnArg, ItemFn, Path, Result, Token};

/// The options of the attribute.
pub(crate) struct Options {
    complete: Option<Path>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self { complete: None });
        }
        let word: syn::Ident = input.parse()?;
        if word != "complete" {
            return Err(Error::new(word.span(), "expected `complete = function`"));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { complete: Some(input.parse()?) })
    }
}

pub(crate) fn expand(options: &Options, function: &ItemFn) -> Result<TokenStream> {
    let signature = &function.sig;
    let name = &signature.ident;
    let visibility = &function.vis;
    let Some(FnArg::Typed(arguments)) = signature.inputs.first() else {
        return Err(Error::new_spanned(
            signature,
            "expected `fn main(arguments: A, kf: &Kf) -> Result<Exit>`",
        ));
    };
    if signature.inputs.len() != 2 {
        return Err(Error::new_spanned(
            &signature.inputs,
            "expected two parameters: the arguments and `kf: &Kf`",
        ));
    }
    let arguments = &arguments.ty;
    let complete = options.complete.as_ref().map(|path| {
        quote! {
            fn complete(
                request: &::kf_plugin_sdk::CompletionRequest,
                kf: &::kf_plugin_sdk::Kf,
            ) -> ::kf_plugin_sdk::Result<::std::vec::Vec<::kf_plugin_sdk::Candidate>> {
                #path(request, kf)
            }
        }
    });
    Ok(quote! {
        #function

        /// The command.
        #[derive(Debug)]
        #visibility struct Plugin;

        impl ::kf_plugin_sdk::Command for Plugin {
            type Arguments = #arguments;

            fn run(arguments: #arguments, kf: &::kf_plugin_sdk::Kf) -> ::kf_plugin_sdk::Result<::kf_plugin_sdk::Exit> {
                #name(arguments, kf)
            }

            #complete
        }

        ::kf_plugin_sdk::export!(Plugin);
    })
}
