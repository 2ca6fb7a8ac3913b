//! Governing over a real store.

use std::sync::Mutex;

use super::*;
use crate::access::{Reach, RepositoryPolicy};
use crate::model::{Actor, FilePath, Via};
use crate::store::{AuditQuery, StoreOptions};

struct Home {
    dir: tempfile::TempDir,
    store: Store,
    govern: Govern,
}

fn settings() -> GovernSettings {
    let token = ConfiguredToken {
        name: "boss".into(),
        person: Person::new("bo").ok(),
        hash: ContentHash::of(b"secret-boss"),
        role: Role::Admin,
    };
    let person = ConfiguredPerson {
        name: person("bo"),
        emails: vec!["bo@example.com".into()],
        role: Some(Role::Admin),
    };
    GovernSettings {
        tokens: vec![token],
        people: vec![person],
        repositories: vec![repo("mesh/kept")],
        ..GovernSettings::default()
    }
}

async fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.create(&RepoName::state()).await.unwrap();
    store.create(&repo("mesh/kept")).await.unwrap();
    let settings = GovernSettings { secrets: dir.path().join("secrets"), ..settings() };
    let govern = Govern::start(store.clone(), settings).await.unwrap();
    Home { dir, store, govern }
}

fn repo(name: &str) -> RepoName {
    RepoName::new(name).unwrap()
}

fn person(name: &str) -> Person {
    Person::new(name).unwrap()
}

fn ann() -> Origin {
    Origin::of(&Actor::person(person("ann"), Via::Api))
}

fn guest(name: &str) -> PersonDocument {
    let created = Stamp { by: "x".into(), at: Timestamp::UNIX_EPOCH };
    PersonDocument { name: person(name), emails: Default::default(), role: Role::Guest, created }
}

fn service(name: &str) -> NewToken {
    NewToken {
        name: name.into(),
        person: None,
        role: Role::Guest,
        node: None,
        expires: None,
        secret: None,
    }
}

#[tokio::test]
async fn a_repository_lives_and_dies_and_lives_again() {
    let Home { govern, store, dir: _dir } = home().await;
    let (by, name) = (ann(), repo("shop/values"));
    assert!(matches!(
        govern.create_repository(&by, &name).await,
        Err(GovernError::NotFound { what: "project", .. })
    ));
    let project = govern.create_project(&by, "shop", &[], &[]).await.unwrap();
    assert_eq!(project.members.get(&Subject::Person(person("ann"))), Some(&ProjectRole::Owner));
    govern.create_repository(&by, &name).await.unwrap();
    let head = store.head(&name).unwrap();
    assert_eq!(head.revision.0, 1);
    let first = store.info(&name, head.revision).unwrap();
    assert_eq!(
        (first.message.trim(), first.author_name.as_str()),
        ("Create a new repository", "ann")
    );
    assert!(matches!(
        govern.create_repository(&by, &name).await,
        Err(GovernError::Exists { removed: false, .. })
    ));
    govern.remove_repository(&by, &name).await.unwrap();
    assert!(govern.registry().repository(&name).is_none());
    assert!(matches!(
        govern.create_repository(&by, &name).await,
        Err(GovernError::Exists { removed: true, .. })
    ));
    govern.restore_repository(&by, &name).await.unwrap();
    assert!(matches!(govern.purge_repository(&by, &name).await, Err(GovernError::State(_))));
    govern.remove_repository(&by, &name).await.unwrap();
    govern.purge_repository(&by, &name).await.unwrap();
    assert!(store.head(&name).is_err());
    govern.create_repository(&by, &name).await.unwrap();
    assert_eq!(store.head(&name).unwrap().revision.0, 1);
}

