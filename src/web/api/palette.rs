//! What can be typed, for the console's palette: the table that Slack, the
//! command line and the documentation have too.

use serde::Serialize;

use crate::chat;
use crate::web::extract::Answer;

#[derive(Serialize)]
pub(super) struct Palette {
    verbs: Vec<chat::PaletteEntry>,
}

/// `GET /palette`
pub(super) async fn palette() -> Answer<Palette> {
    Answer(Palette { verbs: chat::palette() })
}
