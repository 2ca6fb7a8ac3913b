//! Which person a Slack user is.

use std::collections::BTreeMap;

use super::form::Caller;
use crate::model::Person;

/// The map from Slack users to people, as the configuration gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    by_id: BTreeMap<String, Person>,
}

impl People {
    /// Each key is a Slack user id, alone (`U012AB3CD`) or within a workspace
    /// or an enterprise (`T0001/U012AB3CD`, `E0001/U012AB3CD`).
    pub fn new(entries: impl IntoIterator<Item = (String, Person)>) -> Self {
        Self { by_id: entries.into_iter().collect() }
    }

    /// A user id of the person, without its workspace.
    pub fn slack_of(&self, person: &Person) -> Option<String> {
        let (key, _) = self.by_id.iter().find(|(_, one)| *one == person)?;
        Some(key.rsplit('/').next().unwrap_or(key).to_owned())
    }

    /// The person behind `caller`: the narrowest entry wins. In an Enterprise
    /// Grid a click may carry another workspace than the message, so the
    /// enterprise counts before the workspace.
    pub fn find(&self, caller: &Caller) -> Option<&Person> {
        let within = |scope: &Option<String>| {
            let scope = scope.as_ref()?;
            self.by_id.get(&format!("{scope}/{}", caller.user))
        };
        within(&caller.enterprise)
            .or_else(|| within(&caller.team))
            .or_else(|| self.by_id.get(&caller.user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(enterprise: Option<&str>, team: Option<&str>, user: &str) -> Caller {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Caller { user: user.into(), team: owned(team), enterprise: owned(enterprise) }
    }

    #[test]
    fn the_narrowest_entry_names_the_person() {
        let entries = [("U1", "alice"), ("T1/U2", "bob"), ("E1/U2", "carol"), ("T1/U1", "dora")];
        let people =
            People::new(entries.map(|(id, name)| (id.to_owned(), Person::new(name).unwrap())));
        let find = |caller: &Caller| people.find(caller).map(|person| person.as_str().to_owned());
        assert_eq!(find(&caller(None, None, "U1")).as_deref(), Some("alice"));
        assert_eq!(find(&caller(None, Some("T1"), "U1")).as_deref(), Some("dora"));
        assert_eq!(find(&caller(Some("E1"), Some("T1"), "U2")).as_deref(), Some("carol"));
        assert_eq!(find(&caller(None, Some("T2"), "U2")), None);
        assert_eq!(find(&caller(None, None, "T1/U1x")), None);
    }
}
