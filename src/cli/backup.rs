//! `convoy backup` and `convoy restore`: a data folder into another folder,
//! and back.

use std::path::PathBuf;

use super::Failure;
use super::fsck::failure;
use super::output::Output;
use crate::store::{self, BackupSummary};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The data folder; a server may be using it
    #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
    data: PathBuf,
    /// An empty folder, or one that isn't there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Copy the credentials of mirrors as well
    #[arg(long)]
    with_secrets: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// A folder that `convoy backup` wrote
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// An empty folder, or one that isn't there
    #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
    data: PathBuf,
}

pub(super) fn backup(args: &BackupArgs, output: &Output) -> Result<(), Failure> {
    let summary = store::backup_folder(&args.data, &args.to, args.with_secrets).map_err(failure)?;
    print(&summary, "backed up", output);
    Ok(())
}

pub(super) fn restore(args: &RestoreArgs, output: &Output) -> Result<(), Failure> {
    let summary = store::restore(&args.backup, &args.data).map_err(failure)?;
    print(&summary, "restored", output);
    Ok(())
}

fn print(summary: &BackupSummary, verb: &str, output: &Output) {
    output.result(summary, || {
        format!("{verb} {} repositories, {} revisions\n", summary.repositories, summary.revisions)
    });
}
