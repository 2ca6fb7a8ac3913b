//! `convoy wait`: until enough of a stage's nodes have a revision, for scripts
//! that go on then. The server is asked to answer when it is so, so waiting
//! costs nothing.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use super::client::{Query, Server, segment};
use super::output::Output;
use super::status::text;

/// How long one question may wait; the server answers it then in any case.
const QUESTION_S: u64 = 20;
/// Before asking again where the server gave no answer.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stage
    #[arg(long)]
    stage: String,
    /// The revision that nodes are to have, or a later one: 41, r41, -1 or
    /// head for the newest
    #[arg(long, default_value = "head", allow_hyphen_values = true)]
    revision: String,
    /// How many of the connected nodes are to have it
    #[arg(long, default_value = "100%", value_parser = percent, value_name = "SHARE")]
    ready: u8,
    /// How many nodes must be connected at least
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    nodes: usize,
    /// How long to wait, as in 90s or 5m
    #[arg(long, default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<u8>();
    let share = number.ok().filter(|number| (1..=100).contains(number));
    share.ok_or_else(|| "a share is a whole number from 1% to 100%".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a whole number with ms, s, m or h behind it, as in 90s".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_millis(number.saturating_mul(ms)))
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    let deadline = Instant::now() + args.timeout;
    let (mut last, mut said): (Option<Value>, _) = (None, String::new());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = match args.server.get(&question(args, &repo, left)).await {
            Ok(answer) => answer,
            // It may be about to start again.
            Err(failure) if failure.code == Failure::UNAVAILABLE && left > PAUSE => {
                say(output, &mut said, failure.message);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if answer["reached"] == true {
            output.result(&answer, || format!("{}\n", sentence(&answer)));
            return Ok(());
        }
        if answer["refused"] == true {
            output.result(&answer, || stragglers(&answer));
            let why = match answer["taken_back"].as_str() {
                Some(why) => why.to_owned(),
                None => sentence(&answer),
            };
            let message = format!("it is refused: {why}");
            return Err(Failure::new(Failure::FAILED, message)
                .with_hint("mend what is refused in a new commit, or roll the stage back"));
        }
        if left.is_zero() {
            output.result(&answer, || stragglers(&answer));
            let message = format!("not in time: {}", sentence(&answer));
            return Err(Failure::new(Failure::UNAVAILABLE, message).with_hint(hint(&answer)));
        }
        if last.as_ref() != Some(&answer) {
            say(output, &mut said, format!("waiting: {}", sentence(&answer)));
            last = Some(answer);
        }
    }
}

/// Says something once.
fn say(output: &Output, said: &mut String, text: String) {
    if *said != text {
        output.message(&text);
        *said = text;
    }
}

fn question(args: &Args, repo: &str, left: Duration) -> String {
    let mut query = Query::default();
    query.push("revision", args.revision.strip_prefix('r').unwrap_or(&args.revision));
    query.push("ready", &args.ready.to_string());
    query.push("nodes", &args.nodes.to_string());
    query.push("wait", &left.as_secs_f64().ceil().min(QUESTION_S as f64).to_string());
    format!("/repos/{repo}/stages/{}/nodes{query}", segment(&args.stage))
}

fn sentence(answer: &Value) -> String {
    let refusing = answer["refusing"].as_u64().unwrap_or(0);
    let refused = if refusing > 0 { format!(", {refusing} refuse it") } else { String::new() };
    format!(
        "{} of {} node(s) of {} have r{}, {} must{refused}",
        answer["ready"],
        answer["nodes"],
        text(answer, "stage"),
        answer["revision"],
        answer["needed"]
    )
}

fn stragglers(answer: &Value) -> String {
    let mut lines = String::new();
    for one in answer["waiting"].as_array().into_iter().flatten() {
        let has = match one["revision"].as_u64() {
            Some(revision) => format!("has r{revision}"),
            None => "has nothing whole".into(),
        };
        let state = text(one, "state").replace('_', " ").to_uppercase();
        lines.push_str(&format!("{}: {state}, {has}\n", text(one, "node")));
        for refusal in one["refuses"].as_array().into_iter().flatten() {
            let refusal = refusal.as_str().unwrap_or_default();
            refusal.lines().for_each(|line| lines.push_str(&format!("  | {line}\n")));
        }
    }
    lines
}

/// What keeps it.
fn hint(answer: &Value) -> String {
    let (wanted, stage) = (answer["revision"].as_u64().unwrap_or(0), text(answer, "stage"));
    let newest = answer["newest"].as_u64().unwrap_or(0);
    if wanted > newest {
        return format!("there is no r{wanted} so far: its newest revision is r{newest}");
    }
    match answer["serves"].as_u64() {
        None => format!("{stage} serves nothing so far; `convoy status` shows what waits"),
        Some(serves) if serves < wanted => {
            format!("{stage} serves r{serves} still; `convoy status` shows what waits")
        }
        Some(_) if answer["nodes"] == 0 => format!("no node of {stage} is connected"),
        Some(_) => "`convoy nodes NODE` shows what a node lacks".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_times_are_read_as_people_write_them() {
        assert_eq!((percent("95%"), percent("100"), percent("1 %")), (Ok(95), Ok(100), Ok(1)));
        for wrong in ["0", "101%", "x", "-1", "95.5%", ""] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "1d", "-1s", "1.5s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
