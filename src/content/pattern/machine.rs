//! A pattern as a machine of states, all of which are followed at once, so
//! that a path is read once. Only for patterns that have no simpler form.

/// One state: what it takes to get to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// This byte.
    Byte(u8),
    /// One byte that is no slash.
    OneInPart,
    /// Any number of bytes that are no slash.
    ManyInPart,
    /// One byte.
    One,
    /// Any number of bytes.
    Many,
    /// Nothing; or go on this many states further.
    OrSkip(usize),
}

/// A pattern, compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    steps: Vec<Step>,
}

impl Machine {
    /// Compiles a pattern that is written without its leading slash.
    pub(super) fn of(pattern: &str) -> Self {
        let mut steps = Vec::with_capacity(pattern.len() + 8);
        let mut rest = pattern;
        let mut at_part = true;
        while let Some(first) = rest.as_bytes().first() {
            if let Some(after) = rest.strip_prefix("**/").filter(|_| at_part) {
                // Any number of whole parts.
                steps.extend([Step::OrSkip(4), Step::One, Step::Many, Step::Byte(b'/')]);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("**") {
                steps.push(Step::Many);
                (rest, at_part) = (after, false);
            } else if let Some(after) = rest.strip_prefix('*') {
                // A star that is a whole part is not empty.
                if at_part && (after.is_empty() || after.starts_with('/')) {
                    steps.push(Step::OneInPart);
                }
                steps.push(Step::ManyInPart);
                (rest, at_part) = (after, false);
            } else {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                steps.extend(rest.as_bytes()[..length].iter().copied().map(Step::Byte));
                (rest, at_part) = (&rest[length..], *first == b'/');
            }
        }
        Self { steps }
    }

    /// Whether a path without a leading slash matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut now = Active::new(self.steps.len());
        let mut next = Active::new(self.steps.len());
        now.enter(&self.steps, 0);
        for byte in path.bytes() {
            for at in now.states.drain(..) {
                let Some(step) = self.steps.get(at) else { continue };
                match step {
                    Step::Byte(want) if *want == byte => next.enter(&self.steps, at + 1),
                    Step::OneInPart if byte != b'/' => next.enter(&self.steps, at + 1),
                    Step::ManyInPart if byte != b'/' => next.enter(&self.steps, at),
                    Step::One => next.enter(&self.steps, at + 1),
                    Step::Many => next.enter(&self.steps, at),
                    _ => {}
                }
            }
            if next.states.is_empty() {
                return false;
            }
            now.turn += 1;
            next.turn += 1;
            std::mem::swap(&mut now, &mut next);
        }
        now.states.contains(&self.steps.len())
    }
}

/// The states that are followed, each once.
struct Active {
    states: Vec<usize>,
    /// When each state was entered last.
    entered: Vec<u32>,
    turn: u32,
}

impl Active {
    fn new(steps: usize) -> Self {
        Self { states: Vec::new(), entered: vec![0; steps + 1], turn: 1 }
    }

    /// Enters a state and all that are reached from it without a byte.
    fn enter(&mut self, steps: &[Step], mut at: usize) {
        while self.entered[at] != self.turn {
            self.entered[at] = self.turn;
            self.states.push(at);
            match steps.get(at) {
                Some(Step::ManyInPart | Step::Many) => at += 1,
                Some(Step::OrSkip(further)) => {
                    self.enter(steps, at + 1);
                    at += further;
                }
                _ => return,
            }
        }
    }
}
