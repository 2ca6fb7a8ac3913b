//! Which remotes a mirror may name: what the configuration lists, and without
//! a list every public host.
//!
//! A mirror's URL comes from whoever may write the mirror, so it must not
//! reach what only Convoy's machine reaches. A name that is not listed is
//! looked up once, here; every address it has must be public, and the
//! connection is then made to the address that was looked at
//! ([`Upstream::pin`]). Upstreams of the configuration don't pass here: who
//! writes those runs Convoy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::url::{self, Parts};
use super::{MirrorError, Upstream};

/// A name that takes longer to look up is as good as unknown.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);

/// The remotes that mirrors may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    rules: Vec<Rule>,
    /// Development: this machine and its folders too.
    own_machine: bool,
}

/// An entry that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no remote; write a host, host:port, scheme://host/prefix, file:///folder or *"
)]
pub struct AllowError(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Every host at public addresses.
    Public,
    Host(String, Option<u16>),
    /// `scheme://host:port/prefix` or `file:///prefix`.
    Prefix(String),
}

enum Verdict {
    Listed,
    /// If its addresses are public.
    Public,
    Refused,
}

impl Allow {
    /// Reads the entries. `own_machine` adds loopback and folders.
    ///
    /// # Errors
    /// The first entry that can't be read.
    pub fn parse(entries: &[String], own_machine: bool) -> Result<Self, AllowError> {
        let rules: Result<_, _> = entries.iter().map(|entry| rule(entry)).collect();
        Ok(Self { rules: rules?, own_machine })
    }

    /// Checks an upstream's URL by its text; what is known of it before
    /// anything is looked up.
    ///
    /// # Errors
    /// [`MirrorError::BadUrl`], which says who can change it.
    pub fn check(&self, upstream: &Upstream) -> Result<(), MirrorError> {
        upstream.check()?;
        let parts = Parts::parse(&upstream.url)?;
        match self.verdict(&parts) {
            Verdict::Refused => parts.refuse(NOT_LISTED),
            Verdict::Public => match address(parts.host) {
                Some(address) if !self.admits(address) => parts.refuse(PRIVATE),
                _ => Ok(()),
            },
            Verdict::Listed => Ok(()),
        }
    }

    /// Checks an upstream and looks its host up where that decides.
    ///
    /// # Errors
    /// [`MirrorError::BadUrl`] where it is not allowed, and
    /// [`MirrorError::Unreachable`] where the name is not known.
    pub async fn admit(&self, mut upstream: Upstream) -> Result<Upstream, MirrorError> {
        self.check(&upstream)?;
        upstream.pin = self.pin(&upstream.url).await?;
        Ok(upstream)
    }

    /// The address to connect to, where the URL is allowed by its address.
    pub(super) async fn pin(&self, text: &str) -> Result<Option<IpAddr>, MirrorError> {
        let parts = Parts::parse(text)?;
        match self.verdict(&parts) {
            Verdict::Listed => return Ok(None),
            Verdict::Refused => return parts.refuse(NOT_LISTED),
            Verdict::Public => {}
        }
        let Some((host, port)) = url::authority(text) else { return Ok(None) };
        let unknown = |detail: String| MirrorError::Unreachable { url: text.into(), detail };
        let looked = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, port)));
        let found =
            looked.await.map_err(|_| unknown(format!("`{host}` was not looked up in time")))?;
        let found = found.map_err(|error| unknown(format!("`{host}` is not known: {error}")))?;
        let addresses: Vec<IpAddr> = found.map(|socket| socket.ip()).collect();
        if !addresses.iter().all(|address| self.admits(*address)) {
            return parts.refuse(PRIVATE);
        }
        match addresses.first() {
            Some(address) => Ok(Some(*address)),
            None => Err(unknown(format!("`{host}` has no address"))),
        }
    }

    fn verdict(&self, parts: &Parts<'_>) -> Verdict {
        if self.rules.iter().any(|rule| rule.lists(parts)) {
            return Verdict::Listed;
        }
        if parts.scheme == "file" {
            return if self.own_machine { Verdict::Listed } else { Verdict::Refused };
        }
        let own = self.own_machine && url::is_loopback(parts.whole);
        if own || self.rules.is_empty() || self.rules.contains(&Rule::Public) {
            return Verdict::Public;
        }
        Verdict::Refused
    }

    fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || (self.own_machine && address.is_loopback())
    }
}

const NOT_LISTED: &str = "it is not among `mirrors.allow`; an administrator can list it there";
const PRIVATE: &str = "its host is at a private address; an administrator can list it under \
                       `mirrors.allow`";

fn rule(entry: &str) -> Result<Rule, AllowError> {
    let refuse = || AllowError(entry.to_owned());
    if entry == "*" {
        return Ok(Rule::Public);
    }
    if let Some((scheme, rest)) = entry.split_once("://") {
        let known = ["https", "http", "ssh", "file"].contains(&scheme);
        let placed = match scheme {
            "file" => rest.len() > 1 && rest.starts_with('/'),
            _ => !rest.starts_with('/') && !rest.contains('@'),
        };
        if !known || !placed || rest.is_empty() || rest.contains("..") {
            return Err(refuse());
        }
        // A host alone is that host and no other that begins like it.
        let whole = if rest.contains('/') { entry.into() } else { format!("{entry}/") };
        return Ok(Rule::Prefix(whole));
    }
    let probe = format!("ssh://{entry}/x");
    let parts = Parts::parse(&probe).map_err(|_| refuse())?;
    if parts.user.is_some() || entry.contains('/') {
        return Err(refuse());
    }
    let port = parts.port.and_then(|port| port.parse().ok());
    Ok(Rule::Host(parts.host.to_ascii_lowercase(), port))
}

