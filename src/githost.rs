//! GitHub, or GitHub Enterprise Server: what is said there about a commit, a
//! pull request and a promotion, and the pull request that an edit becomes.
//!
//! Knows GitHub's REST API and nothing of when it is to be called: `hosting`
//! holds what shall be there against what was written, and calls. Git itself
//! (fetch and push) is `mirror`'s. What is written is found again by what
//! GitHub stores with it (a context, an external id, a mark, a payload), so
//! that a call whose answer was lost is not repeated blindly.
//!
//! ```text
//! wanted ── what shall be there, from the state alone (pure)
//! status · check · comment · deployment · pull ──► client ──► GitHub
//! review ── a pull request, as it was rendered      ├─ credential   whose token
//!                                                   └─ limit        how often
//! ```

mod check;
mod client;
mod comment;
mod credential;
mod deployment;
mod error;
mod limit;
mod pull;
mod review;
mod status;
pub mod text;
mod wanted;

pub use check::{Annotation, CHECK_NAME, Check, CheckRun, Conclusion, Level};
pub use client::{GitHub, Settings};
pub use comment::Comment;
pub use credential::{Credential, TokenFile};
pub use deployment::{Deployment, DeploymentState};
pub use error::HostError;
pub use pull::{End, NewPull, Pull};
pub use review::{Difference, Review, StageReview};
pub use status::{Status, StatusState};
pub use wanted::{Pages, Reports, Wanted, wanted};
