//! The whole of Slack against a real server, over HTTP and in Socket Mode by
//! the same tests.

use serde_json::{Value, json};

use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::slack::{BOT_TOKEN, FakeSlack, Way, confirming, unique};
use crate::harness::upstream::{ADA, Upstream};

const STAGES: &str = "stages:\n  - {name: beta, auto: true}\n  - {name: staging, approvals: 1}\n  \
                      - {name: release, approvals: 1}\n";
const CLUSTER: &str = "name: users\nconnect_timeout: 1s\n\
                       load_assignment: {cluster_name: users}\noutlier_detection: {}\n";
const WAYS: [Way; 2] = [Way::Http, Way::Socket];

/// A pipeline of three stages, with Slack beside it.
struct Office {
    slack: FakeSlack,
    convoy: Convoy,
    way: Way,
    upstream: Upstream,
}

impl Office {
    fn open(way: Way) -> Self {
        Self::with(way, "")
    }

    fn with(way: Way, more: &str) -> Self {
        let (upstream, slack) = (Upstream::start(), FakeSlack::start());
        let files = [("convoy.yaml", STAGES), ("resources/clusters/a.yaml", CLUSTER)];
        let first = upstream.commit(&files, "Retry <!channel> & more", ADA).to_string();
        let setup = Convoy::with().upstream(&upstream.file_url(), "1s").people();
        let setup = match way {
            Way::Http => setup.slack(&slack.url()),
            Way::Socket => setup.slack_socket(&slack.url()),
        };
        let convoy = setup.config(more).start();
        convoy.wait_served("beta", &first);
        Self { slack, convoy, way, upstream }
    }

    fn say(&self, user: &str, text: &str) -> String {
        let answer = self.slack.say(&self.convoy, self.way, user, text);
        answer["text"].as_str().unwrap_or_else(|| panic!("{text}: {answer}")).to_owned()
    }

    /// Types a line and confirms its preview.
    fn do_it(&self, user: &str, text: &str) -> String {
        let preview = self.slack.say(&self.convoy, self.way, user, text);
        self.press(user, "confirm", &confirming(&preview))
    }

    fn press(&self, user: &str, action: &str, value: &str) -> String {
        let told = self.slack.press(&self.convoy, self.way, user, (action, value));
        told["text"].as_str().unwrap_or_else(|| panic!("{action}: {told}")).to_owned()
    }

    /// The one open promotion of a stage, and the value of its buttons.
    fn open_one(&self, stage: &str) -> (String, String) {
        wait_for("the request", || {
            let card = self.convoy.stage(stage)?;
            let open = card["open"].get(0).ok_or_else(|| card.to_string())?;
            let (id, plan) = (open["id"].as_str().unwrap(), open["plan"].as_str().unwrap());
            Ok((id.to_owned(), format!("v1.{id}.{}", &plan[..12])))
        })
    }

    /// The card of a promotion, once it says `part`, and its thread.
    fn card(&self, channel: &str, id: &str, part: &str) -> (Value, Vec<Value>) {
        wait_for(&format!("the card of {id} to say {part}"), || {
            let (roots, threads) = self.slack.channel(channel);
            let of = |one: &&Value| one["text"].as_str().is_some_and(|text| text.contains(id));
            let mut cards = roots.iter().filter(of);
            match (cards.next(), cards.next()) {
                (Some(card), None) if card.to_string().contains(part) => {
                    let root = &card["ts"];
                    let own = threads.into_iter().filter(|one| &one["thread_ts"] == root);
                    Ok((card.clone(), own.collect()))
                }
                (Some(_), Some(_)) => panic!("two cards: {roots:?}"),
                _ => Err(format!("{roots:?}")),
            }
        })
    }

    fn served(&self, stage: &str) -> Value {
        self.convoy.stage(stage).unwrap()["live"].clone()
    }
}

