//! What the configuration says wins, and what it says is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, ConfigError, Flags};
use crate::access::{CertificateName, NodeScope, Scope};
use crate::model::{
    NodeGroup, NodeId, NodeIdentity, RepoName, ResourceKind, ResourceName, Role, SnapshotKey, Stage,
};

const EXAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/convoy.example.yaml"));

fn resolve(environment: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    let flags = Flags { insecure_dev: true, ..Flags::default() };
    resolve_with(flags, environment, text)
}

fn resolve_with(
    flags: Flags,
    environment: &[(&str, &str)],
    text: &str,
) -> Result<Config, ConfigError> {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Config::resolve(flags, &environment, Some(("c.yaml", text)))
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    type Read = fn(&Config) -> String;
    let flags = Flags {
        data: Some("/flag".into()),
        listen: "127.0.0.1:1".parse().ok(),
        xds_listen: "127.0.0.1:1".parse().ok(),
        base_url: Some("http://flag".into()),
        insecure_dev: true,
        log_level: Some("error".into()),
        envoys: Some("/flag".into()),
    };
    // Of each key: the variable and its value, the file's line, how it reads,
    // and what flag, variable, file and default give.
    let rows: [(&str, &str, &str, Read, [&str; 4]); 6] = [
        (
            "CONVOY_DATA",
            "/env",
            "data: /file",
            |c| c.data.display().to_string(),
            ["/flag", "/env", "/file", "convoy-data"],
        ),
        (
            "CONVOY_LISTEN",
            "127.0.0.1:2",
            "listen: 127.0.0.1:3",
            |c| c.listen.to_string(),
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:7400"],
        ),
        (
            "CONVOY_XDS_LISTEN",
            "127.0.0.1:2",
            "xds_listen: 127.0.0.1:3",
            |c| c.xds_listen.to_string(),
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:7401"],
        ),
        (
            "CONVOY_BASE_URL",
            "http://env/",
            "base_url: http://file",
            |c| c.base_url.clone(),
            ["http://flag", "http://env", "http://file", "http://127.0.0.1:7400"],
        ),
        (
            "CONVOY_LOG_LEVEL",
            "warn",
            "log: {level: debug}",
            |c| c.log_level.clone(),
            ["error", "warn", "debug", "info"],
        ),
        (
            "CONVOY_ENVOYS",
            "/env",
            "smoke: {envoys: /file}",
            |c| c.envoys.display().to_string(),
            ["/flag", "/env", "/file", "convoy-envoys"],
        ),
    ];
    for (variable, value, line, read, [flag, env, file, default]) in rows {
        let given = [(variable, value)];
        assert_eq!(read(&resolve_with(flags.clone(), &given, line).unwrap()), flag, "{variable}");
        assert_eq!(read(&resolve(&given, line).unwrap()), env, "{variable}");
        assert_eq!(read(&resolve(&[], line).unwrap()), file, "{variable}");
        assert_eq!(read(&resolve(&[], "").unwrap()), default, "{variable}");
    }
}

