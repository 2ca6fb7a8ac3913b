//! Whether a number is good enough, by itself and beside what those give who
//! do not have the candidate.
//!
//! Pure. What can't be compared is inconclusive; who decides what that means
//! (wait, or stop for a person) is not here.

use super::Reading;

/// What a number must keep. Without any, nothing can be said.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// It may not be greater.
    pub at_most: Option<f64>,
    /// It may not be less.
    pub at_least: Option<f64>,
    /// It may not be greater than so many times what the others give.
    pub at_most_times_baseline: Option<f64>,
}

/// What a metric says of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is as good as it must be.
    Pass(String),
    /// It is not.
    Fail(String),
    /// There is nothing to judge by.
    Inconclusive(String),
    /// Nobody answered who could say.
    Unreachable(String),
}

/// Compares what the candidate's nodes give with `limits`, and with what the
/// others give where that is asked for. One limit that is broken fails it,
/// whatever is not known of the others.
pub fn judge(limits: Limits, candidate: &Reading, baseline: Option<&Reading>) -> Judgement {
    let number = match candidate {
        Reading::Number(number) => *number,
        Reading::Nothing(why) => return Judgement::Inconclusive(why.clone()),
    };
    let found = [
        limits.at_most.map(|most| at_most(number, most)),
        limits.at_least.map(|least| at_least(number, least)),
        limits.at_most_times_baseline.map(|times| beside(number, times, baseline)),
    ];
    let found: Vec<_> = found.into_iter().flatten().collect();
    let first = |which: fn(&Judgement) -> bool| found.iter().find(|one| which(one)).cloned();
    first(|one| matches!(one, Judgement::Fail(_)))
        .or_else(|| first(|one| !matches!(one, Judgement::Pass(_))))
        .or_else(|| found.first().cloned())
        .unwrap_or_else(|| Judgement::Inconclusive(format!("{number}, and no limit for it")))
}

fn at_most(number: f64, most: f64) -> Judgement {
    match number <= most {
        true => Judgement::Pass(format!("{} is at most {most}", short(number))),
        false => Judgement::Fail(format!("{} is more than {most}", short(number))),
    }
}

fn at_least(number: f64, least: f64) -> Judgement {
    match number >= least {
        true => Judgement::Pass(format!("{} is at least {least}", short(number))),
        false => Judgement::Fail(format!("{} is less than {least}", short(number))),
    }
}

fn beside(number: f64, times: f64, baseline: Option<&Reading>) -> Judgement {
    let base = match baseline {
        Some(Reading::Number(base)) => *base,
        Some(Reading::Nothing(why)) => {
            return Judgement::Inconclusive(format!("of the baseline: {why}"));
        }
        None => return Judgement::Inconclusive("there is no baseline".into()),
    };
    let most = base * times;
    let (number, base) = (number, short(base));
    // Nothing at all is no worse than anything; any multiple of nothing is
    // nothing, which says nothing of a number that is not.
    if !most.is_finite() || (most <= 0.0 && number > most) {
        let why = format!("{} can't be compared with a baseline of {base}", short(number));
        return Judgement::Inconclusive(why);
    }
    let sentence = |word: &str| format!("{} is {word} {times} × {base}", short(number));
    match number <= most {
        true => Judgement::Pass(sentence("at most")),
        false => Judgement::Fail(sentence("more than")),
    }
}

/// A number for people: four digits are enough to see on which side it is.
fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor();
    match magnitude {
        -6.0..=-1.0 => {
            let digits = (3.0 - magnitude) as usize;
            format!("{number:.digits$}").trim_end_matches('0').to_owned()
        }
        0.0..6.0 => {
            let text = format!("{number:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{number:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: Limits, candidate: f64, baseline: Option<Reading>, expected: &str) {
        let said = judge(limits, &Reading::Number(candidate), baseline.as_ref());
        assert_eq!(format!("{said:?}"), expected);
    }

    const NONE: Limits = Limits { at_most: None, at_least: None, at_most_times_baseline: None };

    #[test]
    fn a_threshold_is_kept_or_not() {
        let most = Limits { at_most: Some(0.01), ..NONE };
        check(most, 0.01, None, r#"Pass("0.01 is at most 0.01")"#);
        check(most, 0.0123456, None, r#"Fail("0.01235 is more than 0.01")"#);
        check(most, f64::INFINITY, None, r#"Fail("inf is more than 0.01")"#);
        let least = Limits { at_least: Some(100.0), ..NONE };
        check(least, 123.5, None, r#"Pass("123.5 is at least 100")"#);
        check(least, 7.0, None, r#"Fail("7 is less than 100")"#);
        check(NONE, 7.0, None, r#"Inconclusive("7, and no limit for it")"#);
    }

    #[test]
    fn a_candidate_is_compared_with_the_others() {
        let times = Limits { at_most_times_baseline: Some(1.2), ..NONE };
        let base = |number| Some(Reading::Number(number));
        check(times, 12.0, base(10.0), r#"Pass("12 is at most 1.2 × 10")"#);
        check(times, 12.1, base(10.0), r#"Fail("12.1 is more than 1.2 × 10")"#);
        check(times, 0.0, base(0.0), r#"Pass("0 is at most 1.2 × 0")"#);
        check(times, 1.0, base(0.0), r#"Inconclusive("1 can't be compared with a baseline of 0")"#);
        check(
            times,
            1.0,
            base(f64::INFINITY),
            r#"Inconclusive("1 can't be compared with a baseline of inf")"#,
        );
        let none = Some(Reading::Nothing("the query gives no series".into()));
        check(times, 1.0, none, r#"Inconclusive("of the baseline: the query gives no series")"#);
        check(times, 1.0, None, r#"Inconclusive("there is no baseline")"#);
    }

    #[test]
    fn what_is_broken_counts_more_than_what_is_not_known() {
        let both = Limits { at_most: Some(1.0), at_least: None, at_most_times_baseline: Some(2.0) };
        check(both, 3.0, None, r#"Fail("3 is more than 1")"#);
        check(both, 0.5, None, r#"Inconclusive("there is no baseline")"#);
        let base = Some(Reading::Number(0.1));
        check(both, 0.5, base, r#"Fail("0.5 is more than 2 × 0.1")"#);
    }

    #[test]
    fn nothing_measured_is_neither_good_nor_bad() {
        let most = Limits { at_most: Some(0.01), ..NONE };
        let said = judge(most, &Reading::Nothing("the query gives no series".into()), None);
        assert_eq!(said, Judgement::Inconclusive("the query gives no series".into()));
    }

    #[test]
    fn numbers_are_short() {
        for (number, expected) in [
            (0.000123456, "0.0001235"),
            (1234.56789, "1234.5679"),
            (1e-9, "1.000e-9"),
            (12345678.0, "1.235e7"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(short(number), expected);
        }
    }
}
