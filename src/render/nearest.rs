//! The known name that a misspelt one was probably meant to be.
//!
//! Not a search: short lists only. Whoever reports an unknown name calls it
//! for the hint.

/// Longer names are not compared: the cost grows with the product of lengths.
const LENGTH_MAX: usize = 128;

/// The known name nearest to `name`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    let short = |name: &str| name.len() <= LENGTH_MAX;
    known
        .into_iter()
        .filter(|candidate| short(name) && short(candidate))
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` for the nearest known name, else the list of them all.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", listed(known)),
    }
}

/// Names as people list them: `a`, `b` and `c`.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// How many characters must be added, dropped, replaced, or swapped with
/// their neighbour to turn `left` into `right`; case and `-`/`_` don't count.
fn distance(left: &str, right: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (left, right) = (letters(left), letters(right));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(l != r);
            let mut cost = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r;
            if swapped {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
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
        let known = ["approvals", "approvers", "soak", "stages"];
        assert_eq!(nearest("aprovals", known), Some("approvals"));
        assert_eq!(nearest("Stage", known), Some("stages"));
        assert_eq!(nearest("saok", known), Some("soak"));
        assert_eq!(nearest("listener", known), None);
        assert_eq!(nearest("", known), None);
        let long = "x".repeat(LENGTH_MAX + 1);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(suggestion("zzz", &["a"]), "known are `a`");
    }
}
