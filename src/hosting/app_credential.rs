//! Tokens of a GitHub App's installation, each good for one repository and for
//! no more than what is written there.

use futures_util::future::BoxFuture;

use crate::githost::{Credential, HostError};
use crate::mirror::AppLogin;
use crate::model::Secret;
use crate::telemetry::chain;

/// An App, installed where the repository is.
#[derive(Debug)]
pub struct AppCredential(pub AppLogin);

impl Credential for AppCredential {
    fn token(&self) -> BoxFuture<'_, Result<Secret, HostError>> {
        Box::pin(async {
            let token = self.0.token().await;
            token.map_err(|error| HostError::NoToken(chain(&error)))
        })
    }

    fn refused(&self) {
        self.0.refused();
    }

    fn app(&self) -> Option<&str> {
        Some(self.0.id())
    }
}
