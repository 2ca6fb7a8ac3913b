//! Who is let in, and what a change of what is known does to them.

use jiff::SignedDuration;

use super::*;
use crate::access::{NamePattern, NodeScope, Scope};
use crate::model::{NodeId, ResourceKind};
use crate::snapshot::build;
use crate::snapshot::testing::{cluster, key, resource};

fn credential(name: &str, scope: NodeScope) -> Arc<Credential> {
    let scope = Arc::new(Scope::new(scope).unwrap());
    Arc::new(Credential { name: name.into(), expires: None, scope })
}

fn with_token(secret: &str, credential: Arc<Credential>) -> Credentials {
    let tokens = [(ContentHash::of(secret.as_bytes()), credential)].into();
    Credentials { tokens, ..Credentials::default() }
}

fn headers(authorization: Option<&str>) -> HeaderMap {
    let header = |text: &str| (AUTHORIZATION, text.parse().unwrap());
    authorization.map(header).into_iter().collect()
}

fn local() -> Peer {
    Peer::at("127.0.0.1:1")
}

fn node(id: &str) -> NodeIdentity {
    NodeIdentity {
        id: NodeId(id.into()),
        cluster: "web".into(),
        metadata: Default::default(),
        envoy_version: None,
        locality: String::new(),
    }
}

fn stages(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn only_a_known_bearer_token_is_let_in() {
    let guard = Guard::from(vec![ContentHash::of(b"one"), ContentHash::of(b"two")]);
    for (header, expected) in [
        (Some("Bearer one"), true),
        (Some("bearer two"), true),
        (Some("Bearer three"), false),
        (Some("Basic one"), false),
        (Some("Bearer"), false),
        (Some("Bearer "), false),
        (None, false),
    ] {
        let admitted = guard.admit(&headers(header), &local());
        assert_eq!(admitted.is_ok(), expected, "{header:?}");
    }
}

#[test]
fn without_credentials_nobody_is_let_in_unless_the_server_is_open() {
    let nothing = Guard::new(watch::channel(Arc::new(Credentials::default())).1);
    assert_eq!(nothing.admit(&headers(None), &local()).err(), Some(Refusal::Unauthenticated));
    let open = Guard::open().admit(&headers(Some("Bearer x")), &local()).unwrap();
    assert_eq!((open.name(), open.check(&node("a"), Some(&key("beta")))), (None, Ok(())));
}

#[test]
fn a_node_must_be_what_its_token_says() {
    let scope =
        NodeScope { nodes: stages(&["web-*"]), stages: stages(&["beta"]), ..NodeScope::default() };
    let known = with_token("one", credential("token edge", scope));
    let guard = Guard::new(watch::channel(Arc::new(known)).1);
    let caller = guard.admit(&headers(Some("Bearer one")), &local()).unwrap();
    assert_eq!(caller.check(&node("web-1"), Some(&key("beta"))), Ok(()));
    let told =
        |id: &str, stage: &str| caller.check(&node(id), Some(&key(stage))).unwrap_err().to_string();
    assert_eq!(
        told("api", "beta"),
        "the token edge does not allow this: its node.id `api` is not among `nodes` (web-*)"
    );
    assert!(told("web-1", "release").contains("its stage `release` is not among `stages` (beta)"));
}

#[test]
fn a_revoked_token_is_told_by_its_name_and_a_changed_scope_is_news() {
    let (sender, receiver) =
        watch::channel(Arc::new(with_token("one", credential("token edge", NodeScope::default()))));
    let mut caller = Guard::new(receiver).admit(&headers(Some("Bearer one")), &local()).unwrap();
    assert!(!caller.is_stale());

    let wide = credential("token edge", NodeScope::everything());
    sender.send_replace(Arc::new(with_token("one", wide)));
    assert!(caller.is_stale());
    assert_eq!((caller.renew(), caller.is_stale()), (Ok(true), false));

    // Another token coming is no news for this one.
    let mut both = with_token("one", credential("token edge", NodeScope::everything()));
    both.tokens.insert(ContentHash::of(b"two"), credential("token two", NodeScope::default()));
    sender.send_replace(Arc::new(both));
    assert_eq!(caller.renew(), Ok(false));

    sender.send_replace(Arc::new(Credentials { open: true, ..Credentials::default() }));
    assert_eq!(caller.renew(), Err(Refusal::Withdrawn("token edge".into())));
    sender.send_replace(Arc::new(Credentials::default()));
    let ended = caller.renew().unwrap_err().to_string();
    assert_eq!(ended, "the token edge was revoked or has ended");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_by_itself_ends_its_streams() {
    let now = clock::now();
    let ends = |after: i64| {
        let one = credential("token short", NodeScope::default());
        let expires = Some(now + SignedDuration::from_secs(after));
        Arc::new(with_token("one", Arc::new(Credential { expires, ..(*one).clone() })))
    };
    let (sender, receiver) = watch::channel(ends(3600));
    let guard = Guard::new(receiver);
    let caller = guard.admit(&headers(Some("Bearer one")), &local()).unwrap();
    let deadline = caller.deadline().expect("it ends by itself");
    assert!(deadline <= Instant::now() + LOOK_AGAIN && !caller.is_stale());
    tokio::time::sleep_until(deadline).await;
    assert!(caller.is_stale());

    sender.send_replace(ends(-1));
    let late = guard.admit(&headers(Some("Bearer one")), &local());
    assert_eq!(late.err(), Some(Refusal::Unauthenticated));
    let mut caller = caller;
    assert_eq!(caller.renew(), Err(Refusal::Withdrawn("token short".into())));
}

#[test]
fn secrets_go_only_where_they_are_granted_and_nobody_can_listen() {
    let secret = |name| resource(ResourceKind::Secrets, name, b"k");
    let all = Arc::new(build(key("beta"), &[cluster("a", 1), secret("web"), secret("api")]));
    let sds = ResourceKind::Secrets.type_url();
    let seen = |scope: NodeScope, peer: &Peer| {
        let known = with_token("one", credential("token edge", scope));
        let guard = Guard::new(watch::channel(Arc::new(known)).1);
        let view = guard.admit(&headers(Some("Bearer one")), peer).unwrap().view(&all);
        let names = view.types.get(&sds).map(|one| one.resources.keys().cloned().collect());
        let names: Vec<crate::model::ResourceName> = names.unwrap_or_default();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let web = NodeScope { secrets: stages(&["web"]), ..NodeScope::default() };
    assert_eq!(seen(NodeScope::default(), &local()), Vec::<String>::new());
    assert_eq!(seen(web.clone(), &local()), ["web"]);
    assert_eq!(seen(web, &Peer::at("192.0.2.1:1")), Vec::<String>::new());
    let open = Guard::open().admit(&headers(None), &Peer::at("192.0.2.1:1")).unwrap();
    assert!(Arc::ptr_eq(&open.view(&all), &all));
}

#[test]
fn the_first_certificate_that_matches_counts_and_binds_the_node() {
    let pattern = |text: &str| NamePattern::new(text).unwrap();
    let known = Credentials {
        certificates: vec![
            (pattern("spiffe://mesh/{node}"), credential("certificate mesh", NodeScope::default())),
            (pattern("*.example.com"), credential("certificate hosts", NodeScope::default())),
        ],
        ..Credentials::default()
    };
    let uri = crate::access::CertificateName::Uri("spiffe://mesh/web-1".into());
    let dns = crate::access::CertificateName::Dns("a.example.com".into());
    let found = known.certificate(&[dns, uri], clock::now()).unwrap();
    assert_eq!((&*found.0.name, found.1.node.as_deref()), ("certificate mesh", Some("web-1")));
}
