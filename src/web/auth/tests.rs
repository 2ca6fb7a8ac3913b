//! Who is known by what, and until when.

use axum::http::HeaderValue;

use super::*;
use crate::govern::{ConfiguredToken, GovernSettings, NewToken};
use crate::model::{Origin, RepoName};
use crate::store::{Store, StoreOptions};

struct Home {
    auth: Auth,
    govern: Govern,
    _dir: tempfile::TempDir,
}

async fn home(names: &[(&str, Role)], insecure_dev: bool) -> Home {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path(), StoreOptions::default()).expect("a store");
    store.create(&RepoName::state()).await.expect("the repository of documents");
    let token = |(name, role): &(&str, Role)| ConfiguredToken {
        name: (*name).into(),
        person: Person::new(name).ok(),
        hash: ContentHash::of(format!("secret-{name}").as_bytes()),
        role: *role,
    };
    let settings =
        GovernSettings { tokens: names.iter().map(token).collect(), ..GovernSettings::default() };
    let govern = Govern::start(store, settings).await.expect("documents");
    let auth = Auth::new(govern.clone(), None, insecure_dev, true).expect("random numbers");
    Home { auth, govern, _dir: dir }
}

const TOKENS: [(&str, Role); 2] = [("ann", Role::Operator), ("envoy", Role::Node)];

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(
        header::HeaderName::from_static(name),
        HeaderValue::from_str(value).expect("a header value"),
    )])
}

fn sent_back(cookie: &str) -> HeaderMap {
    headers("cookie", cookie.split(';').next().expect("a pair"))
}

#[tokio::test]
async fn a_bearer_token_names_its_caller() {
    let home = home(&TOKENS, false).await;
    let caller = home.auth.identify(&headers("authorization", "bearer secret-ann"));
    assert_eq!(caller.map(|c| (c.name, c.role)), Some(("ann".into(), Role::Operator)));
    for wrong in ["Bearer secret-bob", "Basic secret-ann", "secret-ann", "Bearer "] {
        assert!(home.auth.identify(&headers("authorization", wrong)).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn git_sends_the_token_as_a_password() {
    let home = home(&TOKENS, false).await;
    let pair = STANDARD.encode("anybody:secret-ann");
    let caller = home.auth.identify(&headers("authorization", &format!("Basic {pair}")));
    let caller = caller.expect("the caller");
    assert!(caller.name == "ann" && matches!(caller.proof, Proof::Basic));
}

#[tokio::test]
async fn a_session_lasts_until_logout() {
    let home = home(&TOKENS, false).await;
    let cookie = home.auth.log_in("secret-ann", None).expect("a session");
    assert!(cookie.starts_with("__Host-convoy="), "{cookie}");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let sent = sent_back(&cookie);
    let caller = home.auth.identify(&sent).expect("the caller");
    assert_eq!(caller.csrf().len(), 64);
    home.auth.log_out(&caller);
    assert!(home.auth.identify(&sent).is_none());
}

#[tokio::test]
async fn each_login_is_a_new_session() {
    let auth = home(&TOKENS, false).await.auth;
    let again = auth.log_in("secret-ann", None).expect("a session");
    assert_ne!(auth.log_in("secret-ann", None).ok(), Some(again.clone()));
    let ann = auth.identify(&sent_back(&again)).expect("ann");
    let cards = auth.sessions(&ann);
    assert_eq!(cards.len(), 2);
    for card in cards {
        assert!(auth.end_session(&ann, &card.id) && !auth.end_session(&ann, &card.id));
    }
    assert!(auth.identify(&sent_back(&again)).is_none());
}

#[tokio::test]
async fn a_node_cannot_log_in() {
    let auth = home(&TOKENS, false).await.auth;
    assert!(auth.log_in("secret-envoy", None).is_err());
    assert!(auth.log_in("", None).is_err());
}

#[tokio::test]
async fn a_wrong_token_is_not_rescued_by_a_cookie() {
    let auth = home(&TOKENS, false).await.auth;
    let mut sent = sent_back(&auth.log_in("secret-ann", None).expect("a session"));
    sent.extend(headers("authorization", "Bearer nonsense"));
    assert!(auth.identify(&sent).is_none());
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_and_streams() {
    let Home { auth, govern, _dir } = home(&TOKENS, false).await;
    let new = NewToken {
        name: "ci".into(),
        person: None,
        role: Role::Reader,
        node: None,
        expires: None,
        secret: None,
    };
    let by = Origin::system();
    let (_, secret) = govern.issue_token(&by, new).await.expect("a token");
    let sent = sent_back(&auth.log_in(secret.expose(), None).expect("a session"));
    let caller = auth.identify(&sent).expect("the caller");
    let follower = auth.clone();
    let ended = async { follower.until(&caller, |_, _| true).await };
    let revoked = async { govern.set_token_active(&by, "ci", false).await };
    let (_, revoked) = tokio::join!(ended, revoked);
    assert!(revoked.is_ok() && auth.identify(&sent).is_none());
}

#[tokio::test]
async fn a_person_who_is_no_more_is_logged_out() {
    let Home { auth, govern, _dir } = home(&TOKENS, false).await;
    let (by, bea) = (Origin::system(), Person::new("bea").expect("a name"));
    let document = crate::govern::PersonDocument {
        name: bea.clone(),
        emails: BTreeSet::new(),
        role: Role::Reader,
        created: crate::govern::Stamp { by: "x".into(), at: clock::now() },
    };
    govern.put_person(&by, document).await.expect("a person");
    let teams = BTreeSet::from(["sre".to_owned()]);
    let sent = sent_back(&auth.log_in_person(bea.clone(), teams).expect("a session"));
    let caller = auth.identify(&sent).expect("bea");
    assert!(caller.role == Role::Reader && caller.teams.contains("sre"));
    govern.remove_person(&by, &bea).await.expect("a removal");
    assert!(auth.identify(&sent).is_none());
}

#[tokio::test]
async fn tokens_close_development_mode() {
    let open = home(&[], true).await.auth;
    for sent in [headers("x-convoy-person", "bea"), {
        let mut sent = headers("authorization", "Bearer anonymous");
        sent.extend(headers("x-convoy-person", "bea"));
        sent
    }] {
        let caller = open.identify(&sent).expect("anybody");
        assert_eq!((caller.person, caller.role), (Person::new("bea").ok(), Role::Admin));
    }
    let closed = home(&TOKENS, true).await.auth;
    assert!(!closed.is_open() && closed.identify(&HeaderMap::new()).is_none());
}

#[tokio::test]
async fn only_development_mode_lets_a_form_choose_the_person() {
    let open = home(&[], true).await.auth;
    let caller = open.identify(&HeaderMap::new()).expect("anybody");
    let actor = caller.actor_of_form(Some("bea")).expect("a person");
    assert_eq!(actor.person, Person::new("bea").ok());
    let closed = home(&TOKENS, false).await.auth;
    let ann = closed.identify(&headers("authorization", "Bearer secret-ann")).expect("ann");
    let actor = ann.actor_of_form(Some("bea")).expect("a person");
    assert_eq!(actor.person, Person::new("ann").ok());
}
