//! Convoy: the configuration repository that drives an Envoy mesh.
//!
//! # Bird's eye
//!
//! A commit on a Git server becomes a *revision*; a revision is rendered for
//! every stage into a *bundle*; a bundle is proved on real Envoys, is promoted
//! beta → staging → canary → release by people, and arrives at Envoys over
//! xDS. Wrong configuration can break a whole mesh, so nothing is served that
//! was not rendered once, proved, approved as exactly these bytes, and
//! recorded durably before.
//!
//! ```text
//!   push ──hook──▶ web::hooks ─nudge─┐                      ┌──▶ chat ──▶ Slack cards
//!   timer ───────────────────────────┤                      │
//!                                    ▼                      │
//!   Git server ──▶ mirror ──▶ store ──▶ reconcile ──────────┤
//!                  (fetch)   (revision)  │  ▲               │
//!                              render ◀──┤  │ verdicts      └──▶ xds ──▶ Envoys
//!                              lint      │  │                      │
//!                              snapshot  └─▶ smoke (real Envoys)   │ ACK, NACK
//!                                        ▲                         │
//!   Slack, console, API, CLI ─commands───┘◀────────────────────────┘
//! ```
//!
//! # Where a push goes
//!
//! 1. [`web`]'s hook verifies the signature and nudges [`reconcile`]. A hook is
//!    only a nudge: polling alone converges.
//! 2. [`mirror`] fetches the branch into quarantine, within limits.
//! 3. [`store`] imports it: every commit on the first-parent line becomes one
//!    revision, durable when the call returns.
//! 4. [`render`] makes typed Envoy messages for each stage, or problems with
//!    file, line and column; [`snapshot`] checks references and encodes each
//!    resource once; [`lint`] adds findings. `reconcile::assess` is the one
//!    place that does all of it, for push, editor, API and CLI alike.
//! 5. The bundle is recorded in `@convoy/state`. If it is valid, [`smoke`] runs
//!    its matrix: each stage × Envoy version boots the real binary.
//! 6. [`promote`] decides, purely, what follows; `reconcile` records the
//!    decision as one commit. That commit is the point of no return: after a
//!    crash, everything is read back and carried on from there.
//! 7. [`xds`] publishes the stage's snapshots; each stream is sent what it
//!    subscribed to and what changed. ACKs and NACKs go back to `reconcile`.
//!
//! # The floors
//!
//! A module imports only from lower floors; siblings never import each other.
//! `tests/tidy.rs` enforces it, and who may name which outside crate.
//!
//! | floor | modules |
//! | --- | --- |
//! | 9 | `cli`: the command line |
//! | 8 | `app`: the composition root: builds adapters, plugs ports, starts and ends tasks |
//! | 7 | `web`: HTTP: JSON API, Central Dogma's API, hooks, authentication, console pages; `rpc`: the same over gRPC |
//! | 6 | `reconcile`: the single owner: one task, one closed list of events; records decisions; `mirroring`: repositories kept in step with other Git servers, both ways; `hosting`: GitHub kept in step with what is known here; `feed`: what followers of repositories are told |
//! | 5 | `govern`: projects, people, teams, tokens, credentials: who there is and what they may do |
//! | 4 | `store` `mirror` `smoke` `chat` `githost` `xds` `metrics` `conform`: adapters; each knows one outside world |
//! | 3 | `config` `telemetry` `tasks` `retry`: helpers of everything above |
//! | 2 | `render` `lint` `snapshot` `promote` `access`: pure; no clock, no disk, no tasks, no randomness |
//! | 1 | `schema`: Envoy's message types, and the one canonical encoding; `content`: what files hold |
//! | 0 | `model`: the nouns |
//!
//! # Code map
//!
//! - [`model`]: revisions, commits, paths, bundles, stages, nodes, problems,
//!   secrets. Newtypes that can't be mixed up; nothing that does anything but
//!   find the known name that a misspelt one was meant to be.
//! - [`schema`]: the descriptor pool, built by `build.rs` from the `.proto`
//!   files that Envoy's types ship with. Equal messages give equal bytes.
//! - [`render`]: values, templates, YAML with places, typed messages, Envoy's
//!   own validation rules. The same code for every caller.
//! - [`lint`]: what Envoy accepts and production pays for.
//! - [`snapshot`]: what one stage × node group is served; versions by content;
//!   references; which node belongs where; differences.
//! - [`promote`]: the state machine and the gates.
//! - [`content`]: what files hold: kinds, patterns, patches, differences,
//!   merges, JSONPath.
//! - [`access`]: rights, grants, and the one function that decides.
//! - [`store`]: bare Git repositories behind one journal; the journal is the
//!   commit point. Stock `git` reads everything, deleting `index/` loses
//!   nothing.
//! - [`mirror`]: the upstream: fetch in, editor branches out.
//! - [`smoke`]: cells, sandboxed Envoys, checks, verdicts.
//! - [`chat`]: Slack: signatures, grammar, cards, client.
//! - [`githost`]: GitHub's REST API: statuses, check runs, comments, deployments,
//!   pull requests; what shall be there, from the state alone.
//! - [`xds`]: a pure session per stream, a hub of latest snapshots, a guard
//!   that lets nodes in and cuts what they see, a thin server for gRPC and REST;
//!   who is connected and what each refused.
//! - [`metrics`]: asks Prometheus whether a candidate is as good as it must be.
//! - [`conform`]: whether any xDS server keeps the protocol: rules, and a
//!   client that tries them from outside.
//! - [`govern`]: the documents of who there is and what they may do, in
//!   `@convoy/state`; tokens; removal and restoration of repositories.
//! - [`mirroring`]: mirrors that are documents, many per project, each on its
//!   own, both ways.
//! - [`hosting`]: brings GitHub to where it shall be, whenever it answers; edits
//!   that become pull requests; pull requests, rendered before they are merged.
//! - [`feed`]: streams of revisions over many repositories, cut to what their
//!   reader may see, ended when the right is.
//! - [`rpc`]: get, commit and watch over gRPC.
//! - [`reconcile`]: ties them together and owns what is decided.
//! - [`web`], [`cli`], [`app`], [`config`], [`telemetry`], [`tasks`],
//!   [`retry`]: as their first lines say.
//!
//! Outside `src/`: `templates/` ships the console's pages and a sample config
//! repository, `proto/` what Envoy's types lack, `tests/it` the integration
//! tests over real Git, real Envoys and a local stand-in for Slack, `ci/` the
//! scripts, `deploy/` what an operator copies.
//!
//! # Invariants
//!
//! - `render` reads no file and no clock; `xds` never sees YAML or Git; no
//!   adapter knows about promotion; only `reconcile` writes decisions.
//! - Nothing is acknowledged before it is durable; nothing is served that was
//!   not recorded.
//! - A bundle is rendered once. Promotion moves a pointer: what was approved is
//!   byte for byte what is served.
//! - A resource is encoded once, however many streams carry it. A slow stream
//!   holds one pointer to the latest snapshot, never a queue.
//! - Git, Slack or an Envoy being down never stops serving what is active.
//! - An author's mistake is data with a place, never an error that ends
//!   something; all of them at once.
//! - Every queue, parse, fetch and template run has a written bound.

pub mod access;
pub mod app;
pub mod chat;
pub mod cli;
pub mod config;
pub mod conform;
pub mod content;
pub mod feed;
pub mod githost;
pub mod govern;
pub mod hosting;
pub mod lint;
pub mod metrics;
pub mod mirror;
pub mod mirroring;
pub mod model;
pub mod promote;
pub mod reconcile;
pub mod render;
pub mod retry;
pub mod rpc;
pub mod schema;
pub mod smoke;
pub mod snapshot;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod web;
pub mod xds;