#[test]
fn a_promotion_goes_from_request_to_card_to_release_whichever_way_slack_comes() {
    for way in WAYS {
        let office = Office::open(way);
        let preview = office.slack.say(&office.convoy, way, "U0BOB", "promote latest to staging");
        assert!(preview.to_string().contains("`latest` is"), "{preview}");
        let token = confirming(&preview);
        let other = office.press("U0CLEO", "confirm", &token);
        assert!(other.contains("only the person who typed"), "{other}");
        assert_eq!(office.convoy.stage("staging").unwrap()["open"], json!([]));
        office.press("U0BOB", "confirm", &token);
        let (id, value) = office.open_one("staging");
        let (card, _) = office.card("C0MESH", &id, "\"approve\"");
        assert!(!card.to_string().contains("<!channel>"), "{card}");
        office.press("U0CLEO", "approve", &value);
        let (card, _) = office.card("C0MESH", &id, "Succeeded");
        assert!(!card.to_string().contains("\"button\""), "{card}");
        wait_for("the thread to tell of the vote and the end", || {
            let (_, thread) = office.card("C0MESH", &id, "Succeeded");
            let said = format!("{thread:?}");
            let told = said.contains("*cleo* approved") && said.contains("Succeeded");
            if told { Ok(()) } else { Err(said) }
        });
        release_asks_for_its_name(&office);
    }
}

fn release_asks_for_its_name(office: &Office) {
    let (slack, convoy, way) = (&office.slack, &office.convoy, office.way);
    office.do_it("U0BOB", "promote staging to release --reason \"next\"");
    let (id, value) = office.open_one("release");
    let form = slack.opens(convoy, way, "U0CLEO", ("approve", &value));
    assert!(form.to_string().contains("Type the stage's name: release"), "{form}");
    let wrong = [("typed", "staging"), ("reason", "it is time")];
    let told = slack.submit(convoy, way, "U0CLEO", &form, &wrong);
    assert_eq!(told["response_action"], "errors", "{told}");
    assert!(told["errors"]["typed"].as_str().unwrap().contains("release"), "{told}");
    assert_eq!(office.served("release"), Value::Null);
    let right = [("typed", "release"), ("reason", "it is time")];
    // An author's yes counts for nothing, also in a form.
    let told = slack.submit(convoy, way, "U0ANN", &form, &right);
    assert!(told.to_string().contains("is an author of"), "{told}");
    assert_eq!(slack.submit(convoy, way, "U0CLEO", &form, &right), Value::Null);
    office.card("C0MESH", &id, "Succeeded");
    let votes = convoy.get(&format!("/promotions/{id}"))["promotion"]["approvals"].clone();
    assert_eq!(votes.as_array().map(Vec::len), Some(1), "{votes}");
    assert_eq!(votes[0]["note"], "it is time");
}

#[test]
fn what_changes_and_what_it_does_is_told_before_every_yes() {
    let office = Office::open(Way::Http);
    let (slack, convoy, way) = (&office.slack, &office.convoy, office.way);
    office.do_it("U0BOB", "promote latest to staging");
    let (id, value) = office.open_one("staging");
    office.press("U0CLEO", "approve", &value);
    office.card("C0MESH", &id, "Succeeded");
    let slower = CLUSTER.replace("1s", "3s");
    let files = [("resources/clusters/a.yaml", slower.as_str())];
    let second = office.upstream.commit(&files, "Wait longer", ADA).to_string();
    convoy.wait_served("beta", &second);
    let change = "cluster users: connect_timeout: 1s → 3s";
    let effect = "makes the cluster anew";
    let said = office.say("U0BOB", "diff staging beta");
    assert!(said.contains(change) && said.contains(effect), "{said}");
    assert!(said.contains("No connected node takes it now"), "{said}");
    let preview = slack.say(convoy, way, "U0BOB", "promote beta to staging");
    let shown = preview.to_string();
    assert!(shown.contains(change) && shown.contains(effect), "{shown}");
    office.press("U0BOB", "confirm", &confirming(&preview));
    let (id, value) = office.open_one("staging");
    let (card, _) = office.card("C0MESH", &id, change);
    assert!(card.to_string().contains(effect), "{card}");
    let blind = office.say("U0CLEO", &format!("approve {id}"));
    assert!(blind.contains("does not say to which plan") && blind.contains(change), "{blind}");
    let form = slack.opens(convoy, way, "U0CLEO", ("approve_note", &value));
    assert!(form.to_string().contains(change), "{form}");
    office.press("U0CLEO", "approve", &value);
    let (card, _) = office.card("C0MESH", &id, "Succeeded");
    assert!(!card.to_string().contains(change), "{card}");
}

