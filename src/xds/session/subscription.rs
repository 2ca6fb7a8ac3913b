//! What a stream asks for, of one type.
//!
//! Both protocols' rules about names and `*` live here and nowhere else; the
//! result is a set of names, a wildcard flag, and what the last message
//! changed in them. It knows neither snapshots nor nonces.

use std::collections::BTreeSet;

use crate::model::ResourceName;

/// The name that stands for everything.
const WILDCARD: &str = "*";

/// A subscription as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// Whether it is for every resource of the type.
    pub(super) wildcard: bool,
    /// The names asked for one by one; the wildcard is not among them.
    pub(super) names: BTreeSet<ResourceName>,
    /// Whether a name (or `*`) was ever given: then an empty list of names
    /// means nothing, where before it meant everything.
    named: bool,
    /// Whether a message was seen.
    begun: bool,
    /// Whether the wildcard is held without having been named.
    legacy: bool,
}

/// What one message changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The wildcard was not held before.
    pub(super) everything: bool,
    /// The wildcard is held no more.
    pub(super) not_everything: bool,
    /// Names to send, whether the client had them or not.
    pub(super) added: Vec<ResourceName>,
    /// Names asked for no more.
    pub(super) dropped: Vec<ResourceName>,
}

impl Subscription {
    /// Whether `name` is asked for.
    pub(super) fn covers(&self, name: &ResourceName) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether the wildcard is held because no name was given.
    pub(super) fn is_legacy(&self) -> bool {
        self.wildcard && self.legacy
    }

    /// Whether anything is asked for.
    pub(super) fn asks(&self) -> bool {
        self.wildcard || !self.names.is_empty()
    }

    /// Takes the complete list of names that a state-of-the-world request is.
    pub(super) fn replace(&mut self, names: Vec<String>) -> Change {
        self.named |= !names.is_empty();
        let star = names.iter().any(|name| name == WILDCARD);
        let wildcard = star || !self.named;
        let names: BTreeSet<_> =
            names.into_iter().filter(|name| name != WILDCARD).map(own).collect();
        let change = Change {
            everything: wildcard && !self.wildcard,
            not_everything: self.wildcard && !wildcard,
            added: names.difference(&self.names).cloned().collect(),
            dropped: match wildcard {
                true => Vec::new(),
                false => self.names.difference(&names).cloned().collect(),
            },
        };
        *self = Self { wildcard, names, named: self.named, begun: true, legacy: !star };
        change
    }

    /// Takes an incremental request's two lists. A message that names the same
    /// resource in both asks for nothing: it subscribes first.
    pub(super) fn amend(&mut self, subscribe: Vec<String>, unsubscribe: Vec<String>) -> Change {
        let held = self.wildcard;
        if !self.begun && subscribe.is_empty() {
            self.wildcard = true;
            self.legacy = true;
        }
        self.begun = true;
        let mut change = Change::default();
        for name in subscribe {
            if name == WILDCARD {
                (self.wildcard, self.legacy) = (true, false);
            } else {
                let name = own(name);
                self.names.insert(name.clone());
                change.added.push(name);
            }
        }
        for name in unsubscribe {
            if name == WILDCARD {
                self.wildcard = false;
                continue;
            }
            let name = own(name);
            if self.names.remove(&name) {
                change.added.retain(|added| *added != name);
                change.dropped.push(name);
            }
        }
        change.everything = self.wildcard && !held;
        change.not_everything = held && !self.wildcard;
        change
    }
}

fn own(name: String) -> ResourceName {
    ResourceName(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn shown(subscription: &Subscription) -> String {
        let names = subscription.names.iter().map(|name| name.0.as_ref());
        subscription.wildcard.then_some("*").into_iter().chain(names).collect::<Vec<_>>().join(" ")
    }

    /// Steps of (request names, what is then subscribed).
    fn check_sotw(steps: &[(&str, &str)]) {
        let mut subscription = Subscription::default();
        for (names, expected) in steps {
            subscription.replace(list(names));
            assert_eq!(shown(&subscription), *expected, "after [{names}]");
        }
    }

    /// Steps of (subscribe, unsubscribe, what is then subscribed).
    fn check_delta(steps: &[(&str, &str, &str)]) {
        let mut subscription = Subscription::default();
        for (subscribe, unsubscribe, expected) in steps {
            subscription.amend(list(subscribe), list(unsubscribe));
            assert_eq!(shown(&subscription), *expected, "after +[{subscribe}] -[{unsubscribe}]");
        }
    }

    #[test]
    fn sotw_follows_the_wildcard_script_of_the_specification() {
        check_sotw(&[("", "*"), ("* A", "* A"), ("A", "A"), ("", "")]);
        check_sotw(&[("A", "A"), ("", ""), ("*", "*"), ("", "")]);
        check_sotw(&[("", "*"), ("", "*"), ("A", "A"), ("", "")]);
    }

    #[test]
    fn delta_follows_the_wildcard_script_of_the_specification() {
        check_delta(&[("", "", "*"), ("A", "", "* A"), ("", "*", "A"), ("", "A", "")]);
        check_delta(&[("*", "", "*"), ("", "*", "")]);
        check_delta(&[("A", "", "A"), ("", "A", ""), ("", "", "")]);
    }

    #[test]
    fn an_unsubscription_alone_in_the_first_delta_message_keeps_the_legacy_wildcard() {
        check_delta(&[("", "A", "*")]);
    }

    #[test]
    fn the_wildcard_in_both_lists_asks_for_nothing() {
        check_delta(&[("*", "*", "")]);
    }

    #[test]
    fn a_phantom_unsubscription_changes_nothing() {
        let mut subscription = Subscription::default();
        subscription.amend(list("A"), vec![]);
        assert_eq!(subscription.amend(vec![], list("B")), Change::default());
    }
}
