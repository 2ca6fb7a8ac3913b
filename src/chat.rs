//! Slack: a thin ingress, messages (pure), and a client.
//!
//! ```text
//! Slack ──signed request──▶ ingress ─▶ form ─▶ grammar ─▶ (web::hooks decides)
//!   └────── envelope ──────▶ socket ──▶ form
//! Slack ◀─ client ◀─ card, thread, preview, forms, home, board, look, why, help
//! ```
//!
//! Nothing here decides anything: `web::hooks` verifies and parses with it and
//! asks `reconcile`; `reconcile`'s announcements are posted by [`Slack`]. Only
//! [`client`](Slack) and [`socket`](listen) do IO; every other part is a
//! function of its arguments.

mod answer;
mod board;
mod card;
mod changes;
mod client;
mod form;
mod forms;
mod grammar;
mod help;
mod home;
mod ingress;
mod links;
mod look;
mod manifest;
mod message;
mod people;
mod preview;
#[cfg(test)]
pub(crate) mod samples;
mod seen;
mod socket;
mod text;
mod view;
mod why;

pub use answer::{known_by_no_one, outdated, receipt, refusal, working};
pub use board::{NodeCount, board};
pub use card::{ButtonValue, Decide, Note, Offer, Reminders, card, is_last, notes};
pub use changes::changes;
pub use client::{ChatError, Post, Posted, RESPONSE_HOSTS, Slack, SlackConfig};
pub use form::{
    Caller, Click, FormError, Incoming, Interaction, Mention, Shortcut, SlashCommand, Submission,
    is_ssl_check,
};
pub use forms::{
    About, BUNDLE as BUNDLE_INPUT, Form, REASON as REASON_INPUT, SHORTCUT, STAGE as STAGE_INPUT,
    TYPED as TYPED_INPUT, Urgent, approve as approve_form, breakglass as breakglass_form,
    promote as promote_form, reject as reject_form,
};
pub use grammar::{
    Arg, Ask, COMMON, Clock, Events, Family, Freezing, Kind, Line, PaletteEntry, Runs, Seat,
    Things, Until, VERBS, Verb, VerbSpec, completions, document, looks_like, moment, palette,
    parse, promotion_id, told,
};
pub use help::{Able, help};
pub use home::{Home, home};
pub use ingress::{Delivery, Ingress, IngressRefusal};
pub use links::Links;
pub use look::{
    audit, bundle as bundle_page, bundles, checks, history, json, promotion as promotion_page,
    promotions, whoami,
};
pub use manifest::{Delivery as ManifestDelivery, manifest};
#[cfg(test)]
pub(crate) use message::assert_within_limits;
pub use message::{Audience, Message, header, section};
pub use people::People;
pub use preview::{CONFIRM, DISMISS, Preview, no_preview, preview};
pub use seen::Seen;
pub use socket::{CONNECTIONS_MAX, Envelope, Listener, listen};
pub use text::{clean, cut, escape, joined};
pub use view::{View, wrong};
pub use why::{why_promotion, why_stage};
