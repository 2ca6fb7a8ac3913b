//! How the suite has a server hold other resources.
//!
//! The smallest protocol that does it: *these, for that node, and nothing
//! else*. Each [`Driver`] says whether its server can tell nodes apart; where
//! it can't, cases that change something run one after the other.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::item::Item;

/// Gives a server resources.
pub trait Driver: Send + Sync + fmt::Debug {
    /// What the server can be brought to.
    fn abilities(&self) -> Abilities;

    /// Has the server hold exactly `items` for the node `node`. When it is
    /// done the server has taken the change; the streams may learn it later.
    /// An error is a sentence for people.
    fn set<'a>(&'a self, node: &'a str, items: &'a [Item]) -> Change<'a>;

    /// Nobody asks as `node` any more; nothing has to be held for it.
    fn release(&self, _node: &str) {}
}

/// A change under way.
pub type Change<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What a driver can do; by default, give each node resources of its own and
/// nothing optional.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Abilities {
    /// All nodes see the same resources.
    pub shared: bool,
    /// What one node refuses, others feel too.
    pub refusals_shared: bool,
    /// Resources can be given a time to live.
    pub ttl: bool,
    /// Virtual hosts are found by the hosts that they serve.
    pub on_demand: bool,
    /// Collections by `xdstp://…/*`.
    pub collections: bool,
}