impl Rule {
    fn lists(&self, parts: &Parts<'_>) -> bool {
        match self {
            Self::Public => false,
            Self::Host(host, port) => {
                parts.host.eq_ignore_ascii_case(host)
                    && port.is_none_or(|port| {
                        url::authority(parts.whole).is_some_and(|(_, given)| given == port)
                    })
            }
            Self::Prefix(prefix) => begins(&plain(parts), prefix),
        }
    }
}

/// The URL without its user.
fn plain(parts: &Parts<'_>) -> String {
    let host = parts.host.to_ascii_lowercase();
    let port = parts.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", parts.scheme, parts.path)
}

/// Whether a URL is a prefix, or below it: `/team` is not `/teams`.
fn begins(url: &str, prefix: &str) -> bool {
    let rest = url.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// A host that is written as an address.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is anybody's to reach: none of this machine's, of a
/// private network's, of a provider's metadata service, or with another such
/// address inside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Only 2000::/3 is handed out to anybody.
    if parts[0] & 0xe000 != 0x2000 {
        return false;
    }
    match parts[0] {
        // 6to4 holds an IPv4 address; Teredo and documentation lead nowhere.
        0x2002 => {
            let [a, b] = parts[1].to_be_bytes();
            let [c, d] = parts[2].to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        0x2001 => parts[1] >= 0x0200 && parts[1] != 0x0db8,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(entries: &[&str], own_machine: bool, url: &str) -> bool {
        let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let allow = Allow::parse(&entries, own_machine).unwrap();
        allow.check(&Upstream::new(url, "main")).is_ok()
    }

    #[test]
    fn without_a_list_public_hosts_are_allowed_and_our_own_network_is_not() {
        for (url, allowed) in [
            ("https://github.com/a/b.git", true),
            ("ssh://git@github.com/a/b.git", true),
            ("https://8.8.8.8/a/b", true),
            ("file:///srv/git/a.git", false),
            ("http://127.0.0.1/a.git", false),
            ("https://127.0.0.1/a.git", false),
            ("https://10.1.2.3/a.git", false),
            ("https://169.254.169.254/latest", false),
            ("https://100.64.0.1/a", false),
            ("https://[::1]/a", false),
            ("https://[::ffff:10.0.0.1]/a", false),
            ("https://[fd00::1]/a", false),
            ("https://[fe80::1]/a", false),
            ("https://[64:ff9b::a00:1]/a", false),
            ("https://[2002:a00:1::]/a", false),
            ("https://0.0.0.0/a", false),
        ] {
            assert_eq!(verdict(&[], false, url), allowed, "{url}");
        }
    }

    #[test]
    fn a_list_is_all_there_is() {
        let list = ["git.corp", "10.0.0.7:8443", "https://ghe.corp/mesh", "file:///srv/git"];
        for (url, allowed) in [
            ("https://git.corp/a.git", true),
            ("ssh://git@git.corp:2222/a.git", true),
            ("https://GIT.corp/a.git", true),
            ("https://git.corp.evil.example/a.git", false),
            ("https://10.0.0.7:8443/a", true),
            ("https://10.0.0.7/a", false),
            ("https://ghe.corp/mesh/config.git", true),
            ("https://ghe.corp/meshes/config.git", false),
            ("ssh://git@ghe.corp/mesh/config.git", false),
            ("file:///srv/git/a.git", true),
            ("file:///srv/gitlab/a.git", false),
            ("https://github.com/a/b", false),
        ] {
            assert_eq!(verdict(&list, false, url), allowed, "{url}");
        }
        assert!(verdict(&["git.corp", "*"], false, "https://github.com/a/b"));
        assert!(!verdict(&["*"], false, "https://10.0.0.1/a/b"));
    }

    #[test]
    fn development_adds_this_machine_only() {
        for (url, allowed) in [
            ("http://127.0.0.1:8080/a.git", true),
            ("file:///tmp/a.git", true),
            ("https://10.0.0.1/a.git", false),
        ] {
            assert_eq!(verdict(&[], true, url), allowed, "{url}");
            assert_eq!(verdict(&["git.corp"], true, url), allowed, "{url}");
        }
    }

    #[test]
    fn an_entry_that_names_nothing_is_refused() {
        for bad in ["", "a b", "git@host", "host/path", "ftp://host/", "https://", "file://", "-x"]
        {
            assert!(Allow::parse(&[bad.to_owned()], false).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let closed = Allow::default();
        let error = closed.admit(Upstream::new("https://localhost/a.git", "main")).await;
        assert!(error.expect_err("refused").to_string().contains("private address"));
        let open = Allow::parse(&[], true).unwrap();
        let admitted = open.admit(Upstream::new("http://localhost/a.git", "main")).await.unwrap();
        assert!(admitted.pin.is_some_and(|address| address.is_loopback()));
    }
}
