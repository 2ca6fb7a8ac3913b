//! `convoy put|rm|mv|revert`: commits of one change.

use std::io::Read as _;
use std::str::FromStr;

use serde_json::{Value, json};

use super::Failure;
use super::client::Server;
use super::output::Output;
use super::status::text;
use crate::model::{At, BlobId, FilePath, RepoName};

/// The largest file that is sent: what the server takes in one request.
const FILE_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The repository, project/name
    repo: RepoName,
    /// The file in the repository
    path: FilePath,
    /// The file to take the content from; - for stdin
    file: std::path::PathBuf,
    /// What the file must still be: a revision that it is as of, the 40 hex
    /// digits of its content, or absent
    #[arg(long, value_name = "REVISION|BLOB|absent", allow_hyphen_values = true)]
    expect: Option<Expect>,
    /// Where it was changed after the expected revision: merge both by line
    #[arg(long, requires = "expect")]
    merge: bool,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The repository, project/name
    repo: RepoName,
    /// The file, or the folder with everything in it
    path: FilePath,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rename {
    /// The repository, project/name
    repo: RepoName,
    /// The file or folder
    from: FilePath,
    /// Where it goes
    to: FilePath,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Debug, clap::Args)]
pub(super) struct Revert {
    /// The repository, project/name
    repo: RepoName,
    /// The revision whose files are to be the files again
    #[arg(long, value_name = "REVISION", allow_hyphen_values = true)]
    to: At,
    /// The revision that the head must still have
    #[arg(long, value_name = "REVISION", allow_hyphen_values = true)]
    expect: Option<At>,
    #[command(flatten)]
    commit: Commit,
}

/// What every commit says.
#[derive(Debug, clap::Args)]
struct Commit {
    /// What changes and why
    #[arg(long, short)]
    message: String,
    #[command(flatten)]
    server: Server,
}

/// What a file must still be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    AsOf(At),
    Content(BlobId),
    Absent,
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "absent" {
            return Ok(Self::Absent);
        }
        // Forty digits are a content, even where all of them are decimal.
        let content = text.parse().map(Self::Content);
        let revision = |_| text.parse().map(Self::AsOf);
        content
            .or_else(revision)
            .map_err(|_| "write a revision, the 40 hex digits of a content, or absent".to_owned())
    }
}

pub(super) async fn put(args: &Put, output: &Output) -> Result<(), Failure> {
    let content = content(args)?;
    let mut change = json!({ "path": args.path, "content": content });
    let mut base = At::HEAD;
    match args.expect {
        None => {}
        Some(Expect::AsOf(at)) => base = at,
        Some(Expect::Content(blob)) => change["expected"] = json!(blob),
        Some(Expect::Absent) => change["expected"] = json!("absent"),
    }
    args.commit.send(output, &args.repo, base, change, args.merge).await
}

fn content(args: &Put) -> Result<String, Failure> {
    let shown = args.file.display();
    let failed = |error: std::io::Error| {
        Failure::new(Failure::USAGE, format!("`{shown}` can't be read: {error}"))
    };
    let mut bytes = Vec::new();
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(&args.file).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    if read.map_err(failed)? as u64 > FILE_BYTES_MAX {
        let message = format!("`{shown}` is larger than 8 MiB");
        return Err(Failure::new(Failure::USAGE, message));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Failure::USAGE, format!("`{shown}` is not UTF-8 text"))
            .with_hint("commit binary files over gRPC, or by a mirror")
    })
}

pub(super) async fn remove(args: &Remove, output: &Output) -> Result<(), Failure> {
    let change = json!({ "path": args.path, "content": Value::Null });
    args.commit.send(output, &args.repo, At::HEAD, change, false).await
}

pub(super) async fn rename(args: &Rename, output: &Output) -> Result<(), Failure> {
    let change = json!({ "rename": { "from": args.from, "to": args.to } });
    args.commit.send(output, &args.repo, At::HEAD, change, false).await
}

pub(super) async fn revert(args: &Revert, output: &Output) -> Result<(), Failure> {
    let mut body = json!({ "to": args.to.0, "message": args.commit.message });
    if let Some(expect) = args.expect {
        body["expected"] = json!(expect.0);
    }
    let path = format!("/repos/{}/revert", args.repo);
    saved(output, &args.commit.server.post(&path, &body).await?);
    Ok(())
}

impl Commit {
    async fn send(
        &self,
        output: &Output,
        repo: &RepoName,
        base: At,
        change: Value,
        merge: bool,
    ) -> Result<(), Failure> {
        let body = json!({
            "base_revision": base.0, "changes": [change], "message": self.message, "merge": merge,
        });
        saved(output, &self.server.post(&format!("/repos/{repo}/commits"), &body).await?);
        Ok(())
    }
}

fn saved(output: &Output, answer: &Value) {
    output.result(answer, || match answer["saved"].as_str() {
        Some("proposed") => {
            let (pull, branch) = (&answer["pull"], text(answer, "branch"));
            match pull["number"].as_u64() {
                Some(number) => {
                    format!("proposed as pull request {number} {}\n", text(pull, "url"))
                }
                None => format!("proposed as branch {branch} {}\n", text(answer, "compare_url")),
            }
        }
        _ => format!("revision {}\n", text(answer, "revision")),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_must_be_is_read() {
        let digits = "1".repeat(40);
        assert_eq!("absent".parse(), Ok(Expect::Absent));
        assert_eq!("-2".parse(), Ok(Expect::AsOf(At(-2))));
        assert_eq!("41".parse(), Ok(Expect::AsOf(At(41))));
        assert_eq!(digits.parse(), Ok(Expect::Content(BlobId([0x11; 20]))));
        assert!("there".parse::<Expect>().is_err());
    }
}
