//! Bodies of answers in JSON, made once for everybody who is to have the same.
//!
//! A type's version is a hash of the names and contents in it, so type and
//! version together name a body. Where a type moves on, what did not change in
//! it is copied from the body before.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::model::{ContentHash, ResourceName, TypeUrl};
use crate::schema::{Schema, SchemaError};
use crate::xds::codec::IDENTIFIER;
use crate::xds::poll::Part;

/// How many bodies are kept, and how many bytes of them.
const MAX_BODIES: usize = 1024;
const MAX_BYTES: usize = 64 << 20;

/// The bodies of late.
#[derive(Debug, Default)]
pub(super) struct Memo {
    bodies: Mutex<Bodies>,
    /// Loaded by the first who asks: not every server is polled.
    schema: Arc<OnceLock<Schema>>,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoError {
    /// A resource can't be written as JSON.
    #[error("`{name}` can't be answered in JSON: {error}")]
    NoJson {
        /// The resource.
        name: ResourceName,
        /// Why.
        error: SchemaError,
    },
    /// The work was given up, because the server stops.
    #[error("the server is stopping")]
    Stopping,
}

type Which = (TypeUrl, Arc<str>);
type Cell = Arc<OnceCell<Made>>;

#[derive(Debug, Default)]
struct Bodies {
    by: HashMap<Which, (Cell, u64)>,
    /// Of each type, the one that was made last.
    newest: HashMap<TypeUrl, Cell>,
    uses: u64,
}

/// A body, and where each resource stands in it.
#[derive(Debug, Clone, Default)]
struct Made {
    body: Bytes,
    parts: HashMap<ContentHash, Range<usize>>,
}

impl Memo {
    /// The body of `part`.
    pub(super) async fn body(&self, part: Part) -> Result<Bytes, MemoError> {
        let (cell, before) = self.bodies().cell(&part);
        let made = cell.get_or_try_init(|| make(self.schema.clone(), part, before)).await?;
        Ok(made.body.clone())
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        // The table holds plain data that is whole after every statement.
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    /// Where the body of `part` is or will be, and one to copy from.
    fn cell(&mut self, part: &Part) -> (Cell, Option<Made>) {
        self.uses += 1;
        let uses = self.uses;
        let which = (part.type_url.clone(), part.version.clone());
        if let Some((cell, used)) = self.by.get_mut(&which) {
            *used = uses;
            return (cell.clone(), None);
        }
        self.make_room();
        let cell = Cell::default();
        self.by.insert(which, (cell.clone(), uses));
        let before = self.newest.insert(part.type_url.clone(), cell.clone());
        (cell, before.and_then(|before| before.get().cloned()))
    }

    /// Lets go of what nobody asked for longest.
    fn make_room(&mut self) {
        let len = |cell: &Cell| cell.get().map_or(0, |made| made.body.len());
        let mut bytes: usize = self.by.values().map(|(cell, _)| len(cell)).sum();
        while self.by.len() >= MAX_BODIES || bytes > MAX_BYTES {
            let oldest = self.by.iter().min_by_key(|(_, (_, used))| *used);
            let Some((which, (cell, _))) = oldest.map(|(which, one)| (which.clone(), one.clone()))
            else {
                break;
            };
            bytes -= len(&cell);
            self.by.remove(&which);
            self.newest.retain(|_, newest| !Arc::ptr_eq(newest, &cell));
        }
    }
}

/// Makes a body, off the threads that serve.
async fn make(
    schema: Arc<OnceLock<Schema>>,
    part: Part,
    before: Option<Made>,
) -> Result<Made, MemoError> {
    let work = move || print(schema.get_or_init(Schema::load), &part, &before.unwrap_or_default());
    tokio::task::spawn_blocking(work).await.map_err(|_| MemoError::Stopping)?
}

fn print(schema: &Schema, part: &Part, before: &Made) -> Result<Made, MemoError> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut body = format!("{{\"version_info\":{},\"resources\":[", text(&part.version));
    let mut parts = HashMap::new();
    for (index, one) in part.resources().enumerate() {
        if index > 0 {
            body.push(',');
        }
        let start = body.len();
        let known = before.parts.get(&one.hash).and_then(|range| before.body.get(range.clone()));
        match known.and_then(|known| std::str::from_utf8(known).ok()) {
            Some(known) => body.push_str(known),
            None => {
                let printed = schema.to_json(&part.type_url, &one.body());
                let no_json = |error| MemoError::NoJson { name: one.name.clone(), error };
                body.push_str(&printed.map_err(no_json)?);
            }
        }
        parts.insert(one.hash, start..body.len());
    }
    body.push_str(&format!(
        "],\"type_url\":{},\"nonce\":{},\"control_plane\":{{\"identifier\":{}}}}}",
        text(&part.type_url.0),
        text(&part.version),
        text(&String::from_utf8_lossy(IDENTIFIER)),
    ));
    Ok(Made { body: body.into(), parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key};

    fn part(seconds: &[i64]) -> Part {
        let numbered = seconds.iter().enumerate();
        let all: Vec<_> = numbered.map(|(at, one)| cluster(&format!("c{at}"), *one)).collect();
        Part::whole(&build(key("beta"), &all), ResourceKind::Clusters.type_url())
    }

    #[tokio::test]
    async fn a_body_is_made_once_and_copies_what_did_not_change() {
        let memo = Memo::default();
        let first = memo.body(part(&[1, 2])).await.unwrap();
        let again = memo.body(part(&[1, 2])).await.unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        let next = memo.body(part(&[1, 3])).await.unwrap();
        let alone = Memo::default().body(part(&[1, 3])).await.unwrap();
        assert_eq!(next, alone);
        let read: serde_json::Value = serde_json::from_slice(&next).unwrap();
        assert_eq!(read["nonce"], read["version_info"]);
        assert_eq!(read["resources"].as_array().unwrap().len(), 2);
        assert_eq!(read["resources"][0]["name"], "c0");
        assert_eq!(read["control_plane"]["identifier"], "convoy");
    }

    #[tokio::test]
    async fn only_so_many_bodies_are_kept() {
        let memo = Memo::default();
        for number in 0..MAX_BODIES + 10 {
            let mut other = part(&[1]);
            other.version = number.to_string().into();
            memo.body(other).await.unwrap();
        }
        assert_eq!(memo.bodies().by.len(), MAX_BODIES);
    }
}
