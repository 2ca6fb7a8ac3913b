//! Whose token a call carries.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::HostError;
use crate::config::secrets;
use crate::model::Secret;

/// What gives tokens. One repository has one, and shares it with no other.
pub trait Credential: Send + Sync + std::fmt::Debug {
    /// A token that is valid now.
    fn token(&self) -> BoxFuture<'_, Result<Secret, HostError>>;

    /// The token was refused: the next one must be another, if there is one.
    fn refused(&self);

    /// The id of the GitHub App whose tokens they are; `None`: a person's.
    fn app(&self) -> Option<&str>;
}

/// A person's or a machine user's token, read from a file. It is read again
/// once it was refused, so that it can be replaced at any time.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    kept: Mutex<Option<Secret>>,
}

impl TokenFile {
    /// The token in a file that was read before.
    pub fn new(path: &Path, token: Secret) -> Self {
        Self { path: path.to_path_buf(), kept: Mutex::new(Some(token)) }
    }

    fn read(&self) -> Result<Secret, HostError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = kept.as_ref() {
            return Ok(token.clone());
        }
        let token = secrets::read(&self.path);
        let token = token.map_err(|error| HostError::NoToken(error.to_string()))?;
        Ok(kept.insert(token).clone())
    }
}

impl Credential for TokenFile {
    fn token(&self) -> BoxFuture<'_, Result<Secret, HostError>> {
        Box::pin(std::future::ready(self.read()))
    }

    fn refused(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn app(&self) -> Option<&str> {
        None
    }
}
