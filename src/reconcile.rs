//! The single owner of what is decided: one task, one closed `enum Event`.

mod handle;
mod view;

pub use handle::{Bundle, Command, Handle, Receipt};
pub use view::{Fleet, MirrorState, MirrorView, View};
