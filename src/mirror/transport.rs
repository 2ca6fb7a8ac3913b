//! The way to a remote: HTTP(S), SSH or a folder, as gix's transports.
//!
//! Set up from the [`Upstream`] alone: no Git configuration is read, no
//! redirect followed. It opens nothing until the first request. What travels
//! is `fetch`'s. The `ssh` command line is shared with `push`.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::TransportWithoutIO as _;
use gix::protocol::transport::client::blocking_io::http::{self, Http};
use gix::protocol::transport::client::blocking_io::{Transport, file, ssh};

use super::bounds::{Bounds, Counts, Guard};
use super::{MirrorError, Upstream, url};

/// A name resolved and a connection made; more is a remote that is away.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Any of the transports.
pub(super) type Link = Box<dyn Transport + Send>;

/// The way to `upstream`.
pub(super) fn connect(upstream: &Upstream, bounds: &Arc<Bounds>) -> Result<Link, MirrorError> {
    let url = gix::url::parse(upstream.url.as_str()).map_err(|error| MirrorError::BadUrl {
        url: upstream.url.clone(),
        detail: error.to_string(),
    })?;
    match url.scheme {
        gix::url::Scheme::File => to_folder(upstream, url),
        gix::url::Scheme::Ssh => over_ssh(upstream, url, bounds),
        _ => over_http(upstream, url, bounds),
    }
}

fn unreachable(upstream: &Upstream, detail: impl ToString) -> MirrorError {
    let detail = super::detail::clean(&detail.to_string(), upstream.credentials.as_ref());
    MirrorError::Unreachable { url: upstream.url.clone(), detail }
}

/// Runs `git-upload-pack` on the folder, as Git itself does.
fn to_folder(upstream: &Upstream, url: gix::Url) -> Result<Link, MirrorError> {
    let Ok(path) = gix::path::from_bstr(gix::bstr::BStr::new(&url.path)) else {
        return Err(unreachable(upstream, "its path is not readable"));
    };
    if !path.is_dir() {
        return Err(unreachable(upstream, "there is no such folder"));
    }
    match file::connect(url.path, Protocol::V2, false) {
        Ok(link) => Ok(Box::new(link)),
        Err(never) => match never {},
    }
}

fn over_ssh(upstream: &Upstream, url: gix::Url, bounds: &Bounds) -> Result<Link, MirrorError> {
    let options = ssh::connect::Options {
        command: Some(ssh_command(upstream, bounds.left()).into()),
        disallow_shell: false,
        kind: Some(ssh::ProgramKind::Ssh),
    };
    match ssh::connect(url, Protocol::V2, options, false) {
        Ok(link) => Ok(Box::new(link)),
        Err(error) => Err(unreachable(upstream, error)),
    }
}

/// The `ssh` command line for a shell. It never asks, it ends by itself when
/// the time is over, and it takes nothing from the URL.
pub(super) fn ssh_command(upstream: &Upstream, time_max: Duration) -> String {
    let (seconds, connect) = (time_max.as_secs() + 1, time_max.min(CONNECT_MAX).as_secs().max(1));
    let mut command = format!(
        "timeout -k 2 {seconds} ssh -o BatchMode=yes -o ConnectTimeout={connect} \
         -o StrictHostKeyChecking=yes -o ForwardAgent=no -o PermitLocalCommand=no"
    );
    if let Some((address, (host, port))) = upstream.pin.zip(url::authority(&upstream.url)) {
        // The host key stays that of the name.
        let alias = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        command += &format!(
            " -o {} -o {}",
            quoted(&format!("HostName={address}")),
            quoted(&format!("HostKeyAlias={alias}"))
        );
    }
    if let Some(key) = &upstream.ssh {
        let hosts = quoted_for_ssh(&key.known_hosts);
        command += &format!(
            " -F /dev/null -o IdentitiesOnly=yes -i {} -o {}",
            quoted(&key.key_file.to_string_lossy()),
            quoted(&format!("UserKnownHostsFile={hosts}")),
        );
    }
    command
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `ssh` splits an option's value at blanks unless it stands in quotes.
fn quoted_for_ssh(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy())
}

