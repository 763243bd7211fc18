use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, LitStr, Result, Variant};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let examples = examples(&input.attrs)?;
    let notes = match &input.data {
        Data::Struct(data) => fields(&data.fields)?,
        Data::Enum(data) => variants(data)?,
        Data::Union(_) => return Err(Error::new_spanned(name, "`Describe` cannot be derived for a union")),
    };
    Ok(quote! {
        impl #generics ::kf_plugin_sdk::Describe for #name #arguments #bounds {
            fn describe(notes: &mut ::kf_plugin_sdk::Notes) {
                let _ = &notes;
                #(#examples)*
                #(#notes)*
            }
        }
    })
}

fn examples(attributes: &[Attribute]) -> Result<Vec<TokenStream>> {
    let mut found = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("kf")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("example") {
                return Err(meta.error("expected `example(\"words after kf\", \"what it does\")`"));
            }
            let content;
            syn::parenthesized!(content in meta.input);
            let command: LitStr = content.parse()?;
            content.parse::<syn::Token![,]>()?;
            let about: LitStr = content.parse()?;
            found.push(quote! { notes.example(#command, #about); });
            Ok(())
        })?;
    }
    Ok(found)
}

fn fields(fields: &Fields) -> Result<Vec<TokenStream>> {
    fields.iter().map(field).collect::<Result<Vec<_>>>().map(|notes| notes.into_iter().flatten().collect())
}

fn field(field: &Field) -> Result<Option<TokenStream>> {
    let kind = innermost(&field.ty);
    if clap_word(&field.attrs, "flatten") || clap_word(&field.attrs, "subcommand") {
        return Ok(Some(quote! { <#kind as ::kf_plugin_sdk::Describe>::describe(notes); }));
    }
    let mut completion = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("kf")) {
        attribute.parse_nested_meta(|meta| {
            completion = Some(self::completion(&meta)?);
            Ok(())
        })?;
    }
    let Some(completion) = completion else { return Ok(None) };
    let Some(name) = &field.ident else {
        return Err(Error::new_spanned(field, "expected a named field"));
    };
    let id = name.to_string();
    let id = id.trim_start_matches("r#");
    Ok(Some(quote! { notes.complete(#id, #completion); }))
}

fn completion(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    if !meta.path.is_ident("complete") {
        return Err(meta.error("expected `complete = …`"));
    }
    let source: syn::Ident = meta.value()?.parse()?;
    match source.to_string().as_str() {
        "files" => Ok(quote! { ::kf_plugin_sdk::Completion::Files }),
        "dynamic" => Ok(quote! { ::kf_plugin_sdk::Completion::Dynamic }),
        "objects" => {
            let content;
            syn::parenthesized!(content in meta.input);
            let kind: LitStr = content.parse()?;
            // As in `kf.api`, the slash of a core kind is optional.
            let full = if kind.value().contains('/') { kind.value() } else { format!("/{}", kind.value()) };
            Ok(quote! { ::kf_plugin_sdk::Completion::Objects(#full.into()) })
        }
        _ => Err(Error::new(source.span(), "expected `objects(\"group/Kind\")`, `files` or `dynamic`")),
    }
}

fn variants(data: &DataEnum) -> Result<Vec<TokenStream>> {
    data.variants.iter().map(variant).collect()
}

fn variant(variant: &Variant) -> Result<TokenStream> {
    let name = subcommand_name(variant)?;
    let examples = examples(&variant.attrs)?;
    let notes = match &variant.fields {
        Fields::Unnamed(fields) => {
            let kinds = fields.unnamed.iter().map(|field| innermost(&field.ty));
            quote! { #(<#kinds as ::kf_plugin_sdk::Describe>::describe(notes);)* }
        }
        other => {
            let notes = fields(other)?;
            quote! { #(#notes)* }
        }
    };
    Ok(quote! {
        {
            let notes = notes.subcommand(#name);
            let _ = &notes;
            #(#examples)*
            #notes
        }
    })
}

/// Returns the name that clap uses: `name = "…"` if set, or the variant in kebab case.
fn subcommand_name(variant: &Variant) -> Result<String> {
    let mut named = None;
    for attribute in variant.attrs.iter().filter(|attribute| is_claps(attribute)) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                named = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            Ok(())
        })?;
    }
    Ok(named.unwrap_or_else(|| kebab(&variant.ident.to_string())))
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    let mut previous = None::<char>;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins_a_word = letter.is_uppercase()
            && previous.is_some_and(|previous| {
                !previous.is_uppercase() || letters.peek().is_some_and(|after| after.is_lowercase())
            });
        if begins_a_word {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
        previous = Some(letter);
    }
    kebab
}

/// Returns whether it is `#[command(…)]` or `#[clap(…)]`.
fn is_claps(attribute: &Attribute) -> bool {
    attribute.path().is_ident("command") || attribute.path().is_ident("clap")
}

/// Returns whether a `#[command(…)]` or `#[clap(…)]` contains this word.
fn clap_word(attributes: &[Attribute], word: &str) -> bool {
    attributes.iter().filter(|attribute| is_claps(attribute)).any(|attribute| {
        let mut found = false;
        // Unknown words are checked by clap.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(word);
            Ok(())
        });
        found
    })
}

/// Returns `T` of `Option<T>` and `Box<T>`, as clap does.
fn innermost(kind: &syn::Type) -> &syn::Type {
    if let syn::Type::Path(path) = kind
        && let Some(last) = path.path.segments.last()
        && (last.ident == "Option" || last.ident == "Box")
        && let syn::PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(syn::GenericArgument::Type(inner)) = arguments.args.first()
    {
        return innermost(inner);
    }
    kind
}
