//! Who polls for what: a table of visits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::Poll;
use super::visit::Visit;
use crate::model::{ContentHash, NodeId, TypeUrl};
use crate::xds::Hub;
use crate::xds::guard::Caller;
use crate::xds::standing::Standing;

/// How many visits are remembered: 1,000 nodes that poll for 60 things each.
const MAX_VISITS: usize = 65_536;

/// Everything that is polled for.
#[derive(Debug, Default)]
pub(super) struct Visits {
    by: HashMap<Whose, Arc<Mutex<Visit>>>,
}

/// Who polls for what. A node asks for each name apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) node: NodeId,
    /// By which credential it came, by name.
    pub(super) credential: Option<Arc<str>>,
    pub(super) type_url: TypeUrl,
    /// The hash of the names.
    pub(super) names: ContentHash,
}

impl Visits {
    /// The visit that `poll` belongs to. `None` where the table is full and
    /// the client is not in it.
    pub(super) fn at(
        &mut self,
        poll: &Poll,
        caller: &Caller,
        hub: &Hub,
    ) -> Option<Arc<Mutex<Visit>>> {
        let whose = poll.whose(caller);
        if let Some(known) = self.by.get(&whose) {
            return Some(known.clone());
        }
        if self.by.len() >= MAX_VISITS {
            return None;
        }
        let visit = Arc::new(Mutex::new(Visit::new(poll, caller, hub)));
        self.by.insert(whose, visit.clone());
        Some(visit)
    }

    /// Takes out whoever stayed away for too long.
    pub(super) fn gone(&mut self, now: Instant) -> Vec<Arc<Standing>> {
        let gone = self.by.extract_if(|_, visit| {
            visit.lock().unwrap_or_else(PoisonError::into_inner).is_over(now)
        });
        gone.map(|(_, visit)| standing(&visit)).collect()
    }

    /// Takes out everybody.
    pub(super) fn all(&mut self) -> Vec<Arc<Standing>> {
        self.by.drain().map(|(_, visit)| standing(&visit)).collect()
    }
}

fn standing(visit: &Mutex<Visit>) -> Arc<Standing> {
    visit.lock().unwrap_or_else(PoisonError::into_inner).standing().clone()
}