#[tokio::test]
async fn a_project_goes_with_everything_in_it() {
    let Home { govern, store, dir } = home().await;
    let (by, name) = (ann(), repo("shop/values"));
    govern.create_project(&by, "shop", &[], &[]).await.unwrap();
    govern.create_repository(&by, &name).await.unwrap();
    let created = Stamp { by: "ann".into(), at: Timestamp::UNIX_EPOCH };
    let credential = CredentialDocument {
        project: "shop".into(),
        id: "ghe".into(),
        kind: CredentialKind::AccessToken,
        created,
    };
    let secret = Secret::new("hunter2hunter2");
    govern.put_credential(&by, credential, Some(secret.clone()), true).await.unwrap();
    assert_eq!(govern.secret("shop", "ghe").unwrap(), secret);
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let file = govern.secret_file("shop", "ghe").unwrap();
    assert_eq!(mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    govern.remove_project(&by, "shop").await.unwrap();
    assert!(govern.registry().repository(&name).is_none());
    assert!(matches!(
        govern.create_project(&by, "shop", &[], &[]).await,
        Err(GovernError::Exists { removed: true, .. })
    ));
    govern.restore_project(&by, "shop").await.unwrap();
    assert!(govern.registry().repository(&name).is_some());
    govern.remove_project(&by, "shop").await.unwrap();
    govern.purge_project(&by, "shop").await.unwrap();
    assert!(store.head(&name).is_err() && !file.exists());
    assert!(govern.registry().credentials.is_empty() && dir.path().exists());
}

#[tokio::test]
async fn what_the_configuration_names_stays() {
    let Home { govern, dir: _dir, .. } = home().await;
    let by = ann();
    for refused in [
        govern.remove_repository(&by, &repo("mesh/kept")).await,
        govern.remove_project(&by, "mesh").await,
        govern.remove_token(&by, "boss").await,
        govern.remove_person(&by, &person("bo")).await,
        govern.put_person(&by, guest("bo")).await,
    ] {
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("configuration file"), "{text}");
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let Home { govern, store, dir } = home().await;
    let by = ann();
    govern.create_project(&by, "shop", &[], &[Subject::Person(person("bea"))]).await.unwrap();
    govern.create_repository(&by, &repo("shop/values")).await.unwrap();
    let (_, secret) = govern.issue_token(&by, service("ci")).await.unwrap();
    let team = TeamDocument {
        name: "sre".into(),
        members: [person("bea")].into(),
        created: Stamp { by: "x".into(), at: Timestamp::UNIX_EPOCH },
    };
    govern.put_team(&by, team).await.unwrap();
    let before = govern.registry();
    drop(govern);
    store.close().await.unwrap();
    let revision = store.head(&RepoName::state()).unwrap().revision;
    drop(store);
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let govern = Govern::start(store.clone(), settings()).await.unwrap();
    let after = govern.registry();
    assert_eq!((&after.projects, &after.tokens), (&before.projects, &before.tokens));
    assert_eq!((&after.teams, &after.policy), (&before.teams, &before.policy));
    assert_eq!(govern.principal(secret.expose()).unwrap().name, "ci");
    let now = store.head(&RepoName::state()).unwrap().revision;
    assert_eq!(now, revision, "a start that has nothing to say writes nothing");
}

#[tokio::test]
async fn writers_do_not_lose_each_others_members() {
    let Home { govern, dir: _dir, .. } = home().await;
    let by = ann();
    govern.create_project(&by, "shop", &[], &[]).await.unwrap();
    let names: Vec<_> = (0..40).map(|number| format!("p{number}")).collect();
    let writes = names.iter().map(|name| {
        let (govern, by, who) = (govern.clone(), by.clone(), Subject::Person(person(name)));
        async move { govern.set_member(&by, "shop", &who, Some(ProjectRole::Member)).await }
    });
    for done in futures_util::future::join_all(writes).await {
        done.unwrap();
    }
    assert_eq!(govern.registry().projects["shop"].members.len(), 41);
}

#[tokio::test]
async fn a_write_is_finished_when_its_caller_goes_away() {
    let Home { govern, store, dir: _dir } = home().await;
    let by = ann();
    let mut following = govern.watch();
    following.mark_unchanged();
    {
        let mut asked = Box::pin(govern.create_project(&by, "shop", &[], &[]));
        assert!(futures_util::poll!(&mut asked).is_pending());
    }
    following.changed().await.unwrap();
    assert!(govern.registry().project("shop").is_some());
    let audit = store.audit().entries(&AuditQuery { limit: 100, ..AuditQuery::default() });
    let last = audit.unwrap().pop().unwrap();
    assert_eq!((last.origin.name.as_str(), last.repo), ("ann", RepoName::state()));
}

#[tokio::test]
async fn who_follows_knows_of_a_write_before_it_is_acknowledged() {
    let Home { govern, dir: _dir, .. } = home().await;
    let (by, told) = (ann(), Arc::new(Mutex::new(Vec::new())));
    let seen = told.clone();
    govern.follow(move |registry| {
        let good = registry.tokens.values().filter(|token| token.revoked.is_none());
        seen.lock().unwrap().push(good.count());
    });
    assert_eq!(*told.lock().unwrap(), [0], "of what there is, at once");
    govern.issue_token(&by, service("ci")).await.unwrap();
    assert_eq!(told.lock().unwrap().last(), Some(&1));
    govern.set_token_active(&by, "ci", false).await.unwrap();
    assert_eq!(told.lock().unwrap().last(), Some(&0));
}

#[tokio::test]
async fn tokens_are_known_by_their_hash_until_they_end() {
    let Home { govern, store, dir: _dir } = home().await;
    let by = ann();
    assert_eq!(govern.principal("secret-boss").unwrap().role, Role::Admin);
    let (document, secret) = govern.issue_token(&by, service("ci")).await.unwrap();
    assert!(is_token(secret.expose()));
    let state = RepoName::state();
    let path = FilePath::new("tokens/ci.json").unwrap();
    let text = store.read(&state, store.head(&state).unwrap().revision, &path).unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains(&document.sha256.to_string()) && !text.contains(secret.expose()));
    let (_, other) = govern.rotate_token(&by, "ci").await.unwrap();
    assert!(
        govern.principal(secret.expose()).is_none() && govern.principal(other.expose()).is_some()
    );
    govern.set_token_active(&by, "ci", false).await.unwrap();
    assert!(govern.principal(other.expose()).is_none());
    govern.set_token_active(&by, "ci", true).await.unwrap();
    assert!(govern.principal(other.expose()).is_some());
    let past = NewToken { expires: Some(Timestamp::UNIX_EPOCH), ..service("old") };
    assert!(govern.issue_token(&by, past).await.is_err());
    let node = NewToken { role: Role::Node, ..service("edge") };
    assert!(govern.issue_token(&by, node).await.is_err());
    for taken in ["ci", "boss"] {
        assert!(matches!(
            govern.issue_token(&by, service(taken)).await,
            Err(GovernError::Exists { .. })
        ));
    }
    let twice = NewToken { secret: Some(Secret::new("secret-boss-is-it")), ..service("a") };
    govern.issue_token(&by, twice.clone()).await.unwrap();
    assert!(govern.issue_token(&by, NewToken { name: "b".into(), ..twice }).await.is_err());
}

