//! How a stand-in behaves: well, until a check tells it otherwise.

use std::time::Duration;

/// What a stand-in does with the requests that it gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::smoke) struct Conduct {
    /// How it fails them, and how many of a hundred.
    pub(in crate::smoke) failure: Option<(Failure, f64)>,
    /// How long it takes over them, and over how many of a hundred.
    pub(in crate::smoke) delay: Option<(Duration, f64)>,
    /// How many it was asked since it behaves so.
    asked: u32,
}

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::smoke) enum Failure {
    /// With this status.
    Status(u16),
    /// With this status of gRPC.
    Grpc(u16),
    /// By cutting the connection.
    Reset,
}

impl Conduct {
    /// What becomes of the next request. Evenly spread and not by chance: of
    /// any hundred in a row, as many fail as was said.
    pub(super) fn next(&mut self) -> (Option<Failure>, Duration) {
        let number = self.asked;
        self.asked = self.asked.wrapping_add(1);
        let failure = self.failure.filter(|(_, share)| falls(number, *share));
        let delay = self.delay.filter(|(_, share)| falls(number, *share));
        (failure.map(|(failure, _)| failure), delay.map_or(Duration::ZERO, |(delay, _)| delay))
    }
}

fn falls(number: u32, share: f64) -> bool {
    let so_far = |count: u32| (f64::from(count) * share / 100.0).floor();
    so_far(number.wrapping_add(1)) > so_far(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_hundred_as_many_fail_as_was_said() {
        for share in [0.0, 1.0, 30.0, 50.0, 99.0, 100.0] {
            let failure = Some((Failure::Status(503), share));
            let mut conduct = Conduct { failure, ..Conduct::default() };
            let failed: Vec<_> = (0..300).map(|_| conduct.next().0.is_some()).collect();
            for window in failed.windows(100) {
                let count =
                    f64::from(u32::try_from(window.iter().filter(|f| **f).count()).unwrap());
                assert!((count - share).abs() <= 1.0, "{count} {share}");
            }
        }
    }
}
