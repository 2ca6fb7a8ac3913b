//! Logging people in at an identity provider that signs with another
//! implementation, and everything that must not log anybody in.

use std::process::{Command, Stdio};

use reqwest::blocking::{Client, Response};
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use crate::harness::convoy::Convoy;
use crate::harness::process::Beside;

const SECRET: &str = "the-client's secret & more";
const BASE: &str = "https://convoy.test";
const CALLBACK: &str = "https://convoy.test/login/oidc/callback";

struct Home {
    convoy: Convoy,
    provider: String,
    client: Client,
    _beside: Beside,
}

impl Home {
    fn start(extra: &str) -> Self {
        let python = std::env::var("CONVOY_PY")
            .expect("CONVOY_PY must name a python that has joserfc (ci/test sets it up)");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/oidc_provider.py");
        let mut command = Command::new(python);
        command
            .args([script, "--client", "convoy", "--secret", SECRET, "--redirect", CALLBACK])
            .stdout(Stdio::piped());
        let mut beside = Beside::start(&mut command);
        let provider = format!("http://127.0.0.1:{}", beside.listening_port());
        let setup = Convoy::with().authenticated();
        let file = setup.secret("oidc", SECRET);
        let config = format!(
            "base_url: {BASE}\npeople:\n  - {{name: bob, emails: [bob@example.com], role: operator}}\n\
             auth:\n  oidc:\n    issuer: {provider}\n    name: Example\n    client_id: convoy\n    \
             client_secret_file: {}\n    teams_claim: groups\n{extra}",
            file.display()
        );
        let convoy = setup.config(&config).start();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().expect("a client can be made");
        Self { convoy, provider, client, _beside: beside }
    }

    /// How the next tokens are.
    fn control(&self, wanted: &Value) {
        let answer = self.client.post(format!("{}/control", self.provider));
        let answer = answer.body(wanted.to_string()).send().expect("the provider answers");
        assert!(answer.status().is_success());
    }

    fn get(&self, path: &str, cookies: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.convoy.url()));
        request.header(COOKIE, cookies).send().expect("the server answers")
    }

    /// Begins a login, and goes to the provider; gives where that sends the
    /// browser back to, and the cookie that it keeps.
    fn begin(&self, next: &str) -> (String, String) {
        let answer = self.get(&format!("/login/oidc?next={next}"), "");
        assert_eq!(answer.status(), 303);
        let cookie = cookies(answer.headers()).remove(0);
        let there = self.client.get(location(&answer)).send().expect("the provider answers");
        let back = location(&there);
        (back.strip_prefix(BASE).expect("our own address").to_owned(), cookie)
    }

    fn log_in(&self) -> Response {
        let (back, cookie) = self.begin("/nodes");
        self.get(&back, pair(&cookie))
    }

    /// The session of whoever the provider names.
    fn session(&self) -> String {
        let answer = self.log_in();
        assert_eq!(answer.status(), 200);
        let cookies = cookies(answer.headers());
        let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-convoy="));
        pair(session.expect("a session")).to_owned()
    }

    fn whoami(&self, session: &str) -> Value {
        let text = self.get("/api/v1/whoami", session).text().expect("text");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SET_COOKIE).iter();
    values.map(|value| value.to_str().expect("text").to_owned()).collect()
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().expect("a pair")
}

fn location(answer: &Response) -> String {
    answer.headers()[LOCATION].to_str().expect("text").to_owned()
}

