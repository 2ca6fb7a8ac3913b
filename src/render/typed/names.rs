//! The nearest known name to a misspelt one, and lists of names for hints.

/// The candidate that `wanted` most likely means: at most a third of its
/// letters differ, and at most four, not counting case.
pub(super) fn nearest(
    wanted: &str,
    candidates: impl IntoIterator<Item = String>,
) -> Option<String> {
    const LONGEST: usize = 200;
    const MOST_CHANGES: usize = 4;
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    if length > LONGEST {
        return None;
    }
    let limit = (length / 3).clamp(1, MOST_CHANGES);
    candidates
        .into_iter()
        .filter(|name| name.chars().count().abs_diff(length) <= limit)
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// `a`, `b` or `c`.
pub(super) fn one_of(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// How many letters must be inserted, removed, replaced or swapped with their
/// neighbour to make `a` from `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_with_fewest_changes() {
        let names = || ["connect_timeout", "load_assignment", "name"].map(str::to_owned);
        let check = |wanted: &str, expected: Option<&str>| {
            assert_eq!(nearest(wanted, names()).as_deref(), expected, "{wanted}");
        };
        check("conect_timeout", Some("connect_timeout"));
        check("connectTimeout", Some("connect_timeout"));
        check("NAME", Some("name"));
        check("nmae", Some("name"));
        check("listeners", None);
        check("", None);
    }
}
