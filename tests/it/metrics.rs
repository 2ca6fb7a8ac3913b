//! Metrics, asked of a real Prometheus over TLS, and of servers that are none.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use convoy::metrics::{Judgement, Limits, Metrics, MetricsError, MetricsSettings, Reading, judge};

use crate::harness::convoy::{free_port, wait_for};
use crate::harness::oneshot::answer;
use crate::harness::pki::Pki;
use crate::harness::process::Beside;

/// A Prometheus that scrapes itself.
pub(crate) struct Prometheus {
    url: String,
    running: Option<Beside>,
    _home: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it on a port that nothing listens on, for everybody.
    pub(crate) fn open(port: u16) -> Self {
        Self::run(port, "http", "", "")
    }

    /// Starts it with a certificate of `pki`.
    fn start(pki: &Pki) -> Self {
        let files = pki.files(false);
        let (ca, cert, key) = (
            files.client_ca_files[0].display(),
            files.cert_file.display(),
            files.key_file.display(),
        );
        let scrape = format!("    scheme: https\n    tls_config: {{ca_file: {ca}}}\n");
        let web = format!("tls_server_config: {{cert_file: {cert}, key_file: {key}}}\n");
        Self::run(free_port(), "https", &scrape, &web)
    }

    fn run(port: u16, scheme: &str, scrape: &str, web: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let own = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: own\n{scrape}    \
             static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]\n",
        );
        std::fs::write(at("prometheus.yml"), own).unwrap();
        std::fs::write(at("web.yml"), web).unwrap();
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut command = Command::new("prometheus");
        command
            .arg(option("config.file", &at("prometheus.yml")))
            .arg(option("web.config.file", &at("web.yml")))
            .arg(option("storage.tsdb.path", &at("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(Stdio::null());
        let running = Some(Beside::start(&mut command));
        Self { url: format!("{scheme}://127.0.0.1:{port}"), running, _home: home }
    }
}

fn client(url: &str, ca: Option<&Path>, token: Option<&Path>) -> Metrics {
    convoy::app::choose_crypto();
    Metrics::new(MetricsSettings {
        url: url.into(),
        token_file: token.map(Path::to_owned),
        ca_file: ca.map(Path::to_owned),
        timeout: Duration::from_secs(3),
    })
    .unwrap()
}

fn ask(metrics: &Metrics, query: &str) -> Result<Reading, MetricsError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(metrics.ask(query))
}

#[test]
fn a_real_prometheus_is_read_for_what_it_says_and_no_more() {
    let pki = Pki::new();
    let mut prometheus = Prometheus::start(&pki);
    let ca = pki.files(false).client_ca_files[0].clone();
    let metrics = client(&prometheus.url, Some(&ca), None);
    wait_for("Prometheus to have scraped itself", || {
        match ask(&metrics, r#"count(up{job="own"} == 1)"#) {
            Ok(Reading::Number(1.0)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let read = |query: &str| ask(&metrics, query).unwrap();
    assert_eq!(read("0.25"), Reading::Number(0.25));
    assert_eq!(read("vector(1) / 0"), Reading::Number(f64::INFINITY));
    for (query, why) in [
        ("vector(0) / 0", "NaN"),
        ("no_such_metric", "no series"),
        ("rate(prometheus_http_requests_total[1s])", "no series"),
        ("{job=\"own\"}", "series; make one of them"),
        ("up{job=\"own\"}[5m]", "a matrix, not a number"),
        ("sum(up", "the query is refused"),
        (
            "sum(up) + on(job) group_left() up{job=~\"own\"} * on() up + on() {job=\"own\"}",
            "refused",
        ),
    ] {
        match read(query) {
            Reading::Nothing(said) => assert!(said.contains(why), "{query}: {said}"),
            Reading::Number(number) => panic!("{query} gives {number}"),
        }
    }
    // A candidate beside the others, both as Prometheus gives them.
    let limits = Limits { at_most_times_baseline: Some(1.2), ..Limits::default() };
    let said =
        |candidate: &str, baseline: &str| judge(limits, &read(candidate), Some(&read(baseline)));
    assert!(matches!(said("vector(11)", "vector(10)"), Judgement::Pass(_)));
    assert!(matches!(said("vector(13)", "vector(10)"), Judgement::Fail(_)));
    assert!(matches!(said("vector(13)", "no_such_metric"), Judgement::Inconclusive(_)));
    // Another authority's word is not taken, and nobody answers when it is gone.
    let stranger = client(&prometheus.url, Some(&Pki::new().files(false).client_ca_files[0]), None);
    assert!(matches!(ask(&stranger, "1"), Err(MetricsError::Silent(_))));
    prometheus.running = None;
    assert!(matches!(ask(&metrics, "1"), Err(MetricsError::Silent(_))));
}

fn answered(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn the_token_is_shown_and_the_question_is_not_in_the_address() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
    let (url, served) = answer(answered("200 OK", body));
    let metrics = client(&format!("{url}/prometheus/"), None, Some(&token));
    assert_eq!(ask(&metrics, "up{a=\"b&c\"}").unwrap(), Reading::Number(2.0));
    let request = served.join().unwrap();
    assert_eq!(request.head[0], "POST /prometheus/api/v1/query HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "query=up%7Ba%3D%22b%26c%22%7D&timeout=3000ms"
    );
    // A secret that everybody can read is not used.
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = ask(&metrics, "1").unwrap_err().to_string();
    assert!(error.contains("open to every user"), "{error}");
}

#[test]
fn a_server_that_is_not_prometheus_says_nothing_about_a_candidate() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(3 << 20)).into_bytes();
    for (response, expected) in [
        (answered("200 OK", "<html>login</html>"), "not that of Prometheus"),
        (answered("302 Found\r\nlocation: http://127.0.0.1:1/", ""), "answers 302"),
        (answered("401 Unauthorized", "who are you?"), "answers 401: who are you?"),
        (
            answered(
                "503 Unavailable",
                r#"{"status":"error","errorType":"timeout","error":"slow"}"#,
            ),
            "could not answer: timeout: slow",
        ),
        (
            answered(
                "500 Oops",
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}"#,
            ),
            "answers 500",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"sta".to_vec(), "does not answer"),
    ] {
        let (url, served) = answer(response);
        let error = ask(&client(&url, None, None), "1").unwrap_err().to_string();
        assert!(error.contains(expected), "{error} for {expected}");
        assert!(!error.contains("127.0.0.1"), "{error}");
        served.join().unwrap();
    }
    // We stop reading, so it may not be able to write all of it.
    let (url, served) = answer(long);
    let error = ask(&client(&url, None, None), "1").unwrap_err();
    assert!(matches!(error, MetricsError::TooLong), "{error}");
    drop(served);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let error = ask(&client(&url, None, None), "1").unwrap_err();
    assert!(matches!(error, MetricsError::Silent(_)), "{error}");
}
