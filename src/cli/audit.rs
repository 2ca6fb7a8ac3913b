//! `convoy audit`: proves the audit log of a data folder, or prints it as
//! lines of JSON. It only reads; a server may be using the folder.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::Failure;
use super::fsck::failure;
use super::output::Output;
use crate::model::RepoName;
use crate::store::{Audit, AuditEntry, AuditQuery};

/// Entries that are held at once.
const PAGE: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Prove every entry's hash, its link, and that Git holds what they tell
    #[command(after_help = "Examples:\n  convoy audit verify --data /var/lib/convoy")]
    Verify {
        /// The data folder, or a backup
        #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
        data: PathBuf,
    },
    /// Print entries as lines of JSON, oldest first
    #[command(
        after_help = "Examples:\n  convoy audit export --data /var/lib/convoy --after 1000\n  convoy audit export --data /var/lib/convoy --repo @convoy/state --details"
    )]
    Export(Export),
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The data folder, or a backup
    #[arg(long, value_name = "DIR", env = "CONVOY_DATA")]
    data: PathBuf,
    /// Only entries after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Only of this repository
    #[arg(long, value_name = "PROJECT/REPO")]
    repo: Option<String>,
    /// With the files that each entry changed; in Convoy's own repositories
    /// with their text before and after
    #[arg(long)]
    details: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Verify { data } => verify(data, output),
        Args::Export(args) => export(args),
    }
}

fn verify(data: &std::path::Path, output: &Output) -> Result<(), Failure> {
    if !data.join("journal").is_dir() {
        let text = format!("`{}` is no data folder", data.display());
        return Err(Failure::new(Failure::USAGE, text));
    }
    match Audit::verify(data) {
        Ok(entries) => {
            let result = json!({ "entries": entries, "faults": [] });
            output.result(&result, || format!("{entries} entries, all proved\n"));
            Ok(())
        }
        Err(faults) => {
            output.result(&json!({ "faults": faults }), || {
                faults.iter().map(|fault| format!("{fault}\n")).collect()
            });
            Err(Failure::silent(Failure::FAILED))
        }
    }
}

fn export(args: &Export) -> Result<(), Failure> {
    // Convoy's own repositories have names that can't be given elsewhere.
    let repo = args.repo.as_deref().map(|name| RepoName::try_from(name.to_owned())).transpose();
    let repo = repo.map_err(|error| Failure::new(Failure::USAGE, format!("--repo: {error}")))?;
    let audit = Audit::read(&args.data).map_err(failure)?;
    let mut query = AuditQuery { after: args.after, limit: PAGE, repo };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let entries = audit.entries(&query).map_err(failure)?;
        let Some(last) = entries.last() else { break };
        query.after = last.number;
        for entry in &entries {
            let line = line(args, entry)?;
            // A closed pipe is no failure: whoever reads has seen enough.
            if writeln!(stdout, "{line}").is_err() {
                return Ok(());
            }
        }
    }
    let _ = stdout.flush();
    Ok(())
}

fn line(args: &Export, entry: &AuditEntry) -> Result<String, Failure> {
    let unreadable =
        |error| Failure::new(Failure::FAILED, format!("entry {}: {error}", entry.number));
    let mut value = serde_json::to_value(entry).map_err(unreadable)?;
    if args.details && entry.act != "purge" && entry.after.is_some() {
        value["details"] = match Audit::details(&args.data, entry) {
            Ok(details) => json!(details),
            // A purged repository's files are gone; its entries are not.
            Err(error) => json!({ "missing": error.to_string() }),
        };
    }
    Ok(value.to_string())
}
