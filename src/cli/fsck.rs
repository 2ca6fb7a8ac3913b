//! `convoy fsck`: checks a data folder that no server uses.

use std::path::PathBuf;

use super::Failure;
use super::output::Output;
use crate::store::{StoreError, fsck};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data folder, or a backup
    #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
    data: PathBuf,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let found = fsck(&args.data).map_err(failure)?;
    output.result(&found, || {
        let mut text = String::new();
        for damage in &found.damage {
            let file = damage.file.display();
            text.push_str(&format!("{file}: {}\n  remedy: {}\n", damage.what, damage.remedy));
        }
        let (repositories, objects) = (found.repositories, found.objects);
        let end = match found.damage.len() {
            0 => "nothing is damaged".to_owned(),
            1 => "1 place is damaged".to_owned(),
            count => format!("{count} places are damaged"),
        };
        text + &format!("{repositories} repositories, {objects} objects: {end}\n")
    });
    if found.damage.is_empty() { Ok(()) } else { Err(Failure::silent(Failure::FAILED)) }
}

/// The store's error as a failure, with its cause.
pub(super) fn failure(error: StoreError) -> Failure {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    let code = match error {
        StoreError::Invalid(_) => Failure::USAGE,
        _ => Failure::FAILED,
    };
    Failure::new(code, format!("{error}{}", cause.unwrap_or_default()))
}