#[tokio::test]
async fn whoever_gets_a_name_next_inherits_nothing() {
    let Home { govern, dir: _dir, .. } = home().await;
    let (by, name) = (ann(), repo("shop/values"));
    govern.create_project(&by, "shop", &[], &[]).await.unwrap();
    govern.create_repository(&by, &name).await.unwrap();
    govern.put_person(&by, guest("bea")).await.unwrap();
    let bea = Subject::Person(person("bea"));
    govern.set_member(&by, "shop", &bea, Some(ProjectRole::Owner)).await.unwrap();
    govern.set_grant(&by, &name, &bea, Some(Right::Admin), Some("/a/**")).await.unwrap();
    let own = NewToken { person: Some(person("bea")), ..service("beas") };
    let (_, secret) = govern.issue_token(&by, own).await.unwrap();
    let principal = govern.principal(secret.expose()).unwrap();
    assert!(govern.registry().policy.owns(&principal, "shop"));
    govern.remove_person(&by, &person("bea")).await.unwrap();
    assert!(govern.principal(secret.expose()).is_none());
    govern.put_person(&by, guest("bea")).await.unwrap();
    let again = govern.person(&person("bea"));
    let registry = govern.registry();
    assert_eq!(registry.policy.reach(&again, Right::Read, &name), Reach::Nothing);
    assert!(!registry.policy.sees(&again, "shop"));
}

#[tokio::test]
async fn grants_replace_each_other_by_place() {
    let Home { govern, dir: _dir, .. } = home().await;
    let (by, name) = (ann(), repo("shop/values"));
    govern.create_project(&by, "shop", &[], &[]).await.unwrap();
    govern.create_repository(&by, &name).await.unwrap();
    let bea = Subject::Person(person("bea"));
    let grants = async |right, paths: Option<&'static str>| {
        let document = govern.set_grant(&by, &name, &bea, right, paths).await?;
        Ok::<_, GovernError>(document.policy.grants.len())
    };
    assert_eq!(grants(Some(Right::Read), Some("/a/**")).await.unwrap(), 1);
    assert_eq!(grants(Some(Right::Write), Some("/a/**")).await.unwrap(), 1);
    assert_eq!(grants(Some(Right::Read), None).await.unwrap(), 2);
    assert_eq!(grants(None, Some("/a/**")).await.unwrap(), 1);
    assert!(matches!(grants(None, Some("/b")).await, Err(GovernError::NotFound { .. })));
    assert!(matches!(grants(Some(Right::Read), Some("/***")).await, Err(GovernError::Invalid(_))));
    let team = Subject::Team("nobody".into());
    let missing = govern.set_grant(&by, &name, &team, Some(Right::Read), None).await;
    assert!(matches!(missing, Err(GovernError::NotFound { what: "team", .. })));
    let policy = govern.registry().repository(&name).unwrap().policy.clone();
    assert_eq!(policy.member, RepositoryPolicy::default().member);
}

#[tokio::test]
async fn an_author_is_found_by_every_address_that_commits_carry() {
    let Home { govern, dir: _dir, .. } = home().await;
    let document = PersonDocument { emails: ["cy@example.com".into()].into(), ..guest("cy") };
    govern.put_person(&ann(), document).await.unwrap();
    let author = |mail: &str| govern.person_by_author(mail);
    assert_eq!(author("BO@example.com"), Some(person("bo")));
    assert_eq!(author("Cy@Example.com"), Some(person("cy")));
    assert_eq!(author("cy@convoy.invalid"), Some(person("cy")));
    assert_eq!(author("x@example.com"), None);
    // Nobody logs in with an address that was made up here.
    assert_eq!(govern.person_by_mail("cy@convoy.invalid"), None);
}
