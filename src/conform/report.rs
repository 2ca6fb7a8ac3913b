//! What the cases came to: for people as a table by family, for programs as
//! plain data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::rule::{Basis, Rule};
use super::transport::Transport;

/// What one case came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The server keeps the rule.
    Passed,
    /// It breaks it.
    Failed {
        /// How.
        reason: String,
        /// What was said and what came.
        exchange: Vec<String>,
    },
    /// There was nothing to try it on.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was not tried to the end, through no fault of the server.
    Errored {
        /// Why.
        reason: String,
    },
}

/// One case and its verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The rule's id.
    pub rule: &'static str,
    /// The transport's name.
    pub transport: &'static str,
    /// What the rule says.
    pub says: &'static str,
    /// Where it is written.
    pub source: &'static str,
    /// How it binds.
    pub basis: Basis,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub took_ms: u64,
}

impl Outcome {
    pub(super) fn new(rule: &Rule, transport: Transport, verdict: Verdict, took_ms: u64) -> Self {
        let (says, source, basis) = (rule.says, rule.source, rule.basis);
        let transport = transport.name();
        Self { rule: rule.id, transport, says, source, basis, verdict, took_ms }
    }

    fn family(&self) -> &'static str {
        self.rule.split('.').next().unwrap_or(self.rule)
    }
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of the rules.
    pub outcomes: Vec<Outcome>,
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Kept.
    pub passed: usize,
    /// Broken.
    pub failed: usize,
    /// With nothing to try them on.
    pub skipped: usize,
    /// Not tried to the end.
    pub errored: usize,
}

impl Count {
    fn add(mut self, verdict: &Verdict) -> Self {
        let count = match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed { .. } => &mut self.failed,
            Verdict::Skipped { .. } => &mut self.skipped,
            Verdict::Errored { .. } => &mut self.errored,
        };
        *count += 1;
        self
    }

    fn row(self, name: &str) -> String {
        let Self { passed, failed, skipped, errored } = self;
        format!("{name:<12} {passed:>6} {failed:>6} {skipped:>7} {errored:>7}\n")
    }
}

/// Reasons, and for each the rules with the transports that it is about.
type ByReason<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a str>>>;

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut all = serializer.serialize_struct("Report", 2)?;
        all.serialize_field("summary", &self.count())?;
        all.serialize_field("outcomes", &self.outcomes)?;
        all.end()
    }
}

impl Report {
    /// How many cases came to what.
    pub fn count(&self) -> Count {
        self.outcomes.iter().fold(Count::default(), |count, one| count.add(&one.verdict))
    }

    /// The ids of the rules that failed, each once.
    pub fn failed_rules(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.failures().map(|one| one.rule).collect();
        ids.dedup();
        ids
    }

    /// The table: a line for each family, then each failure with its
    /// exchange, then which rules were not tried, and why.
    pub fn table(&self) -> String {
        let mut families: Vec<(&str, Count)> = Vec::new();
        for one in &self.outcomes {
            match families.iter_mut().find(|(name, _)| *name == one.family()) {
                Some((_, count)) => *count = count.add(&one.verdict),
                None => families.push((one.family(), Count::default().add(&one.verdict))),
            }
        }
        let mut text = format!(
            "{:<12} {:>6} {:>6} {:>7} {:>7}\n",
            "FAMILY", "PASSED", "FAILED", "SKIPPED", "ERRORED"
        );
        families.iter().for_each(|(name, count)| text += &count.row(name));
        text += &self.count().row("all");
        self.failures().for_each(|one| text += &failure(one));
        text += &untried(
            "errored",
            &self.by_reason(|verdict| match verdict {
                Verdict::Errored { reason } => Some(reason),
                _ => None,
            }),
        );
        text + &untried(
            "skipped",
            &self.by_reason(|verdict| match verdict {
                Verdict::Skipped { reason } => Some(reason),
                _ => None,
            }),
        )
    }

    fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| matches!(one.verdict, Verdict::Failed { .. }))
    }

    fn by_reason(&self, reason: fn(&Verdict) -> Option<&String>) -> ByReason<'_> {
        let mut found = ByReason::new();
        for one in &self.outcomes {
            if let Some(reason) = reason(&one.verdict) {
                found.entry(reason).or_default().entry(one.rule).or_default().push(one.transport);
            }
        }
        found
    }
}

/// Rules that came to no verdict, as people read it.
fn untried(word: &str, reasons: &ByReason<'_>) -> String {
    let mut text = String::new();
    for (reason, rules) in reasons {
        let count: usize = rules.values().map(Vec::len).sum();
        let _ = writeln!(text, "\n{count} {word}: {reason}");
        for (rule, transports) in rules {
            let _ = writeln!(text, "  {rule} ({})", transports.join(", "));
        }
    }
    text
}

/// A failure as people read it.
fn failure(one: &Outcome) -> String {
    let Verdict::Failed { reason, exchange } = &one.verdict else { return String::new() };
    let basis = match one.basis {
        Basis::Specification => "",
        Basis::Practice => ", practice",
    };
    let mut text = format!("\nFAILED {} over {}\n", one.rule, one.transport);
    let _ = writeln!(text, "  rule:   {} ({}{basis})", one.says, one.source);
    let _ = writeln!(text, "  reason: {reason}");
    exchange.iter().for_each(|line| {
        let _ = writeln!(text, "    {line}");
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rule: &'static str, transport: &'static str, verdict: Verdict) -> Outcome {
        let (says, source, basis) = ("it holds", "the text", Basis::Practice);
        Outcome { rule, transport, says, source, basis, verdict, took_ms: 1 }
    }

    fn report() -> Report {
        let exchange = vec!["     1 ms #1 → Cluster".to_owned()];
        let failed = Verdict::Failed { reason: "silence".into(), exchange };
        let skipped = || Verdict::Skipped { reason: "no driver".into() };
        let errored = Verdict::Errored { reason: "no paper".into() };
        Report {
            outcomes: vec![
                outcome("nonce.one", "sotw-ads", Verdict::Passed),
                outcome("nonce.two", "sotw-ads", failed),
                outcome("ttl.one", "sotw-ads", skipped()),
                outcome("ttl.one", "delta-ads", skipped()),
                outcome("ttl.two", "sotw-ads", skipped()),
                outcome("ttl.two", "delta-ads", errored),
            ],
        }
    }

    #[test]
    fn the_table_counts_families_and_shows_failures_and_what_was_not_tried() {
        let expected = "\
FAMILY       PASSED FAILED SKIPPED ERRORED
nonce             1      1       0       0
ttl               0      0       3       1
all               1      1       3       1

FAILED nonce.two over sotw-ads
  rule:   it holds (the text, practice)
  reason: silence
         1 ms #1 → Cluster

1 errored: no paper
  ttl.two (delta-ads)

3 skipped: no driver
  ttl.one (sotw-ads, delta-ads)
  ttl.two (sotw-ads)
";
        assert_eq!(report().table(), expected);
        assert_eq!(report().failed_rules(), ["nonce.two"]);
    }

    #[test]
    fn programs_read_the_sum_first_and_then_every_case() {
        let value = serde_json::to_value(report()).unwrap();
        let sum = serde_json::json!({ "passed": 1, "failed": 1, "skipped": 3, "errored": 1 });
        assert_eq!(value["summary"], sum);
        assert_eq!(value["outcomes"][1]["verdict"], "failed");
        assert_eq!(value["outcomes"][5]["reason"], "no paper");
    }
}