#[test]
fn a_no_names_its_reason_in_a_form_or_by_text() {
    for way in WAYS {
        let office = Office::open(way);
        office.do_it("U0BOB", "promote beta to staging");
        let (id, value) = office.open_one("staging");
        let form = office.slack.opens(&office.convoy, way, "U0CLEO", ("reject", &value));
        let told = office.slack.submit(&office.convoy, way, "U0CLEO", &form, &[]);
        assert!(told["errors"]["reason"].is_string(), "{told}");
        let why = [("reason", "the timeout <is> too short")];
        assert_eq!(office.slack.submit(&office.convoy, way, "U0CLEO", &form, &why), Value::Null);
        let (card, _) = office.card("C0MESH", &id, "ejected");
        assert!(card.to_string().contains("the timeout &lt;is&gt; too short"), "{card}");
        let late = office.say("U0CLEO", &format!("approve {id} {}", &value[value.len() - 12..]));
        assert!(late.contains("Not approved") && late.contains("[t-"), "{late}");
    }
}

#[test]
fn home_page_mention_and_shortcut_lead_to_the_same_promotion() {
    for way in WAYS {
        let office = Office::open(way);
        let form = office.slack.shortcut(&office.convoy, way, "U0BOB", "promote_open");
        let bundle = office.convoy.stage("beta").unwrap()["live"]["bundle"].clone();
        let bundle = bundle.as_str().map(str::to_owned).unwrap_or_else(|| {
            let all = office.convoy.get("/repos/mesh/config/bundles");
            all["bundles"][0]["id"].as_str().unwrap().to_owned()
        });
        let filled = [("stage", "mesh/config staging"), ("bundle", &bundle), ("reason", "asked")];
        let told = office.slack.submit(&office.convoy, way, "U0BOB", &form, &filled);
        assert_eq!(told, Value::Null);
        let (id, _) = office.open_one("staging");
        let opened = json!({"type": "app_home_opened", "user": "U0CLEO", "tab": "home"});
        let before = office.slack.homes();
        let event = unique();
        // Delivered three times, as Slack does without an answer.
        for _ in 0..3 {
            office.slack.event(&office.convoy, way, &event, &opened);
        }
        let page = office.slack.next_home(before).to_string();
        assert!(page.contains(&id) && page.contains("\"approve\""), "{page}");
        let mention = json!({
            "type": "app_mention", "user": "U0CLEO", "channel": "C0TALK", "ts": "5.1",
            "text": format!("<@UCONVOY> why {id} --here"),
        });
        office.slack.event(&office.convoy, way, &unique(), &mention);
        wait_for("the mention to be answered in its thread", || {
            let (_, threads) = office.slack.channel("C0TALK");
            let said = threads.iter().find(|one| one["thread_ts"] == "5.1");
            let said = said.filter(|one| one.to_string().contains(&id));
            said.map(|_| ()).ok_or_else(|| format!("{:?}", office.slack.log()))
        });
        assert_eq!(office.slack.homes(), before + 1);
    }
}

