//! Which URLs and branches may be an upstream's.
//!
//! Decided on the text alone, before a name is resolved or a byte sent. Two
//! programs read the same URL later (gix to fetch, `git` to push), so only a
//! plain form that both read alike is let through. Called by
//! [`Upstream::check`] and before a push.

use std::net::IpAddr;

use super::{MirrorError, Upstream};

/// Checks an upstream's URL, branch and credentials.
pub(super) fn check(upstream: &Upstream) -> Result<(), MirrorError> {
    let url = Parts::parse(&upstream.url)?;
    check_branch(&upstream.url, &upstream.branch)?;
    let Some(credentials) = &upstream.credentials else { return Ok(()) };
    match url.scheme {
        "https" => {}
        "http" => {
            return url.refuse("credentials are never sent in clear text; use https://");
        }
        _ => return url.refuse("credentials are for https:// only"),
    }
    if credentials.user.contains(':')
        || [credentials.user.as_str(), credentials.secret.expose()]
            .iter()
            .any(|text| text.contains(is_control))
    {
        return url.refuse("the credentials hold a character that can't be sent");
    }
    Ok(())
}

/// Checks a branch name by Git's rules.
pub(super) fn check_branch(url: &str, branch: &str) -> Result<(), MirrorError> {
    let full = format!("refs/heads/{branch}");
    let valid = gix::validate::reference::name(full.as_str().into()).is_ok();
    // Git allows a leading plus, which is its sign of force in a refspec.
    if valid && !branch.starts_with(['-', '+']) {
        return Ok(());
    }
    let detail = format!("`{}` is not a branch name", branch.escape_debug());
    Err(MirrorError::BadUrl { url: shown(url), detail })
}

/// The host and the port of a URL that names one.
pub(super) fn authority(url: &str) -> Option<(&str, u16)> {
    let parts = Parts::parse(url).ok().filter(|parts| parts.scheme != "file")?;
    let usual = match parts.scheme {
        "https" => 443,
        "http" => 80,
        _ => 22,
    };
    let host = parts.host.trim_start_matches('[').trim_end_matches(']');
    Some((host, parts.port.and_then(|port| port.parse().ok()).unwrap_or(usual)))
}

/// Whether the URL's host is this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    Parts::parse(url).is_ok_and(|parts| loopback(parts.host))
}

pub(super) struct Parts<'a> {
    pub(super) whole: &'a str,
    pub(super) scheme: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: Option<&'a str>,
    pub(super) path: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn parse(whole: &'a str) -> Result<Self, MirrorError> {
        let refuse = |detail: &str| Err(bad(whole, detail));
        if whole.contains(|c: char| is_control(c) || c.is_whitespace() || c == '\\') {
            return refuse("it holds a space, a backslash or a control character");
        }
        let Some((scheme, rest)) = whole.split_once("://") else {
            return refuse(without_scheme(whole));
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, host_and_port) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = split_port(host_and_port);
        let parts = Self { whole, scheme, user, host, port, path };
        parts.check_scheme()?;
        parts.check_user()?;
        parts.check_host()?;
        parts.check_path()?;
        Ok(parts)
    }

    fn check_scheme(&self) -> Result<(), MirrorError> {
        match self.scheme {
            "https" | "ssh" | "file" => Ok(()),
            "http" if loopback(self.host) => Ok(()),
            "http" => self.refuse("http:// is for this machine only; use https://"),
            _ => self.refuse("its scheme is not one of https://, ssh:// and file://"),
        }
    }

    fn check_user(&self) -> Result<(), MirrorError> {
        let Some(user) = self.user else { return Ok(()) };
        if self.scheme != "ssh" {
            return self.refuse("a user or secret never stands in a URL; set the credentials");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if user.is_empty() || user.starts_with('-') || !user.chars().all(plain) {
            return self.refuse("its user is not a plain name");
        }
        Ok(())
    }

    fn check_host(&self) -> Result<(), MirrorError> {
        let port = self.port;
        if self.scheme == "file" {
            return match (self.host, port) {
                ("", None) => Ok(()),
                _ => self.refuse("a file:// URL has three slashes and no host"),
            };
        }
        let name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let is_name = !self.host.is_empty() && self.host.chars().all(name);
        if self.host.starts_with('-') || !(is_name || bracketed(self.host).is_some()) {
            return self.refuse("its host is not a name or an address");
        }
        if port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0)) {
            return self.refuse("its port is not a number from 1 to 65535");
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), MirrorError> {
        if self.path.len() < 2 {
            return self.refuse("it names no repository");
        }
        if self.path.starts_with("/-") {
            return self.refuse("its path begins with a dash");
        }
        if self.path.contains(['?', '#', '%']) {
            return self.refuse("its path holds one of `?`, `#` and `%`");
        }
        if self.path.split('/').any(|part| part == "..") {
            return self.refuse("its path holds `..`");
        }
        Ok(())
    }

    pub(super) fn refuse<T>(&self, detail: &str) -> Result<T, MirrorError> {
        Err(bad(self.whole, detail))
    }
}

