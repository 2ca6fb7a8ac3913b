//! Whose files a promotion changes: as in a CODEOWNERS file, of the rules that
//! match a file the last one counts.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::{FilePath, OwnerRule, Voter};

/// The owners to ask, each list once: one of each must say yes. `None`
/// stands for files that nobody knows, so every list is asked.
pub(super) fn owners_of(
    rules: &[OwnerRule],
    changed: Option<&BTreeSet<FilePath>>,
) -> BTreeSet<Vec<Voter>> {
    let lists = match changed {
        None => rules.iter().collect::<Vec<_>>(),
        Some(paths) => {
            let globs: Vec<GlobSet> = rules.iter().map(globs).collect();
            let rule_of = |path: &FilePath| {
                let last = globs.iter().rposition(|globs| globs.is_match(path.as_str()))?;
                rules.get(last)
            };
            paths.iter().filter_map(rule_of).collect()
        }
    };
    lists.into_iter().filter(|rule| !rule.from.is_empty()).map(|rule| rule.from.clone()).collect()
}

/// The manifest's reader let no bad glob pass; one that is bad now matches
/// nothing.
fn globs(rule: &OwnerRule) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in rule.paths.iter().filter_map(|text| Glob::new(text.trim_start_matches('/')).ok()) {
        builder.add(glob);
    }
    builder.build().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(paths: &[&str], teams: &[&str]) -> OwnerRule {
        OwnerRule {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            from: teams.iter().map(|team| Voter::Team((*team).to_owned())).collect(),
        }
    }

    #[test]
    fn of_the_rules_that_match_a_file_the_last_counts() {
        let rules = [
            rule(&["**"], &["platform"]),
            rule(&["resources/clusters/payments*", "values/pay.yaml"], &["payments"]),
            rule(&["resources/clusters/payments-test.yaml"], &[]),
        ];
        let asked = |paths: Option<&[&str]>| -> Vec<String> {
            let set = paths.map(|paths| paths.iter().map(|p| FilePath::new(p).unwrap()).collect());
            let lists = owners_of(&rules, set.as_ref());
            lists.iter().map(|list| list[0].to_string()).collect()
        };
        let table: [(&[&str], &[&str]); 5] = [
            (&["resources/clusters/payments.yaml"], &["team:payments"]),
            (&["resources/clusters/payments-test.yaml"], &[]),
            (&["resources/clusters/cart.yaml"], &["team:platform"]),
            (&["values/pay.yaml", "README.md"], &["team:payments", "team:platform"]),
            (&[], &[]),
        ];
        for (paths, lists) in table {
            assert_eq!(asked(Some(paths)), lists, "{paths:?}");
        }
        assert_eq!(asked(None), ["team:payments", "team:platform"], "nobody knows the files");
    }
}