#[test]
fn two_hundred_clicks_at_once_are_one_vote() {
    let office = Office::open(Way::Http);
    office.do_it("U0BOB", "promote beta to staging");
    let (id, value) = office.open_one("staging");
    std::thread::scope(|scope| {
        for n in 0..20 {
            let (slack, convoy, value) = (&office.slack, &office.convoy, &value);
            scope.spawn(move || {
                for m in 0..10 {
                    let at = format!("{n}.{m}");
                    let (status, _) = slack.click(convoy, "U0CLEO", "approve", value, &at);
                    assert_eq!(status, 200);
                }
            });
        }
    });
    office.card("C0MESH", &id, "Succeeded");
    let votes = office.convoy.get(&format!("/promotions/{id}"))["promotion"]["approvals"].clone();
    assert_eq!(votes.as_array().map(Vec::len), Some(1), "{votes}");
}

#[test]
fn a_stranger_links_themselves_and_then_decides() {
    let office = Office::open(Way::Http);
    let refused = office.say("U0NEW", "promote beta to staging");
    assert!(refused.contains("is not a person"), "{refused}");
    let said = office.say("U0NEW", "link");
    let token = said.split("token=").nth(1).and_then(|rest| rest.split('|').next()).unwrap();
    let page = office.convoy.try_get(&format!("/slack/link?token={token}")).unwrap();
    let page = page.as_str().unwrap();
    assert!(page.contains("U0NEW"), "{page}");
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let fields = [("csrf", csrf.unwrap()), ("token", token), ("person", "dan")];
    let body = crate::harness::slack::form(&fields);
    let post = || {
        let request = reqwest::blocking::Client::new()
            .post(format!("{}/slack/link", office.convoy.url()))
            .header("origin", office.convoy.url())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.clone());
        let answer = request.send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    let (status, done) = post();
    assert!(status == 200 && done.contains("dan"), "{status} {done}");
    let (status, again) = post();
    assert!(status != 200 && again.contains("used before"), "{status} {again}");
    let known = office.say("U0NEW", "whoami");
    assert!(known.contains("*dan*"), "{known}");
    office.do_it("U0NEW", "promote beta to staging");
    office.open_one("staging");
}

#[test]
fn a_channel_that_subscribed_gets_a_card_of_its_own() {
    let office = Office::open(Way::Http);
    for (channel, text, part) in [
        ("C0OTHER", "subscribe staging", "hears of staging"),
        ("C0ENDS", "subscribe staging ended", "hears of staging"),
        ("C0LEFT", "subscribe staging", "hears of staging"),
        ("C0LEFT", "unsubscribe staging", "hears no more of staging"),
    ] {
        let said = office.slack.say_in(&office.convoy, channel, "U0BOB", text).to_string();
        assert!(said.contains(part), "{said}");
    }
    office.do_it("U0BOB", "promote beta to staging");
    let (id, value) = office.open_one("staging");
    office.card("C0MESH", &id, "\"approve\"");
    office.card("C0OTHER", &id, "\"approve\"");
    assert_eq!(office.slack.channel("C0ENDS").0, Vec::<Value>::new());
    office.press("U0CLEO", "approve", &value);
    for channel in ["C0MESH", "C0OTHER", "C0ENDS"] {
        office.card(channel, &id, "Succeeded");
    }
    assert_eq!(office.slack.channel("C0LEFT").0, Vec::<Value>::new());
}

#[test]
fn while_slack_is_down_promotions_go_on_and_cards_catch_up() {
    let office = Office::open(Way::Http);
    // Everything fails; the first of it is done all the same.
    let posts = json!({"method": "chat.postMessage", "status": 500, "done": true, "count": 1});
    office.slack.fail(&posts);
    office.slack.fail(&json!({"method": "*", "status": 503, "count": 1}));
    let body = json!({"stage": "staging", "bundle": "beta", "reason": "while it is down"});
    let (status, answer) = office.convoy.post("bob", "/repos/mesh/config/promotions", &body);
    assert!(status < 300, "{answer}");
    let id = answer["promotion"]["id"].as_str().unwrap().to_owned();
    let plan = answer["promotion"]["plan"]["digest"].as_str().unwrap()[..12].to_owned();
    let approve = format!("/promotions/{id}/approve");
    let (status, answer) = office.convoy.post("cleo", &approve, &json!({"plan": plan}));
    assert!(status < 300, "{answer}");
    wait_for("staging to be served", || {
        let live = office.served("staging");
        if live.is_null() { Err(live.to_string()) } else { Ok(()) }
    });
    let (card, _) = office.card("C0MESH", &id, "Succeeded");
    assert!(!card.to_string().contains("\"button\""), "{card}");
}