fn without_scheme(text: &str) -> &'static str {
    match text.split_once(':') {
        Some((_, rest)) if rest.starts_with(':') => "remote helpers are not allowed",
        Some((host, _)) if !host.contains('/') => {
            "it has no scheme; write git@host:path as ssh://git@host/path"
        }
        _ => "it has no scheme; write https://…, ssh://… or file:///…",
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn bracketed(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok().filter(IpAddr::is_ipv6)
}

/// Only the names and addresses that can't mean anything else: no decimal or
/// octal forms, which resolvers read differently.
fn loopback(host: &str) -> bool {
    host == "localhost"
        || bracketed(host).is_some_and(|address| address.is_loopback())
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_control(c: char) -> bool {
    c.is_control()
}

fn bad(url: &str, detail: &str) -> MirrorError {
    MirrorError::BadUrl { url: shown(url), detail: detail.into() }
}

/// The URL as an error may show it: whatever stands before an `@` may be a
/// secret that somebody put there.
fn shown(url: &str) -> String {
    let shown = match (url.split_once("://"), url.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", &url[at..]),
        (None, Some(at)) => format!("…{}", &url[at..]),
        _ => url.into(),
    };
    super::detail::clean(&shown, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Credentials;
    use crate::model::Secret;

    fn verdict(url: &str) -> Result<(), String> {
        Upstream::new(url, "main").check().map_err(|error| error.to_string())
    }

    #[test]
    fn plain_urls_of_every_scheme_are_taken() {
        for url in [
            "file:///srv/git/conf.git",
            "https://git.example.com/team/conf.git",
            "https://git.example.com:8443/team/conf",
            "ssh://git@git.example.com/team/conf.git",
            "ssh://git.example.com:2222/~me/conf",
            "ssh://git@[2001:db8::1]:22/conf",
            "http://127.0.0.1:8080/conf.git",
            "http://localhost/conf.git",
            "http://[::1]:80/conf.git",
        ] {
            assert_eq!(verdict(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_could_reach_elsewhere_or_become_an_option_is_refused() {
        for (url, hint) in [
            ("git@git.example.com:team/conf", "ssh://git@host/path"),
            ("/srv/git/conf.git", "no scheme"),
            ("ext::sh -c id", "space"),
            ("ext::sh", "remote helpers"),
            ("git://git.example.com/conf", "scheme"),
            ("HTTPS://git.example.com/conf", "scheme"),
            ("http://git.example.com/conf", "this machine only"),
            ("http://169.254.169.254/latest", "this machine only"),
            ("http://2130706433/conf", "this machine only"),
            ("http://0177.0.0.1/conf", "this machine only"),
            ("http://[::ffff:10.0.0.1]/conf", "this machine only"),
            ("http://127.0.0.1@evil.example/conf", "this machine only"),
            ("http://127.0.0.1.evil.example/conf", "this machine only"),
            ("ssh://-oProxyCommand=id/conf", "host"),
            ("ssh://git@-oProxyCommand=id/conf", "host"),
            ("ssh://-l@host/conf", "user"),
            ("ssh://host/-conf", "dash"),
            ("ssh://git:pw@host/conf", "user"),
            ("https://host", "no repository"),
            ("https://host:0/conf", "port"),
            ("https://host:99999/conf", "port"),
            ("https://host/a/../b", ".."),
            ("https://host/a?b=c", "?"),
            ("https://host/%2e%2e/b", "%"),
            ("https://ho st/a", "space"),
            ("file://host/conf", "three slashes"),
            ("file:///", "no repository"),
        ] {
            let error = verdict(url).expect_err(url);
            assert!(error.contains(hint), "{url}: {error}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for url in ["https://me:hunter2@host/conf", "https://hunter2@host/conf", "hunter2@host:x"] {
            let error = verdict(url).expect_err(url);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn credentials_are_for_https_only() {
        for url in ["http://127.0.0.1/conf", "ssh://host/conf", "file:///conf"] {
            let mut upstream = Upstream::new(url, "main");
            upstream.credentials =
                Some(Credentials { user: "x-access-token".into(), secret: Secret::new("hunter2") });
            let error = upstream.check().expect_err(url).to_string();
            assert!(error.contains("https://") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_branch_obeys_gits_rules_and_is_no_option() {
        for good in ["main", "release/1.2", "edit/ada-7"] {
            assert!(check_branch("https://host/x", good).is_ok(), "{good}");
        }
        for bad in ["", "-f", "a..b", "a b", "a:b", "+a", "/a", "a/", "a.lock", "a~1", "*", "a\nb"]
        {
            assert!(check_branch("https://host/x", bad).is_err(), "{bad:?}");
        }
    }
}