#[test]
fn a_mistake_in_the_file_names_its_line_and_what_to_do() {
    let table = [
        ("\nlisten_xds: 127.0.0.1:1\n", "c.yaml:2:", "unknown key `listen_xds`"),
        ("\nxds_lisen: 127.0.0.1:1\n", "c.yaml:2:", "did you mean `xds_listen`?"),
        ("log:\n  levle: info\n", "c.yaml:2:", "did you mean `level`?"),
        ("listen: nowhere\n", "c.yaml:1:", "write it as 127.0.0.1:7400"),
        ("ack_deadline: 5 parsecs\n", "c.yaml:1:", "write it as 250ms, 30s, 5m or 2h"),
        ("auth:\n  tokens:\n    - {name: a, role: king, sha256: x}\n", "c.yaml:3:", "king"),
        (
            "auth:\n  tokens:\n    - name: a\n      role: admin\n      sha256: beef\n",
            "c.yaml:5:",
            "",
        ),
        ("repositories:\n  - name: nohalf\n", "c.yaml:2:", "project/repository"),
        ("repositories: [{name: a/b}, {name: a/b}]\n", "c.yaml", "`a/b` is there twice"),
        ("people: [{name: kim}, {name: kim}]\n", "c.yaml", "`kim` is there twice"),
        ("people: [{name: a, slack: [U1]}, {name: b, slack: [U1]}]\n", "c.yaml", "`U1` is there"),
        ("smoke: {parallel: 0}\n", "c.yaml", "at least 1 is needed"),
        ("base_url: convoy.example.com\n", "c.yaml", "is no URL"),
        ("metrics: {}\n", "c.yaml:1:", "url"),
        ("metrics: {url: prometheus.example.com}\n", "c.yaml", "is no URL"),
        ("metrics: {url: \"https://me:pw@p.example.com\"}\n", "c.yaml", "without a user"),
        ("metrics: {url: \"http://p.example.com\", token_file: t}\n", "c.yaml", "use https://"),
        ("metrics: {url: \"https://p.example.com\", every: 0s}\n", "c.yaml", "longer than nothing"),
        ("xds:\n  tls: {cert_file: a}\n", "c.yaml:2:", "key_file"),
        ("xds:\n  tls: {cert_fil: a, key_file: b}\n", "c.yaml:2:", "did you mean `cert_file`?"),
        (
            "xds: {tls: {cert_file: a, key_file: b, client_certificates: optional}}\n",
            "c.yaml",
            "`xds.tls.client_ca_files` is empty",
        ),
        (
            "xds:\n  tls:\n    {cert_file: a, key_file: b, client_ca_files: [c], \
             client_certificates: maybe}\n",
            "c.yaml:3:",
            "maybe",
        ),
        (
            "auth:\n  certificates:\n    - name: a\n      names: [\"spiffe://{id}\"]\n",
            "c.yaml:4:",
            "only {node} and {cluster}",
        ),
        ("auth: {certificates: [{name: a, names: []}]}\n", "c.yaml", "has no `names`"),
        (
            "auth:\n  certificates:\n    - name: a\n      names: [\"*.b\"]\n      \
             scope: {nodes: [\"web-[\"]}\n",
            "c.yaml:5:",
            "`nodes`: `web-[` is no pattern",
        ),
        (
            "auth:\n  certificates:\n    - name: a\n      names: [\"*.b\"]\n      \
             scope: {stage: [beta]}\n",
            "c.yaml:5:",
            "did you mean `stages`?",
        ),
        (
            "auth:\n  certificates:\n    - name: a\n      names: [\"*.b\"]\n      \
             scope: {kinds: [cluster]}\n",
            "c.yaml:5:",
            "did you mean `clusters`?",
        ),
        (
            "auth:\n  tokens:\n    - name: a\n      role: admin\n      sha256: \
             9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n      \
             scope: {stages: [beta]}\n",
            "c.yaml:6:",
            "but is no node's",
        ),
        (
            "slack: {signing_secret_files: [], bot_token_file: b, channel: c}\n",
            "c.yaml",
            "is empty",
        ),
        (
            "slack: {app_token_file: a, bot_token_file: b, channel: c, connections: 11}\n",
            "c.yaml",
            "1 to 10",
        ),
        (
            "slack: {app_token_file: a, bot_token_file: b, channel: c, zone: Asia/Tokio}\n",
            "c.yaml",
            "no time zone",
        ),
    ];
    for (text, place, words) in table {
        let error = resolve(&[], text).expect_err(text);
        assert!(error.place.starts_with(place), "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn a_mistake_in_a_variable_names_it() {
    let table = [
        ("CONVOY_LISTN", "x", "did you mean CONVOY_LISTEN?"),
        ("CONVOY_ZZZZ", "x", "unset it"),
        ("CONVOY_LISTEN", "nowhere", "`nowhere`"),
        ("CONVOY_INSECURE_DEV", "yes", "`true` or `false`"),
        ("CONVOY_LOG_FORMAT", "xml", "neither text nor json"),
    ];
    for (name, value, words) in table {
        let error = resolve(&[(name, value)], "").expect_err(name);
        assert_eq!(error.place, name);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn rules_between_keys_keep_doors_closed() {
    let sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let token = format!("auth: {{tokens: [{{name: a, role: admin, sha256: {sha}}}]}}\n");
    let nodes = |scope: &str| {
        let more = format!("}}, {{name: n, role: node, sha256: {sha}{scope}}}]}}");
        token.replace("}]}", &more)
    };
    let table = [
        (false, String::new(), "no authentication is configured"),
        (true, token.clone(), "`insecure_dev` is on although tokens are configured"),
        (true, "listen: 0.0.0.0:1\n".into(), "loopback addresses only"),
        (true, "xds_listen: 0.0.0.0:1\n".into(), "loopback addresses only"),
        (
            false,
            token.replace(
                "]}",
                "], certificates: [{name: a, names: [\"*.b\"], scope: {stages: [beta]}}]}",
            ),
            "nodes are asked for none",
        ),
        (false, nodes(""), "the token `n` says not which nodes may use it"),
        (false, nodes(", scope: {stages: [beta]}"), "the token `n` says not which nodes"),
        (false, nodes(", scope: {nodes: [a]}"), "the token `n` says not from which stages"),
        (
            false,
            format!(
                "{}xds: {{tls: {{cert_file: a, key_file: b, client_ca_files: [c]}}}}\n",
                token.replace("]}", "], certificates: [{name: c, names: [\"*.b\"]}]}")
            ),
            "the certificate `c` says not from which stages",
        ),
    ];
    for (insecure_dev, text, words) in table {
        let flags = Flags { insecure_dev, ..Flags::default() };
        let error = resolve_with(flags, &[], &text).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.hint.is_empty(), "{error}");
    }
    let ok = |dev: bool, text: &str| {
        let flags = Flags { insecure_dev: dev, ..Flags::default() };
        resolve_with(flags, &[], text).unwrap_or_else(|error| panic!("{text}: {error}"));
    };
    ok(false, &nodes(", scope: {nodes: ['*'], stages: ['*']}"));
    ok(false, &nodes(", scope: {clusters: [web], stages: [beta]}"));
    // Where everybody is let in, so are they.
    let alone = format!("auth: {{tokens: [{{name: n, role: node, sha256: {sha}}}]}}\n");
    ok(true, &alone);
    assert!(resolve_with(Flags::default(), &[], &token).is_ok());
}

#[test]
fn the_example_shows_every_key_and_resolves() {
    // The keys of one pair are an alternative: shown, but commented out.
    let text = EXAMPLE.replace("# ssh_key_file", "ssh_key_file").replace("# known_h", "known_h");
    resolve_with(Flags::default(), &[], &text).expect("the example is valid");
    let source = include_str!("file.rs").split("/// A length of time").next().unwrap_or("");
    let known: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    assert!(known.len() > 40, "{known:?}");
    let shown: BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(known.symmetric_difference(&shown).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_example_says_what_nodes_may_be_and_see() {
    let config = resolve_with(Flags::default(), &[], EXAMPLE).expect("the example is valid");
    let tls = config.xds_tls.expect("the example has xds.tls");
    assert!(tls.required);
    assert_eq!((tls.client_ca_files.len(), tls.client_crl_files.len()), (1, 1));
    let token = config.tokens.iter().find(|token| token.role == Role::Node).unwrap();
    let node = |id: &str| NodeIdentity {
        id: NodeId(id.into()),
        cluster: "any".into(),
        metadata: BTreeMap::new(),
        envoy_version: None,
        locality: String::new(),
    };
    let key = |stage: &str| SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(stage).unwrap(),
        group: NodeGroup::default(),
    };
    let scope = token.scope.compile().unwrap();
    assert!(scope.may_be(&node("edge-1")).is_ok() && scope.may_be(&node("web-1")).is_err());
    assert!(scope.may_have(&key("beta")).is_ok() && scope.may_have(&key("staging")).is_err());
    let sees = |scope: &Scope, kind: ResourceKind, name: &str| {
        scope.sees(&kind.type_url(), &ResourceName(name.into()))
    };
    assert!(sees(&scope, ResourceKind::Clusters, "any"));
    assert!(sees(&scope, ResourceKind::Secrets, "edge-key"));
    assert!(!sees(&scope, ResourceKind::Secrets, "web-key"));
    let web = &config.certificates[0];
    let name = CertificateName::Uri("spiffe://mesh.example.com/web/node-7".into());
    let bound = web.names[0].matches(&name).expect("the pattern fits");
    assert!(bound.may_be(&node("node-7")).is_ok() && bound.may_be(&node("node-8")).is_err());
    let scope = web.scope.compile().unwrap();
    assert!(scope.may_have(&key("beta")).is_ok() && scope.may_have(&key("release")).is_err());
    assert!(sees(&scope, ResourceKind::Routes, "any"));
    assert!(!sees(&scope, ResourceKind::Secrets, "edge-key"));
}

/// What stands in the example as text only, it says of itself; every part of
/// a scope is named there.
#[test]
fn the_example_names_every_part_of_a_scope() {
    let scope = serde_json::to_value(NodeScope {
        nodes: vec!["*".into()],
        clusters: vec!["*".into()],
        repositories: vec!["*".into()],
        stages: vec!["*".into()],
        groups: vec!["*".into()],
        kinds: vec![ResourceKind::Clusters],
        secrets: vec!["*".into()],
    });
    let scope = scope.unwrap();
    let comment: String = EXAMPLE.lines().filter(|line| line.trim().starts_with('#')).collect();
    for part in scope.as_object().unwrap().keys() {
        assert!(comment.contains(part.as_str()), "{part}");
    }
}

#[test]
fn github_is_found_by_the_upstream_and_what_cannot_be_is_refused() {
    use super::{GithubAccount, Report};
    let head = "repositories:\n  - name: mesh/config\n    upstream: {url: \"https://ghe.example.com/acme/mesh.git\"}\n    ";
    let read = |github: &str| resolve(&[], &format!("{head}github: {github}\n"));
    let config = read("{token_file: /t}").expect("a token is enough");
    let github = config.repositories[0].github.clone().expect("it is there");
    assert_eq!(github.api_url, "https://ghe.example.com/api/v3");
    assert_eq!(github.full_name, "acme/mesh");
    assert_eq!(github.reports, [Report::Statuses, Report::Comments, Report::Deployments]);
    let app = read("{app: {id: 17, installation: \"42\", key_file: /k}, report: [checks]}");
    let github = app.expect("an App").repositories[0].github.clone().expect("it is there");
    assert_eq!(github.reports, [Report::Checks]);
    assert!(matches!(github.account, GithubAccount::App { id, .. } if id == "17"));
    for (wrong, part) in [
        ("{}", "either `token_file` or `app`"),
        ("{token_file: /t, app: {id: 1, installation: 2, key_file: /k}}", "either"),
        ("{token_file: /t, report: [checks]}", "from an App only"),
        ("{token_file: /t, api_url: \"http://ghe.example.com\"}", "no https:// URL"),
        ("{token_file: /t, repository: mesh}", "no name of a repository"),
        ("{app: {id: 1, installation: x, key_file: /k}}", "no number"),
        ("{token_file: /t, pulls: 1000}", "100 at most"),
        ("{tokenfile: /t}", "unknown key"),
    ] {
        let error = read(wrong).expect_err(wrong).to_string();
        assert!(error.contains(part) && error.contains("c.yaml:"), "{wrong}: {error}");
    }
    let alone = "repositories:\n  - {name: a/b, github: {token_file: /t}}\n";
    let error = resolve(&[], alone).expect_err("no upstream").to_string();
    assert!(error.contains("needs an `upstream`"), "{error}");
}