#[test]
fn a_card_survives_kill_nine_and_its_deletion() {
    let mut office = Office::open(Way::Http);
    office.do_it("U0BOB", "promote beta to staging");
    let (id, value) = office.open_one("staging");
    let (card, _) = office.card("C0MESH", &id, "\"approve\"");
    office.convoy.kill();
    office.convoy.start_again();
    // One card still: it was found again, or was known.
    let (same, _) = office.card("C0MESH", &id, "\"approve\"");
    assert_eq!(same["ts"], card["ts"]);
    let delete = json!({"channel": "C0MESH", "ts": card["ts"]});
    office.slack.exchange("POST", "/_delete", &delete);
    office.press("U0CLEO", "approve", &value);
    // In the thread of the deleted one; or, where the kill came before the place
    // was written down, on its own: what was deleted can't be found.
    wait_for("a new card instead of the deleted one", || {
        let (roots, threads) = office.slack.channel("C0MESH");
        let of = |one: &&Value| {
            let in_place = one["thread_ts"] == card["ts"] || one["thread_ts"].is_null();
            in_place && one["text"].to_string().contains(&id)
        };
        let all = roots.iter().chain(&threads).filter(of);
        let found: Vec<_> =
            all.filter(|one| one["blocks"].to_string().contains("header")).collect();
        match found.as_slice() {
            [one] if one.to_string().contains("Succeeded") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn a_connection_that_slack_takes_back_is_followed_by_another() {
    let office = Office::open(Way::Socket);
    let sockets = || office.slack.exchange("GET", "/_sockets", &Value::Null);
    wait_for("two connections", || {
        let count = sockets();
        if count["open"] == 2 { Ok(()) } else { Err(count.to_string()) }
    });
    let bye = json!({"type": "disconnect", "reason": "refresh_requested"});
    for _ in 0..3 {
        let opened = sockets()["opened"].as_u64().unwrap();
        office.slack.exchange("POST", "/_socket", &bye);
        wait_for("another connection", || {
            let count = sockets();
            let more = count["opened"].as_u64().unwrap() > opened && count["open"] == 2;
            if more { Ok(()) } else { Err(count.to_string()) }
        });
    }
    // What is unknown is acknowledged, and nothing breaks.
    let ack = office.slack.envelope("something_new", json!({"shiny": [1]}));
    assert!(ack["envelope_id"].is_string(), "{ack}");
    let broken = office.slack.envelope("slash_commands", json!({"text": 7}));
    assert!(broken["envelope_id"].is_string(), "{broken}");
    assert!(office.say("U0BOB", "status").contains("beta serves"));
    let log = office.convoy.log();
    assert!(
        !log.contains("ticket=") && !log.contains("xapp-") && !log.contains(BOT_TOKEN),
        "{log}"
    );
}

#[test]
fn an_approval_that_is_missing_is_asked_for_again_once() {
    let office = Office::with(Way::Http, "  remind_after: 1s\n  escalate_to: S0ONCALL\n");
    office.do_it("U0BOB", "promote beta to staging");
    let (id, _) = office.open_one("staging");
    wait_for("the reminder and the escalation", || {
        let (_, thread) = office.card("C0MESH", &id, "\"approve\"");
        let said = format!("{thread:?}");
        let both = said.contains("Waiting since") && said.contains("<!subteam^S0ONCALL>");
        if both { Ok(()) } else { Err(said) }
    });
    let (_, thread) = office.card("C0MESH", &id, "\"approve\"");
    assert_eq!(thread.len(), 2, "{thread:?}");
}
