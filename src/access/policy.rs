//! What is granted, as `govern` keeps it, and how far a right reaches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Principal, ProjectRole, Reach, Right, Subject};
use crate::content::Patterns;
use crate::model::{RepoName, Role};

/// What is granted in every project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// By the project's name.
    pub projects: BTreeMap<String, ProjectPolicy>,
}

/// What is granted in one project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProjectPolicy {
    /// What each is in it.
    pub members: BTreeMap<Subject, ProjectRole>,
    /// By the repository's name.
    pub repositories: BTreeMap<String, RepositoryPolicy>,
}

/// What is granted on one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepositoryPolicy {
    /// What the project's members have.
    pub member: Option<Right>,
    /// What everybody has who logged in.
    pub guest: Option<Right>,
    /// What single subjects have.
    pub grants: Vec<Grant>,
}

impl Default for RepositoryPolicy {
    fn default() -> Self {
        Self { member: Some(Right::Write), guest: None, grants: Vec::new() }
    }
}

/// A right of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who has it.
    pub to: Subject,
    /// What.
    pub right: Right,
    /// On which paths, as a pattern; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<String>,
}

impl Policy {
    /// How far a right reaches.
    pub fn reach(&self, who: &Principal, right: Right, repo: &RepoName) -> Reach {
        let system = match right {
            Right::Read => Role::Reader,
            Right::Write => Role::Operator,
            Right::Admin => Role::Admin,
        };
        if who.role.covers(system) || self.owns(who, repo.project()) {
            return Reach::All;
        }
        let Some(project) = self.projects.get(repo.project()) else { return Reach::Nothing };
        let Some(policy) = project.repositories.get(repo.repository()) else {
            return Reach::Nothing;
        };
        let member = policy.member.filter(|_| project.role_of(who).is_some());
        if member.max(policy.guest) >= Some(right) {
            return Reach::All;
        }
        let granted =
            policy.grants.iter().filter(|grant| grant.right >= right && who.is(&grant.to));
        let mut some = Vec::new();
        for grant in granted {
            match &grant.paths {
                None => return Reach::All,
                // Checked when it was granted; one that can't be read gives nothing.
                Some(paths) => some.extend(Patterns::new(paths)),
            }
        }
        if some.is_empty() { Reach::Nothing } else { Reach::Some(some) }
    }

    /// Whether somebody owns a project.
    pub fn owns(&self, who: &Principal, project: &str) -> bool {
        if who.role.covers(Role::Admin) {
            return true;
        }
        let project = self.projects.get(project);
        project.and_then(|project| project.role_of(who)) == Some(ProjectRole::Owner)
    }

    /// Whether somebody is in a project at all, or may do something in one of
    /// its repositories.
    pub fn sees(&self, who: &Principal, project: &str) -> bool {
        if who.role.covers(Role::Reader) {
            return true;
        }
        let Some(policy) = self.projects.get(project) else { return false };
        let grants = policy.repositories.values().flat_map(|repository| &repository.grants);
        let guest = policy.repositories.values().any(|repository| repository.guest.is_some());
        guest || policy.role_of(who).is_some() || { grants }.any(|grant| who.is(&grant.to))
    }
}

impl ProjectPolicy {
    /// The highest of what somebody is in the project.
    pub fn role_of(&self, who: &Principal) -> Option<ProjectRole> {
        let mine = self.members.iter().filter(|(subject, _)| who.is(subject));
        mine.map(|(_, role)| *role).max()
    }
}

impl Principal {
    /// Whether what a subject has is this caller's.
    pub fn is(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Person(person) => self.person.as_ref() == Some(person),
            Subject::Team(team) => self.teams.contains(team),
            Subject::Token(token) => self.token.as_ref() == Some(token),
        }
    }
}
