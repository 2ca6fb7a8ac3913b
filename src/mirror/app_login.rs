//! A GitHub App in place of a user and a token: a token is bought when it is
//! needed, and another one where it was refused.

use std::path::PathBuf;

use super::{Allow, App, AppTokens, Credentials, MirrorError, Upstream};
use crate::model::Secret;

/// The user name that goes with an App's token.
const USER: &str = "x-access-token";

/// An App, and where its tokens are had.
#[derive(Debug, Clone)]
pub struct AppLogin {
    app: App,
    tokens: AppTokens,
    allow: Allow,
    ca_file: Option<PathBuf>,
}

/// Who it is, not what it has bought.
impl PartialEq for AppLogin {
    fn eq(&self, other: &Self) -> bool {
        self.app == other.app && self.ca_file == other.ca_file
    }
}

impl Eq for AppLogin {}

impl AppLogin {
    /// An App that reaches its own API and nothing else.
    ///
    /// # Errors
    /// The API's address is none.
    pub fn new(app: App, tokens: AppTokens, ca_file: Option<PathBuf>) -> Result<Self, String> {
        let api = app.api_url.trim_end_matches('/').to_owned();
        let listed = if api.splitn(4, '/').count() < 4 { format!("{api}/") } else { api };
        let allow = Allow::parse(&[listed], false).map_err(|error| error.to_string())?;
        Ok(Self { app, tokens, allow, ca_file })
    }

    /// The App's id.
    pub fn id(&self) -> &str {
        &self.app.id
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self) -> Result<Secret, MirrorError> {
        self.tokens.token(&self.app, &self.allow, self.ca_file.as_deref()).await
    }

    /// Forgets a token that was refused.
    pub fn refused(&self) {
        self.tokens.forget(&self.app);
    }
}

impl Upstream {
    /// The upstream with what its App's token is now; the same where it has
    /// no App.
    pub(super) async fn logged_in(&self) -> Result<Self, MirrorError> {
        let Some(login) = &self.app else { return Ok(self.clone()) };
        let credentials = Credentials { user: USER.into(), secret: login.token().await? };
        Ok(Self { credentials: Some(credentials), ..self.clone() })
    }

    /// Lets the next token be another where this one was refused.
    pub(super) fn note<T>(&self, result: Result<T, MirrorError>) -> Result<T, MirrorError> {
        if let (Err(MirrorError::Unauthorized { .. }), Some(login)) = (&result, &self.app) {
            login.refused();
        }
        result
    }
}