#[test]
fn a_person_logs_in_acts_and_logs_out() {
    let home = Home::start("");
    let page = home.get("/login", "").text().expect("a page");
    assert!(page.contains("Sign in with Example") && page.contains("name=\"token\""), "{page}");
    home.control(&json!({ "claims": { "preferred_username": "bob", "groups": ["sre", "a b"] } }));
    let (back, cookie) = home.begin("/nodes%3Fstage%3Dbeta");
    for part in ["__Host-convoy-login=", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let answer = home.get(&back, pair(&cookie));
    assert_eq!(answer.status(), 200);
    let set = cookies(answer.headers());
    assert!(set.iter().any(|one| one.starts_with("__Host-convoy-login=;")), "{set:?}");
    let session = set.iter().find(|one| one.starts_with("__Host-convoy=")).expect("a session");
    assert!(session.contains("; SameSite=Strict") && session.contains("; Secure"), "{session}");
    let session = pair(session).to_owned();
    let page = answer.text().expect("a page");
    assert!(page.contains("url=&#x2f;nodes?stage=beta"), "{page}");
    let who = home.whoami(&session);
    assert_eq!((&who["person"], &who["role"]), (&json!("bob"), &json!("operator")));
    assert_eq!(home.get("/", &session).status(), 200);
    let page = home.get("/access", &session).text().expect("a page");
    let csrf =
        page.split("name=\"csrf\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let out = home.client.post(format!("{}/logout", home.convoy.url()));
    let out = out.header(COOKIE, &session).header("origin", BASE);
    let out = out.header("content-type", "application/x-www-form-urlencoded");
    let out = out.body(format!("csrf={}", csrf.expect("a token for forms"))).send();
    assert_eq!(out.expect("the server answers").status(), 303);
    assert_eq!(home.get("/api/v1/whoami", &session).status(), 401);
}

#[test]
fn who_comes_for_the_first_time_has_what_is_granted() {
    let home = Home::start("");
    let session = home.session();
    let who = home.whoami(&session);
    assert_eq!((&who["person"], &who["role"]), (&json!("ann"), &json!("guest")));
    assert_eq!(home.get("/nodes", &session).status(), 403);
    // Somebody known by a verified address only.
    let claims = json!({ "preferred_username": "not a name!", "email": "BOB@example.com" });
    home.control(&json!({ "claims": claims }));
    assert_eq!(home.whoami(&home.session())["person"], "bob");
}

#[test]
fn each_login_is_a_session_under_a_new_id() {
    let home = Home::start("");
    let first = home.session();
    let (back, cookie) = home.begin("/");
    let answer = home.get(&back, &format!("{}; {first}", pair(&cookie)));
    assert_eq!(answer.status(), 200);
    let set = cookies(answer.headers());
    let second = set.iter().find(|one| one.starts_with("__Host-convoy=")).expect("a session");
    assert_ne!(pair(second), first);
    assert_eq!(home.get("/api/v1/whoami", &first).status(), 401, "the old session is over");
}

#[test]
fn a_new_key_of_the_provider_is_fetched() {
    let home = Home::start("");
    home.session();
    home.control(&json!({ "rotate": true }));
    home.session();
}

#[test]
fn tokens_that_are_not_for_us_log_nobody_in() {
    let home = Home::start("");
    let claims = |claims: Value| json!({ "claims": claims });
    for wrong in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "stranger" }),
        claims(json!({ "iss": "https://evil.example" })),
        claims(json!({ "aud": "another" })),
        claims(json!({ "aud": ["convoy", "another"] })),
        claims(json!({ "nonce": "another" })),
        claims(json!({ "nonce": null })),
        claims(json!({ "exp": -3600 })),
        claims(json!({ "exp": null })),
        claims(json!({ "iat": -7200 })),
        claims(json!({ "iat": 7200, "exp": 9000 })),
        claims(json!({ "preferred_username": null, "email_verified": false })),
        claims(
            json!({ "preferred_username": null, "email": "bob@example.com", "email_verified": false }),
        ),
        claims(json!({ "preferred_username": "@convoy", "email": "x@example.com" })),
    ] {
        home.control(&wrong);
        let answer = home.log_in();
        assert_eq!(answer.status(), 401, "{wrong}");
        let set = cookies(answer.headers());
        assert!(!set.iter().any(|one| one.starts_with("__Host-convoy=")), "{wrong}: {set:?}");
        let page = answer.text().expect("a page");
        assert!(page.contains("log in again"), "{page}");
    }
    // A minute of difference between the clocks is nothing.
    home.control(&claims(json!({ "iat": 30, "exp": 60 })));
    home.session();
    assert!(!home.convoy.log().contains("the-client"), "the secret is in the log");
}

#[test]
fn answers_that_this_browser_did_not_ask_for_log_nobody_in() {
    let home = Home::start("");
    let (back, cookie) = home.begin("/");
    let (other_back, other_cookie) = home.begin("/");
    let (mine, other) = (pair(&cookie), pair(&other_cookie));
    let state =
        |back: &str| back.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let forged = back.replace(&state(&back), &state(&other_back));
    for (why, path, cookies) in [
        ("no cookie", back.as_str(), ""),
        ("another login's cookie", &back, other),
        ("a code of another login", &forged, other),
        ("no state", "/login/oidc/callback?code=x", mine),
        ("no code", &format!("/login/oidc/callback?state={}", state(&back)), mine),
        (
            "another issuer",
            &format!("/login/oidc/callback?code=x&state={}&iss=https://evil", state(&back)),
            mine,
        ),
        (
            "a refusal",
            &format!("/login/oidc/callback?error=%3Cscript%3E&state={}", state(&back)),
            mine,
        ),
        ("no cookie of ours", &back, "__Host-convoy-login=e30"),
        ("garbage", &back, "__Host-convoy-login=%%%"),
    ] {
        let answer = home.get(path, cookies);
        assert_eq!(answer.status(), 401, "{why}");
        assert!(!answer.text().expect("a page").contains("<script>"), "{why}");
    }
    // A code is good once.
    let (back, cookie) = home.begin("/");
    assert_eq!(home.get(&back, pair(&cookie)).status(), 200);
    assert_eq!(home.get(&back, pair(&cookie)).status(), 401);
}

#[test]
fn login_leads_to_our_own_pages_only() {
    let home = Home::start("");
    for evil in ["https://evil.example", "//evil.example", "/%5Cevil.example"] {
        let (back, cookie) = home.begin(evil);
        let page = home.get(&back, pair(&cookie)).text().expect("a page");
        assert!(page.contains("content=\"0;url=&#x2f;\""), "{evil}: {page}");
        assert!(!page.contains("evil"), "{page}");
    }
}

#[test]
fn a_provider_that_is_down_stops_logins_and_nothing_else() {
    let token = "  tokens:\n    - {name: boss, role: admin, person: bo, sha256: \
                 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8}\n";
    let mut home = Home::start(token);
    home._beside.child.kill().expect("the provider can be killed");
    let answer = home.get("/login/oidc", "");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().expect("a page").contains("identity provider"));
    let request = home.client.get(format!("{}/api/v1/whoami", home.convoy.url()));
    let answer = request.bearer_auth("password").send().expect("the server answers");
    assert_eq!(answer.status(), 200);
}
