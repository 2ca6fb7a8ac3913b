//! Tokens of a GitHub App's installation, each good for one repository and for
//! no more than what is written there.

use std::path::PathBuf;

use futures_util::future::BoxFuture;

use crate::githost::{Credential, HostError};
use crate::mirror::{Allow, App, AppTokens};
use crate::model::Secret;

/// An App, installed where the repository is.
#[derive(Debug)]
pub struct AppCredential {
    app: App,
    tokens: AppTokens,
    allow: Allow,
    ca_file: Option<PathBuf>,
}

impl AppCredential {
    /// `app` may reach its own API and nothing else.
    ///
    /// # Errors
    /// The API's address is none.
    pub fn new(app: App, tokens: AppTokens, ca_file: Option<PathBuf>) -> Result<Self, String> {
        let api = app.api_url.trim_end_matches('/').to_owned();
        let listed = if api.splitn(4, '/').count() < 4 { format!("{api}/") } else { api };
        let allow = Allow::parse(&[listed], false).map_err(|error| error.to_string())?;
        Ok(Self { app, tokens, allow, ca_file })
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn get(&self) -> Result<Secret, HostError> {
        let token = self.tokens.token(&self.app, &self.allow, self.ca_file.as_deref());
        token.await.map_err(|error| HostError::NoToken(error.to_string()))
    }
}

impl Credential for AppCredential {
    fn token(&self) -> BoxFuture<'_, Result<Secret, HostError>> {
        Box::pin(self.get())
    }

    fn refused(&self) {
        self.tokens.forget(&self.app);
    }

    fn app(&self) -> Option<&str> {
        Some(&self.app.id)
    }
}
