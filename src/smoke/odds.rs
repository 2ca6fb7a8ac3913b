//! Whether chance explains a count: the exact binomial test.
//!
//! Envoy draws a cluster or a host by chance for each request. A count is
//! held against a configuration only where a sound one would come to it, or
//! to one as far off, less often than [`ERROR`]; so a sound configuration
//! fails a check once in a million runs, however few requests are sent.

/// The probability that a sound configuration fails one comparison of shares.
pub(super) const ERROR: f64 = 1e-6;

/// The probability that `hits` of `tries`, or fewer, come with `chance`.
fn at_most(hits: u32, tries: u32, chance: f64) -> f64 {
    if chance <= 0.0 {
        return 1.0;
    }
    if chance >= 1.0 {
        return if hits >= tries { 1.0 } else { 0.0 };
    }
    let (up, down) = (chance.ln(), (-chance).ln_1p());
    let all = log_factorial(tries);
    let term = |k: u32| {
        let ways = all - log_factorial(k) - log_factorial(tries - k);
        (ways + f64::from(k) * up + f64::from(tries - k) * down).exp()
    };
    (0..=hits.min(tries)).map(term).sum::<f64>().min(1.0)
}

/// How probable a count as far off, or farther, on the same side is.
pub(super) fn tail(hits: u32, tries: u32, chance: f64) -> f64 {
    if f64::from(hits) <= f64::from(tries) * chance {
        return at_most(hits, tries, chance);
    }
    // So many hits are so few misses.
    at_most(tries.saturating_sub(hits), tries, 1.0 - chance)
}

/// Whether chance explains the count, among `comparisons` that are made.
pub(super) fn explains(hits: u32, tries: u32, chance: f64, comparisons: usize) -> bool {
    let comparisons = u32::try_from(comparisons.max(1)).map_or(f64::MAX, f64::from);
    // Both sides count.
    tail(hits, tries, chance) * 2.0 * comparisons >= ERROR
}

/// ln(n!), exact to about twelve digits: by sums where they are short, by
/// Stirling's series beyond.
fn log_factorial(n: u32) -> f64 {
    if n < 32 {
        return (2..=n).map(|k| f64::from(k).ln()).sum();
    }
    let n = f64::from(n);
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1e-300)
    }

    #[test]
    fn the_probabilities_are_those_of_the_tables() {
        // Sums over Pascal's triangle, by hand.
        assert!(close(at_most(1, 4, 0.5), 5.0 / 16.0), "{}", at_most(1, 4, 0.5));
        assert!(close(tail(4, 4, 0.5), 1.0 / 16.0));
        assert!(close(tail(0, 50, 0.1), 0.9f64.powi(50)));
        assert!(close(tail(5000, 5000, 0.5), 0.5f64.powi(5000)));
        // From a reference implementation of the binomial distribution.
        assert!((at_most(1700, 2000, 0.9) / 3.180_683e-12 - 1.0).abs() < 0.5);
    }

    #[test]
    fn certain_shares_bear_no_exception() {
        assert!(explains(0, 100, 0.0, 2) && explains(100, 100, 1.0, 2));
        assert!(!explains(1, 100, 0.0, 2) && !explains(99, 100, 1.0, 2));
    }

    #[test]
    fn a_sound_split_fails_less_often_than_is_said() {
        // The whole distribution, not a sample of it.
        for (tries, chance) in [(50, 0.1), (200, 0.05), (400, 0.9), (2000, 0.5)] {
            let mut wrong = 0.0;
            let mut before = 0.0;
            for hits in 0..=tries {
                let so_far = at_most(hits, tries, chance);
                if !explains(hits, tries, chance, 1) {
                    wrong += so_far - before;
                }
                before = so_far;
            }
            assert!(wrong <= ERROR * 1.01, "{tries} {chance} {wrong}");
        }
    }

    #[test]
    fn a_wrong_split_is_found() {
        assert!(!explains(320, 400, 0.9, 2), "80 % instead of 90 %");
        assert!(!explains(0, 400, 0.1, 2), "a cluster that is never hit");
        assert!(explains(352, 400, 0.9, 2), "88 % instead of 90 % is chance");
    }
}
