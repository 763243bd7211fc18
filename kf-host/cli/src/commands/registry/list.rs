use clap::Args;
use kf_core::failure::Result;
use kf_core::ui::{Cell, Column, Row, Tone};
use kf_core::{Digest, RegistryId};
use kf_registry::registries;
use kf_registry::trust::{self, Mirror};
use serde_json::json;

use crate::app::App;

/// List registries
#[derive(Debug, Args)]
pub struct ListArgs {}

pub fn run(app: &App, _args: &ListArgs) -> Result<()> {
    let columns =
        ["NAME", "URL", "EXPIRES", "ROOT"].map(Column::new).into_iter().chain([Column::wide("ROOT SHA256")]);
    let columns: Vec<Column> = columns.collect();
    let mut rows = Vec::new();
    for id in app.registries()? {
        let row = match registries::load(&app.home, kf_built_in::built_ins(), &id) {
            Err(error) => Row {
                cells: vec![id.as_str().into(), Cell::toned(error.to_string(), Tone::Bad)],
                object: json!({ "name": id, "error": error.to_string() }).into(),
                name: format!("registry/{id}"),
            },
            Ok(registry) => {
                let urls: Vec<String> = registry.urls.iter().map(ToString::to_string).collect();
                let root: Digest = registry.root_digest();
                let expires = match trust::cached(&app.home, &registry, App::now()) {
                    Ok(session) => Cell::from(session.view().expires.to_string()),
                    Err(error) => Cell::toned(error.to_string(), Tone::Warning),
                };
                Row {
                    object: json!({
                        "name": id, "urls": urls, "expires": expires.text, "rootSha256": root,
                        "mirrors": mirrors(app, &id, &urls),
                    })
                    .into(),
                    cells: vec![
                        id.as_str().into(),
                        urls.join(" ").into(),
                        expires,
                        root.short().into(),
                        root.to_string().into(),
                    ],
                    name: format!("registry/{id}"),
                }
            }
        };
        rows.push(row);
    }
    if rows.is_empty() {
        app.ui.note("no registry is set up; add one with `kf registry add NAME URL --root root.json`");
    }
    Ok(app.ui.table(&columns, &rows)?)
}

/// What the last refresh found about each address that is still set; empty for a single one.
fn mirrors(app: &App, id: &RegistryId, urls: &[String]) -> Vec<Mirror> {
    let mut found = trust::last_found(&app.home, id);
    found.retain(|mirror| urls.len() > 1 && urls.contains(&mirror.url));
    found
}
