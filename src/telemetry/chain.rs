//! An error with its causes in one line, for logs and for people.

use std::error::Error;

/// The error's words and those of its causes, outermost first. A cause that
/// the words before it already end with is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{says}")]
    struct Failure {
        says: &'static str,
        source: Option<Box<Failure>>,
    }

    fn failure(says: &[&'static str]) -> Option<Box<Failure>> {
        let (first, causes) = says.split_first()?;
        Some(Box::new(Failure { says: first, source: failure(causes) }))
    }

    #[test]
    fn every_cause_is_said_once() {
        let table: [(&[&str], &str); 3] = [
            (&["no file"], "no file"),
            (&["no cell", "no file", "denied"], "no cell: no file: denied"),
            (&["no cell: no file", "no file", "denied"], "no cell: no file: denied"),
        ];
        for (says, expected) in table {
            assert_eq!(chain(&*failure(says).unwrap()), expected);
        }
    }
}