fn over_http(
    upstream: &Upstream,
    url: gix::Url,
    bounds: &Arc<Bounds>,
) -> Result<Link, MirrorError> {
    let remote = GuardedHttp { inner: Default::default(), bounds: Arc::clone(bounds) };
    let mut link = http::connect_http(remote, url, Protocol::V2, false);
    let failed = |error: gix::Error| {
        MirrorError::failed("the HTTP client could not be set up", error.to_string())
    };
    link.configure(&http_options(upstream, bounds)?).map_err(failed)?;
    if let Some(credentials) = &upstream.credentials {
        let account = gix::sec::identity::Account {
            username: credentials.user.clone(),
            password: credentials.secret.expose().to_owned(),
            oauth_refresh_token: None,
        };
        link.set_identity(account).map_err(|error| unreachable(upstream, error))?;
    }
    Ok(Box::new(link))
}

fn http_options(upstream: &Upstream, bounds: &Bounds) -> Result<http::Options, MirrorError> {
    // The first TLS client panics in a process without a provider. Where one
    // is set already, that one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (certificates, left) = (extra_certificates(upstream)?, bounds.left());
    let loopback = url::is_loopback(&upstream.url);
    let authority = url::authority(&upstream.url);
    // Port 0: the URL's own.
    let pinned = authority
        .zip(upstream.pin)
        .map(|((host, _), ip)| (host.to_owned(), std::net::SocketAddr::new(ip, 0)));
    let backend = http::reqwest::Options {
        configure_client: Some(Box::new(move |client| {
            // The timeout is per read: it ends a remote that fell silent. One
            // that drips is ended by `Guard`.
            let mut client = client
                .timeout(left)
                .connect_timeout(left.min(CONNECT_MAX))
                .tls_certs_merge(certificates.clone());
            if loopback {
                client = client.no_proxy();
            }
            if let Some((host, address)) = &pinned {
                client = client.resolve(host, *address);
            }
            Ok(client)
        })),
        configure_request: None,
    };
    let backend: Arc<Mutex<dyn Any + Send + Sync>> = Arc::new(Mutex::new(backend));
    Ok(http::Options {
        // A redirect would carry the token to a host nobody agreed to.
        follow_redirects: http::options::FollowRedirects::None,
        backend: Some(backend),
        ..Default::default()
    })
}

fn extra_certificates(upstream: &Upstream) -> Result<Vec<reqwest::Certificate>, MirrorError> {
    let Some(file) = &upstream.ca_file else { return Ok(Vec::new()) };
    let what = || format!("the certificates of {} could not be read", file.display());
    let pem = std::fs::read(file).map_err(|error| MirrorError::failed(what(), error))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| MirrorError::failed(what(), error))
}

/// gix's HTTP client, with every answer read through a [`Guard`].
struct GuardedHttp {
    inner: http::reqwest::Remote,
    bounds: Arc<Bounds>,
}

type Body<R> = Guard<R>;

impl GuardedHttp {
    fn guard<R>(&self, body: R) -> Body<R> {
        Guard::new(body, &self.bounds, Counts::Answer)
    }
}

impl Http for GuardedHttp {
    type Headers = <http::reqwest::Remote as Http>::Headers;
    type ResponseBody = Body<<http::reqwest::Remote as Http>::ResponseBody>;
    type PostBody = <http::reqwest::Remote as Http>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<http::GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = self.inner.get(url, base_url, headers)?;
        Ok(http::GetResponse { headers: answer.headers, body: self.guard(answer.body) })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: http::PostBodyDataKind,
    ) -> gix::Result<http::PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let answer = self.inner.post(url, base_url, headers, body)?;
        Ok(http::PostResponse {
            post_body: answer.post_body,
            headers: answer.headers,
            body: self.guard(answer.body),
        })
    }

    fn configure(&mut self, config: &dyn Any) -> gix::Result {
        self.inner.configure(config)
    }
}

/// Whether an I/O error in the chain is the disk's and not the network's.
pub(super) fn is_disk(error: &gix::Error) -> bool {
    use rustix::io::Errno;
    let disk = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO, Errno::MFILE, Errno::NFILE];
    error.iter_errors().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| {
        cause.raw_os_error().is_some_and(|code| disk.iter().any(|e| e.raw_os_error() == code))
    })
}
