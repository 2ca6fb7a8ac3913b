//! The link by which a Slack user says who they are: signed, good once, for
//! ten minutes.
//!
//! Slack shows it to the user alone; whoever opens it is logged in here, sees
//! which Slack user it is for, and says yes. Whoever passes it on links their
//! own Slack user to somebody else: the page says so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::Directory;
use crate::chat::Seen;
use crate::model::{Person, Secret};
use crate::promote::{Refusal, RefusalKind};
use crate::web::auth::random_hex;

/// How long a link is good.
const VALID: Duration = Duration::from_secs(600);
/// Links that were used lately; each is over after its ten minutes anyway.
const USED_MAX: usize = 10_000;
/// What the signature is for: the key signs nothing else.
const PURPOSE: &[u8] = b"convoy slack link v1";

/// Makes links and takes them.
#[derive(Debug)]
pub struct Linking {
    key: Secret,
    used: Mutex<Seen<String>>,
    directory: std::sync::Arc<dyn Directory>,
}

impl Linking {
    /// `key` is a secret that outlives a restart.
    pub fn new(key: Secret, directory: std::sync::Arc<dyn Directory>) -> Self {
        Self { key, used: Mutex::new(Seen::new(VALID * 2, USED_MAX)), directory }
    }

    /// What a link carries for a Slack user; `None`: the system gives no
    /// random numbers.
    pub(super) fn token(&self, user: &str, now: Timestamp) -> Option<String> {
        let until = now.as_second().saturating_add(VALID.as_secs().cast_signed());
        let said = format!("{user} {until} {}", &random_hex().ok()?[..16]);
        let signed = URL_SAFE_NO_PAD.encode(self.mac(&said)?.finalize().into_bytes());
        Some(format!("{}.{signed}", URL_SAFE_NO_PAD.encode(said)))
    }

    /// The Slack user whom a link is for, while it is good. It is not used up
    /// by being looked at.
    ///
    /// # Errors
    /// It is none of ours, or is over.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Result<String, Refusal> {
        let (said, user, until) = self.parse(token).ok_or_else(|| over("it is damaged"))?;
        if now.as_second() > until {
            return Err(over("its ten minutes are over"));
        }
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).knows(&said);
        if used { Err(over("it was used before")) } else { Ok(user) }
    }

    /// Links the Slack user to `person`, once.
    ///
    /// # Errors
    /// As above; or it could not be written down.
    pub(crate) async fn link(
        &self,
        token: &str,
        person: &Person,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let user = self.read(token, now)?;
        let (said, ..) = self.parse(token).ok_or_else(|| over("it is damaged"))?;
        if !self.used.lock().unwrap_or_else(PoisonError::into_inner).first(said, now) {
            return Err(over("it was used before"));
        }
        self.directory.link(&user, person).await?;
        tracing::info!(user, person = %person, "slack: a user was linked");
        Ok(user)
    }

    fn parse(&self, token: &str) -> Option<(String, String, i64)> {
        let (said, signed) = token.split_once('.')?;
        let said = String::from_utf8(URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        let signed = URL_SAFE_NO_PAD.decode(signed).ok()?;
        self.mac(&said)?.verify_slice(&signed).ok()?;
        let mut parts = said.split(' ');
        let (user, until) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        Some((said, user, until))
    }

    fn mac(&self, said: &str) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes()).ok()?;
        Some(mac.chain_update(PURPOSE).chain_update([0]).chain_update(said.as_bytes()))
    }
}

fn over(why: &str) -> Refusal {
    let message = format!("this link can't be used: {why}");
    Refusal::new(RefusalKind::Invalid, message, "type the command `link` in Slack for a new one")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::samples;
    use crate::web::hooks::testing::Names;

    #[tokio::test]
    async fn a_link_is_good_once_for_ten_minutes() {
        let names = Arc::new(Names::default());
        let linking = Linking::new(Secret::new("key"), names.clone());
        let kim = Person::new("kim").unwrap();
        let token = linking.token("T1/U1", samples::at(0)).unwrap();
        assert_eq!(linking.read(&token, samples::at(600)).unwrap(), "T1/U1");
        let late = linking.read(&token, samples::at(601)).unwrap_err();
        assert!(late.message.contains("ten minutes"), "{late}");
        assert_eq!(linking.link(&token, &kim, samples::at(5)).await.unwrap(), "T1/U1");
        let again = linking.link(&token, &kim, samples::at(6)).await.unwrap_err();
        assert!(again.message.contains("used before"), "{again}");
        assert_eq!(names.linked(), [("T1/U1".to_owned(), kim)]);
    }

    #[test]
    fn what_was_touched_or_signed_by_another_is_refused() {
        let names = Arc::new(Names::default());
        let linking = Linking::new(Secret::new("key"), names.clone());
        let other = Linking::new(Secret::new("another"), names);
        let token = linking.token("T1/U1", samples::at(0)).unwrap();
        assert!(other.read(&token, samples::at(1)).is_err());
        let (said, signed) = token.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode("T1/U2 1860000000 0011223344556677");
        for bad in [format!("{forged}.{signed}"), format!("{said}."), said.into(), String::new()] {
            assert!(linking.read(&bad, samples::at(1)).is_err(), "{bad}");
        }
    }
}
