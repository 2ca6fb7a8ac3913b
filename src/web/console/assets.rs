//! The files built into the program: templates, the style sheet, scripts. An
//! asset's address carries the hash of its content, so it may be kept forever.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use crate::model::ContentHash;
use crate::web::error::Fault;
use crate::web::extract::Path;

const FOLDER: &str = "assets/";

#[derive(RustEmbed)]
#[folder = "templates/console/"]
struct Files;

/// The template `name`; assets are no templates.
pub(super) fn text(name: &str) -> Option<String> {
    if name.starts_with(FOLDER) {
        return None;
    }
    let file = Files::get(name)?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// The addresses of all assets, by name without dots: `app_css`.
pub(super) fn addresses() -> BTreeMap<String, String> {
    let assets = Files::iter().filter_map(|path| {
        let name = path.strip_prefix(FOLDER)?;
        let hash = hash_of(name)?;
        Some((name.replace('.', "_"), format!("/assets/{hash}/{name}")))
    });
    assets.collect()
}

/// Serves an asset under its address.
pub(super) async fn serve(Path((hash, name)): Path<(String, String)>) -> Result<Response, Fault> {
    let file = Files::get(&format!("{FOLDER}{name}")).ok_or_else(Fault::no_route)?;
    if hash_of(&name).as_deref() != Some(hash.as_str()) {
        return Err(Fault::no_route());
    }
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

fn hash_of(name: &str) -> Option<String> {
    let file = Files::get(&format!("{FOLDER}{name}"))?;
    Some(ContentHash::of(&file.data).short())
}

/// Every file's name.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = String> {
    Files::iter().map(|name| name.into_owned())
}
