//! Slack: a thin ingress, messages (pure), and a client.
//!
//! ```text
//! Slack ──signed request──▶ ingress ─▶ form ─▶ grammar ─▶ (web::hooks decides)
//! Slack ◀──────────────────────────── client ◀─ card, board, why, help, answer
//! ```
//!
//! Nothing here decides anything: `web::hooks` verifies and parses with it and
//! asks `reconcile`; `reconcile`'s announcements are posted by [`Slack`]. Only
//! [`client`](Slack) does IO; every other part is a function of its arguments.

mod answer;
mod board;
mod card;
mod client;
mod form;
mod grammar;
mod help;
mod ingress;
mod links;
mod message;
mod people;
#[cfg(test)]
pub(crate) mod samples;
mod seen;
mod text;
mod why;

pub use answer::{known_by_no_one, outdated, receipt, refusal, working};
pub use board::{NodeCount, board};
pub use card::{ButtonValue, Decide, card};
pub use client::{ChatError, Posted, Slack, SlackConfig};
pub use form::{Caller, Click, FormError, Incoming, Interaction, SlashCommand, is_ssl_check};
pub use grammar::{Ask, Line, VERBS, Verb, VerbSpec, parse};
pub use help::help;
pub use ingress::{Delivery, Ingress, IngressRefusal};
pub use links::Links;
pub use message::{Audience, Message, header, section};
pub use people::People;
pub use seen::Seen;
pub use text::{clean, cut, escape, joined};
pub use why::{why_promotion, why_stage};
