//! Why Slack could not be told something.

use std::time::Duration;

use slack_morphism::errors::SlackClientError;

/// Why a call came to nothing. Carries neither token nor message.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The configured address can't be used.
    #[error("`{address}` can't be slack's address: {rule}")]
    BadAddress {
        /// As configured.
        address: String,
        /// The rule it broke.
        rule: &'static str,
    },
    /// No root certificates.
    #[error("the machine's root certificates can't be read")]
    Roots(#[source] std::io::Error),
    /// A `response_url` that leads elsewhere.
    #[error("the response_url does not lead to slack")]
    ForeignResponseUrl,
    /// Slack says no, in its own word.
    #[error("{method} was refused: {code}")]
    Refused {
        /// The method.
        method: &'static str,
        /// Slack's error code.
        code: String,
    },
    /// Too much in too short a time.
    #[error("{method} was rate limited")]
    RateLimited {
        /// The method.
        method: &'static str,
        /// How long Slack wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Slack answered with an HTTP error.
    #[error("{method} was answered with status {status}")]
    Status {
        /// The method.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// No answer in time.
    #[error("{method} was not answered in time")]
    TimedOut {
        /// The method.
        method: &'static str,
    },
    /// No connection, or an answer that can't be read.
    #[error("{method} failed: {detail}")]
    Unreachable {
        /// The method.
        method: &'static str,
        /// What went wrong.
        detail: String,
    },
}

impl ChatError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            // Slack's own words for "not now".
            Self::Refused { code, .. } => {
                matches!(code.as_str(), "internal_error" | "fatal_error" | "service_unavailable")
            }
            _ => false,
        }
    }

    /// Whether nobody knows what became of the call: it may have been done.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::RateLimited { .. }) && self.is_transient()
    }

    /// How long Slack wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the app was not given the right to make this call.
    pub fn lacks_scope(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "missing_scope")
    }

    /// Whether the message can't be edited any more: a new one is needed.
    pub fn is_gone(&self) -> bool {
        let gone = ["message_not_found", "cant_update_message", "edit_window_closed"];
        matches!(self, Self::Refused { code, .. } if gone.contains(&code.as_str()))
    }

    /// The client's errors print whole response bodies; ours don't.
    pub(super) fn from_client(method: &'static str, error: &SlackClientError) -> Self {
        match error {
            SlackClientError::ApiError(error) if error.code == "ratelimited" => {
                Self::RateLimited { method, retry_after: None }
            }
            SlackClientError::ApiError(error) => Self::Refused { method, code: error.code.clone() },
            SlackClientError::RateLimitError(error) => {
                Self::RateLimited { method, retry_after: error.retry_after }
            }
            SlackClientError::HttpError(error) => {
                Self::Status { method, status: error.status_code.as_u16() }
            }
            SlackClientError::HttpProtocolError(error) => {
                let cause = error.cause.as_ref().map(ToString::to_string);
                Self::Unreachable { method, detail: cause.unwrap_or_default() }
            }
            SlackClientError::ProtocolError(error) => {
                Self::Unreachable { method, detail: error.json_error.to_string() }
            }
            _ => Self::Unreachable { method, detail: "the client gave up".into() },
        }
    }
}
