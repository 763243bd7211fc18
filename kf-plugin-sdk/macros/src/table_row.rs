use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Fields, LitStr, Result};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(name, "`TableRow` can only be derived for a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(name, "`TableRow` needs named fields: they are the column titles"));
    };
    let row_name = row_name(&input.attrs)?.unwrap_or_else(|| quote! { ::std::string::String::new() });
    let mut columns = Vec::new();
    let mut cells = Vec::new();
    for field in &fields.named {
        let Some((column, cell)) = column(field)? else { continue };
        columns.push(column);
        cells.push(cell);
    }
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::kf_plugin_sdk::ui::TableRow for #name #arguments #bounds {
            fn columns() -> ::std::vec::Vec<::kf_plugin_sdk::ui::Column> {
                ::std::vec![#(#columns),*]
            }

            fn cells(&self) -> ::std::vec::Vec<::kf_plugin_sdk::ui::Cell> {
                ::std::vec![#(#cells),*]
            }

            fn row_name(&self) -> ::std::string::String {
                #row_name
            }
        }
    })
}

/// Parses `#[row(name = "expression")]`, a `String` expression of `self`.
fn row_name(attributes: &[Attribute]) -> Result<Option<TokenStream>> {
    let mut name = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("expected `name = \"expression\"`"));
            }
            let expression: Expr = meta.value()?.parse::<LitStr>()?.parse()?;
            name = Some(quote! { #expression });
            Ok(())
        })?;
    }
    Ok(name)
}

fn column(field: &Field) -> Result<Option<(TokenStream, TokenStream)>> {
    let Some(name) = &field.ident else { return Ok(None) };
    let mut title = name.to_string().trim_start_matches("r#").replace('_', " ").to_uppercase();
    let mut wide = false;
    let mut skip = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("column")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("title") {
                title = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("wide") {
                wide = true;
            } else if meta.path.is_ident("skip") {
                skip = true;
            } else {
                return Err(meta.error("expected `title = \"…\"`, `wide` or `skip`"));
            }
            Ok(())
        })?;
    }
    if skip {
        return Ok(None);
    }
    Ok(Some((
        quote! { ::kf_plugin_sdk::ui::Column { title: #title.into(), wide: #wide } },
        quote! { ::kf_plugin_sdk::ui::ToCell::to_cell(&self.#name) },
    )))
}
