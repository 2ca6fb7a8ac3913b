//! What followers of repositories are told, over whatever they are connected
//! by: each revision that changed what they follow, with the entries that
//! changed, cut to what they may read at that moment. A feed ends as soon as
//! its reader's token or right does.
//!
//! Not here: how events look on a wire (`web`, `rpc`), and what wakes a
//! follower (`store`). A reader that is slow costs its position, never a queue.

mod entry;
mod history;
mod reader;

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

pub use entry::{Entry, entries};
pub use history::history;
pub use reader::{Ended, Identify, Reader};

use crate::model::{CommitInfo, RepoName, Revision};
use crate::store::{Follow, Happening, Store, Subscription};

/// One feed follows no more patterns than these.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// How often a token's expiry is looked at, which nobody tells of.
const LOOK: Duration = Duration::from_millis(500);
/// A reader that was told nothing for so long is told that we live.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream of revisions for one reader.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    reader: Reader,
    repos: Vec<RepoName>,
    positions: Vec<Revision>,
    follow: Follow,
    look: Interval,
    /// Looks without an event so far.
    silent: u32,
}

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A revision.
    Revision(Box<Delivery>),
    /// Nothing happened for a while.
    Heartbeat,
}

/// One revision that changed what a subscription matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The index of the subscription.
    pub subscription: usize,
    /// The repository.
    pub repo: RepoName,
    /// The commit.
    pub info: CommitInfo,
    /// What it changed, of what the subscription matches and the reader may
    /// read. Never empty.
    pub entries: Vec<Entry>,
}

impl Feed {
    /// Follows subscriptions on a reader's behalf.
    ///
    /// # Errors
    /// The reader may read nothing of one of the repositories, or it or the
    /// revision is not there.
    pub fn open(
        store: Store,
        reader: Reader,
        subscriptions: Vec<Subscription>,
    ) -> Result<Self, Ended> {
        let mut repos: Vec<_> = subscriptions.iter().map(|one| one.repo.clone()).collect();
        let positions = subscriptions.iter().map(|one| one.since).collect();
        repos.sort();
        repos.dedup();
        reader.check(&repos)?;
        let follow = store.follow(subscriptions)?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { store, reader, repos, positions, follow, look, silent: 0 })
    }

    /// How far each subscription is: what to give as `since` to go on.
    pub fn positions(&self) -> &[Revision] {
        &self.positions
    }

    /// What comes next. Cancelling the call loses nothing.
    ///
    /// # Errors
    /// The feed is over, and why.
    pub async fn next(&mut self) -> Result<Told, Ended> {
        loop {
            tokio::select! {
                happening = self.follow.next() => {
                    if let Some(delivery) = self.deliver(happening?)? {
                        self.silent = 0;
                        return Ok(Told::Revision(Box::new(delivery)));
                    }
                }
                () = self.reader.changed() => self.reader.check(&self.repos)?,
                _ = self.look.tick() => {
                    self.reader.check(&self.repos)?;
                    self.silent += 1;
                    if LOOK * self.silent >= HEARTBEAT {
                        self.silent = 0;
                        return Ok(Told::Heartbeat);
                    }
                }
            }
        }
    }

    /// A happening as the reader may see it. What they may not see counts as
    /// told, so that it is not looked at again.
    fn deliver(&mut self, happening: Happening) -> Result<Option<Delivery>, Ended> {
        let Happening { subscription, repo, info, mut changed } = happening;
        let reach = self.reader.reach(&repo)?;
        if let Some(position) = self.positions.get_mut(subscription) {
            *position = info.revision;
        }
        changed.retain(|one| reach.covers(&one.path));
        if changed.is_empty() {
            return Ok(None);
        }
        let entries = entries(&self.store, &repo, changed);
        Ok(Some(Delivery { subscription, repo, info, entries }))
    }
}
