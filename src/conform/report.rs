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
    /// It could not be tried.
    Skipped {
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
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order of the rules.
    pub outcomes: Vec<Outcome>,
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed { .. } => self.failed += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
        }
    }

    fn line(&self, name: &str) -> String {
        format!("{name:<12} {:>6} {:>6} {:>7}\n", self.passed, self.failed, self.skipped)
    }
}

impl Report {
    /// The ids of the rules that failed, each once.
    pub fn failed_rules(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.failures().map(|one| one.rule).collect();
        ids.dedup();
        ids
    }

    /// The table: a line for each family, then each failure with its
    /// exchange, then why cases were skipped.
    pub fn table(&self) -> String {
        let mut families: Vec<(&str, Count)> = Vec::new();
        let mut all = Count::default();
        for one in &self.outcomes {
            all.add(&one.verdict);
            match families.iter_mut().find(|(name, _)| *name == one.family()) {
                Some((_, count)) => count.add(&one.verdict),
                None => {
                    let mut count = Count::default();
                    count.add(&one.verdict);
                    families.push((one.family(), count));
                }
            }
        }
        let mut text =
            format!("{:<12} {:>6} {:>6} {:>7}\n", "FAMILY", "PASSED", "FAILED", "SKIPPED");
        families.iter().for_each(|(name, count)| text += &count.line(name));
        text += &all.line("all");
        self.failures().for_each(|one| text += &failure(one));
        text + &self.skips()
    }

    fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| matches!(one.verdict, Verdict::Failed { .. }))
    }

    fn skips(&self) -> String {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.outcomes {
            if let Verdict::Skipped { reason } = &one.verdict {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let mut text = String::new();
        for (reason, count) in reasons {
            let _ = write!(text, "\n{count} skipped: {reason}");
        }
        if text.is_empty() { text } else { text + "\n" }
    }
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

    fn outcome(rule: &'static str, verdict: Verdict) -> Outcome {
        let (says, source, basis) = ("it holds", "the text", Basis::Practice);
        Outcome { rule, transport: "sotw-ads", says, source, basis, verdict, took_ms: 1 }
    }

    #[test]
    fn the_table_counts_families_and_shows_failures_and_reasons() {
        let exchange = vec!["     1 ms #1 → Cluster".to_owned()];
        let failed = Verdict::Failed { reason: "silence".into(), exchange };
        let report = Report {
            outcomes: vec![
                outcome("nonce.one", Verdict::Passed),
                outcome("nonce.two", failed),
                outcome("ttl.one", Verdict::Skipped { reason: "no driver".into() }),
            ],
        };
        let expected = "\
FAMILY       PASSED FAILED SKIPPED
nonce             1      1       0
ttl               0      0       1
all               1      1       1

FAILED nonce.two over sotw-ads
  rule:   it holds (the text, practice)
  reason: silence
         1 ms #1 → Cluster

1 skipped: no driver
";
        assert_eq!(report.table(), expected);
        assert_eq!(report.failed_rules(), ["nonce.two"]);
    }
}
