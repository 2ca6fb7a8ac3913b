//! `repositories[].github`: which repository it is there, who Convoy is, and
//! what is left to defaults.

use std::time::Duration;

use serde_saphyr::Spanned;

use super::file::{AppEntry, GithubEntry};
use super::layers::place;
use super::{ConfigError, GithubAccount, GithubConfig, Report, UpstreamConfig, WebhookConfig};

/// How often pull requests are looked at without a hook.
const POLL: Duration = Duration::from_secs(60);
/// Pull requests that are rendered, and the most that may be asked for.
const PULLS: usize = 30;
const PULLS_MAX: usize = 100;

pub(super) fn resolve(
    name: &str,
    entry: Spanned<GithubEntry>,
    (upstream, webhook): (Option<&UpstreamConfig>, Option<&WebhookConfig>),
) -> Result<GithubConfig, ConfigError> {
    let place = place(name, &entry);
    let refuse = |message: String, hint: &str| {
        Err::<GithubConfig, _>(ConfigError::at(&place, message).with_hint(hint))
    };
    let entry = entry.value;
    let Some(upstream) = upstream else {
        let message = "`github` needs an `upstream`: what is said there is about its commits";
        return refuse(message.into(), "add `upstream`, or remove `github`");
    };
    let (host, path) = host_and_path(&upstream.url);
    let api_url = entry.api_url.or_else(|| host.map(api_of)).unwrap_or_default();
    if !is_api(&api_url) {
        let message = format!("`github.api_url`: `{api_url}` is no https:// URL of GitHub's API");
        return refuse(message, "write it as https://HOST/api/v3, or https://api.github.com");
    }
    let named = entry.repository.or_else(|| webhook.map(|hook| hook.full_name.clone()));
    let full_name = named.or(path).unwrap_or_default();
    if !is_full_name(&full_name) {
        let message = format!("`github.repository`: `{full_name}` is no name of a repository");
        return refuse(message, "write it as GitHub does, OWNER/NAME");
    }
    let account = match (entry.token_file, entry.app) {
        (Some(file), None) => GithubAccount::Token { file },
        (None, Some(app)) => match account(app) {
            Ok(account) => account,
            Err(message) => return refuse(message, "it stands in the address of its page"),
        },
        _ => {
            let message = "`github` needs either `token_file` or `app`";
            return refuse(
                message.into(),
                "an App is better: its tokens end, and it may write checks",
            );
        }
    };
    let is_app = matches!(account, GithubAccount::App { .. });
    let reports = match entry.report {
        Some(reports) if reports.contains(&Report::Checks) && !is_app => {
            let message = "`github.report`: GitHub takes checks from an App only";
            return refuse(message.into(), "use `app`, or leave `checks` out");
        }
        Some(reports) => reports,
        None => Report::ALL.into_iter().filter(|one| is_app || *one != Report::Checks).collect(),
    };
    let pulls_max = entry.pulls.unwrap_or(PULLS);
    if pulls_max > PULLS_MAX {
        let message = format!("`github.pulls` is {pulls_max}, and may be {PULLS_MAX} at most");
        return refuse(message, "the newest are rendered");
    }
    Ok(GithubConfig {
        api_url: api_url.trim_end_matches('/').to_owned(),
        full_name,
        account,
        ca_file: entry.ca_file.or_else(|| upstream.ca_file.clone()),
        reports,
        poll: entry.poll.map_or(POLL, |span| span.0.max(Duration::from_secs(1))),
        pulls_max,
        place,
    })
}

fn account(app: AppEntry) -> Result<GithubAccount, String> {
    let (id, installation) = (app.id.to_string(), app.installation.to_string());
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !number(&installation) {
        return Err(format!("`github.app.installation`: `{installation}` is no number"));
    }
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
        return Err(format!("`github.app.id`: `{id}` is neither a number nor a client id"));
    }
    Ok(GithubAccount::App { id, installation, key_file: app.key_file })
}

/// The host of an upstream on the web, and the repository's name there.
fn host_and_path(url: &str) -> (Option<&str>, Option<String>) {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("ssh://"));
    let Some((authority, path)) = rest.and_then(|rest| rest.split_once('/')) else {
        return (None, None);
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // A port of `ssh` is not that of the API.
    let host =
        if url.starts_with("ssh://") { host.split(':').next().unwrap_or(host) } else { host };
    let path = path.trim_end_matches('/').trim_end_matches(".git");
    (Some(host), Some(path.to_owned()))
}

fn api_of(host: &str) -> String {
    match host {
        "github.com" | "ssh.github.com" => "https://api.github.com".to_owned(),
        host => format!("https://{host}/api/v3"),
    }
}

/// A token goes nowhere in the clear, but to this machine.
fn is_api(text: &str) -> bool {
    let Ok(parsed) = url::Url::parse(text) else { return false };
    let host = parsed.host_str().unwrap_or("");
    let loopback = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    let bare = parsed.query().is_none() && parsed.fragment().is_none();
    !host.is_empty()
        && plain
        && bare
        && (parsed.scheme() == "https" || parsed.scheme() == "http" && loopback)
}

fn is_full_name(text: &str) -> bool {
    let part = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty()
            && part.len() <= 100
            && !matches!(part, "." | "..")
            && part.bytes().all(known)
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_follows_from_the_upstream() {
        for (url, api, name) in [
            ("https://github.com/acme/mesh.git", "https://api.github.com", "acme/mesh"),
            ("https://ghe.example.com/acme/mesh", "https://ghe.example.com/api/v3", "acme/mesh"),
            ("https://ghe.example.com:8443/a/b", "https://ghe.example.com:8443/api/v3", "a/b"),
            ("ssh://git@ghe.example.com:22/a/b.git", "https://ghe.example.com/api/v3", "a/b"),
        ] {
            let (host, path) = host_and_path(url);
            assert_eq!(host.map(api_of).as_deref(), Some(api), "{url}");
            assert_eq!(path.as_deref(), Some(name), "{url}");
        }
        assert_eq!(host_and_path("file:///srv/a.git"), (None, None));
    }

    #[test]
    fn a_token_is_sent_nowhere_in_the_clear_and_a_name_is_one() {
        for (url, good) in [
            ("https://ghe.example.com/api/v3", true),
            ("http://127.0.0.1:1/api/v3", true),
            ("http://ghe.example.com/api/v3", false),
            ("https://t0ken@ghe.example.com/api/v3", false),
            ("ghe.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_api(url), good, "{url}");
        }
        for (name, good) in
            [("a/b", true), ("a", false), ("a/..", false), ("a/b/c", false), ("a/b?c", false)]
        {
            assert_eq!(is_full_name(name), good, "{name}");
        }
    }
}
