//! Who reads a feed, asked anew whenever something about rights changed.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::access::{Missing, Principal, Reach, Right};
use crate::govern::{Govern, Registry};
use crate::model::RepoName;
use crate::store::StoreError;

/// Who is behind a connection now; `None`: their token or session is over.
pub type Identify = Arc<dyn Fn() -> Option<Principal> + Send + Sync>;

/// Who reads.
#[derive(Clone)]
pub struct Reader {
    registry: watch::Receiver<Arc<Registry>>,
    identify: Identify,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Why a feed is over.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The token or session is not valid any more.
    #[error("the token or session is not valid any more")]
    Revoked,
    /// The right is not there any more.
    #[error(transparent)]
    Denied(#[from] Missing),
    /// The repository is gone, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reader {
    /// Whoever `identify` says, with what is granted to them.
    pub fn new(govern: &Govern, identify: Identify) -> Self {
        Self { registry: govern.watch(), identify }
    }

    /// What they may read of a repository now.
    ///
    /// # Errors
    /// Nothing, or they are not known any more.
    pub fn reach(&self, repo: &RepoName) -> Result<Reach, Ended> {
        let who = (self.identify)().ok_or(Ended::Revoked)?;
        reach(&self.registry.borrow(), &who, repo)
    }

    /// Whether they may read something of each repository.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub fn check(&self, repos: &[RepoName]) -> Result<(), Ended> {
        let who = (self.identify)().ok_or(Ended::Revoked)?;
        let registry = self.registry.borrow();
        repos.iter().try_for_each(|repo| reach(&registry, &who, repo).map(drop))
    }

    /// Resolves when something about rights changed.
    pub async fn changed(&mut self) {
        if self.registry.changed().await.is_err() {
            // Nobody governs any more: the program ends.
            std::future::pending::<()>().await;
        }
    }
}

/// What somebody may read of a repository. Whoever sees nothing of its project
/// is told that it is not there.
fn reach(registry: &Registry, who: &Principal, repo: &RepoName) -> Result<Reach, Ended> {
    let there = registry.repository(repo).is_some() && registry.policy.sees(who, repo.project());
    if !there {
        return Err(StoreError::NoRepository(repo.clone()).into());
    }
    match registry.policy.reach(who, Right::Read, repo) {
        Reach::Nothing => {
            let (who, place) = (who.name.clone(), repo.to_string());
            Err(Missing { who, right: Right::Read, place }.into())
        }
        reach => Ok(reach),
    }
}
