//! Who runs next: repositories take turns, and within one its bundles.
//!
//! A repository with a hundred cells holds nobody up for longer than the one
//! that runs. Called by the runner; cells ask for a place in their own order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A bounded number of places; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Mutex<State>>);

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Lanes);

#[derive(Debug)]
struct State {
    free: usize,
    /// Repositories, and in each its bundles, the next one first.
    waiting: Ring<Ring<VecDeque<oneshot::Sender<Turn>>>>,
}

type Ring<T> = VecDeque<(String, T)>;

impl Lanes {
    /// So many places.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: places.max(1), waiting: VecDeque::new() })))
    }

    /// Waits for a place.
    pub(super) async fn turn(&self, repo: &str, bundle: &str) -> Option<Turn> {
        let receiver = {
            let mut state = self.lock();
            if state.free > 0 && state.waiting.is_empty() {
                state.free -= 1;
                return Some(Turn(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            let bundles = entry(&mut state.waiting, repo);
            entry(bundles, bundle).push_back(sender);
            receiver
        };
        receiver.await.ok()
    }

    /// Gives free places to those who wait.
    fn hand_out(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                if state.free == 0 {
                    return;
                }
                let Some(next) = next(&mut state.waiting) else { return };
                if next.is_closed() {
                    continue;
                }
                state.free -= 1;
                next
            };
            // One that just left gives it back by dropping it.
            let _ = next.send(Turn(self.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.hand_out();
    }
}

fn entry<'a, T: Default>(ring: &'a mut Ring<T>, name: &str) -> &'a mut T {
    let at = ring.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        ring.push_back((name.to_owned(), T::default()));
        ring.len() - 1
    });
    &mut ring[at].1
}

/// The first of the first bundle of the first repository; both go to the end.
fn next(
    waiting: &mut Ring<Ring<VecDeque<oneshot::Sender<Turn>>>>,
) -> Option<oneshot::Sender<Turn>> {
    let (repo, mut bundles) = waiting.pop_front()?;
    let found = bundles.pop_front().and_then(|(bundle, mut cells)| {
        let cell = cells.pop_front();
        if !cells.is_empty() {
            bundles.push_back((bundle, cells));
        }
        cell
    });
    if !bundles.is_empty() {
        waiting.push_back((repo, bundles));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn repositories_and_then_bundles_take_turns() {
        let lanes = Lanes::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let asked = ["a 1", "a 1", "a 1", "a 2", "b 1", "b 1", "c 1"]
            .map(|name| name.split_once(' ').unwrap());
        let mut held = match pin!(lanes.turn("z", "0")).as_mut().poll(&mut context) {
            Poll::Ready(turn) => turn,
            Poll::Pending => panic!("a place is free"),
        };
        let mut waiting: Vec<_> =
            asked.iter().map(|(repo, bundle)| Some(Box::pin(lanes.turn(repo, bundle)))).collect();
        let mut order = Vec::new();
        for _ in 0..asked.len() {
            // All ask before the place is free again.
            let mut came = None;
            for round in 0..2 {
                for (number, one) in waiting.iter_mut().enumerate() {
                    let Some(future) = one else { continue };
                    if let Poll::Ready(turn) = future.as_mut().poll(&mut context) {
                        came = Some((number, turn));
                        break;
                    }
                }
                if round == 0 {
                    drop(held.take());
                }
            }
            let (number, turn) = came.expect("somebody's turn");
            waiting[number] = None;
            order.push(format!("{} {}", asked[number].0, asked[number].1));
            held = turn;
        }
        assert_eq!(order, ["a 1", "b 1", "c 1", "a 2", "b 1", "a 1", "a 1"]);
    }

    #[test]
    fn one_who_left_keeps_no_place() {
        let lanes = Lanes::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let held = pin!(lanes.turn("a", "1")).as_mut().poll(&mut context);
        let mut left = Box::pin(lanes.turn("a", "1"));
        let mut stays = Box::pin(lanes.turn("b", "1"));
        assert!(left.as_mut().poll(&mut context).is_pending());
        assert!(stays.as_mut().poll(&mut context).is_pending());
        drop(left);
        drop(held);
        assert!(matches!(stays.as_mut().poll(&mut context), Poll::Ready(Some(_))));
    }
}
