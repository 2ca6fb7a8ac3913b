//! The known name that a misspelt one was probably meant to be, and lists of
//! names as people read them.
//!
//! Not a search: short lists of short names. Whoever reports an unknown name
//! calls it for the hint.

/// Longer names are not compared: the cost grows with the product of lengths.
const LONGEST: usize = 200;
/// With more slips than this it is another name.
const MOST_SLIPS: usize = 4;

/// The known name nearest to `wanted`, if one is near enough to be meant: at
/// most a third of its letters differ. Case and `-` or `_` don't count.
pub fn nearest<N: AsRef<str> + Ord>(wanted: &str, known: impl IntoIterator<Item = N>) -> Option<N> {
    if wanted.len() > LONGEST {
        return None;
    }
    let wanted = letters(wanted);
    let limit = (wanted.len() / 3).clamp(1, MOST_SLIPS);
    known
        .into_iter()
        .filter(|name| name.as_ref().chars().count().abs_diff(wanted.len()) <= limit)
        .map(|name| (distance(&wanted, &letters(name.as_ref())), name))
        .filter(|(slips, _)| *slips <= limit && *slips < wanted.len())
        .min()
        .map(|(_, name)| name)
}

/// The hint with the nearest known name, if one is near enough.
pub fn did_you_mean<N: AsRef<str> + Ord>(
    wanted: &str,
    known: impl IntoIterator<Item = N>,
) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{}`?", name.as_ref()))
}

/// The hint with the nearest known name, else with all of them.
pub fn suggestion(wanted: &str, known: &[&str]) -> String {
    did_you_mean(wanted, known).unwrap_or_else(|| format!("known are {}", all_of(known)))
}

/// `a`, `b` and `c`.
pub fn all_of(names: &[impl AsRef<str>]) -> String {
    listed(names, "and")
}

/// `a`, `b` or `c`.
pub fn one_of(names: &[impl AsRef<str>]) -> String {
    listed(names, "or")
}

fn listed(names: &[impl AsRef<str>], word: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        None => "none".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} {word} {last}", others.join(", ")),
    }
}

fn letters(name: &str) -> Vec<char> {
    name.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).collect()
}

/// How many letters must be added, dropped, replaced, or swapped with their
/// neighbour to turn `left` into `right`.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(l != r);
            let mut slips = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                slips = slips.min(before[j - 1] + 1);
            }
            row.push(slips);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["approvals", "approvers", "connect_timeout", "soak", "stages"];
        let table = [
            ("aprovals", Some("approvals")),
            ("Stage", Some("stages")),
            ("saok", Some("soak")),
            ("connectTimeout", Some("connect_timeout")),
            ("connect-timeout", Some("connect_timeout")),
            ("SOAK", Some("soak")),
            ("listener", None),
            ("s", None),
            ("", None),
        ];
        for (wanted, meant) in table {
            assert_eq!(nearest(wanted, known), meant, "{wanted}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }

    #[test]
    fn hints_read_as_sentences() {
        assert_eq!(suggestion("stagse", &["stages"]), "did you mean `stages`?");
        assert_eq!(suggestion("zzz", &["a"]), "known are `a`");
        assert_eq!(all_of(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(one_of(&["a", "b"]), "`a` or `b`");
    }
}
