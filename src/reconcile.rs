//! The single owner of what is decided: one task, one closed `enum Event`.

mod assess;
mod handle;
mod view;

pub use assess::{Assessment, assess};
pub use handle::{Bundle, Command, Handle, Receipt};
pub use view::{Fleet, MirrorState, MirrorView, View};
