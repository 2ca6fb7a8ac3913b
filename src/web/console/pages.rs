//! Templates to HTML. Everything is escaped by default; the only text that is
//! not comes from filters here that escape what they are given.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::response::Html;
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{Environment, HtmlEscape, State, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::assets;
use crate::config::Role;
use crate::telemetry::clock;
use crate::web::auth::{Caller, Proof};
use crate::web::error::Fault;
use crate::web::extract::{encode_path, encode_query};

/// Every page's template.
#[derive(Debug)]
pub(crate) struct Pages {
    env: Environment<'static>,
    assets: BTreeMap<String, String>,
}

/// What every page shows around its content.
#[derive(Debug, Serialize)]
struct Frame {
    now_ms: i64,
    who: Option<Who>,
    csrf: String,
    assets: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Who {
    name: String,
    person: Option<String>,
    role: String,
    /// Open development mode: nobody was asked who they are.
    open: bool,
    can_operate: bool,
    can_admin: bool,
}

impl Pages {
    /// Sets the templates up; each is read when it is first used.
    pub(crate) fn load() -> Self {
        let mut env = Environment::new();
        env.set_loader(|name| Ok(assets::text(name)));
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        env.add_filter("when", when);
        env.add_filter("ticks", ticks);
        env.add_filter("path", |text: &str| encode_path(text));
        env.add_filter("query", |text: &str| encode_query(text));
        Self { env, assets: assets::addresses() }
    }

    /// The page `name` for `caller`.
    pub(crate) fn render(
        &self,
        name: &str,
        caller: Option<&Caller>,
        page: impl Serialize,
    ) -> Result<Html<String>, Fault> {
        let made = self.make(name, caller, Value::from(Serde(page)));
        made.map(Html).map_err(|error| Fault::internal(&error))
    }

    /// The page that shows a fault. Never fails: without its template there
    /// is a plainer one.
    pub(crate) fn fault(&self, fault: &Fault, id: &str, caller: Option<&Caller>) -> String {
        let page = context! {
            status => fault.status.as_u16(),
            code => fault.code,
            message => fault.message.as_str(),
            hint => fault.hint.as_str(),
            request_id => id,
        };
        self.make("fault.html", caller, page).unwrap_or_else(|error| {
            tracing::error!(%error, "the error page can't be made");
            format!("<!doctype html><title>Error</title><p>{}</p>", HtmlEscape(&fault.message))
        })
    }

    fn make(
        &self,
        name: &str,
        caller: Option<&Caller>,
        page: Value,
    ) -> Result<String, minijinja::Error> {
        let frame = Frame {
            now_ms: clock::now().as_millisecond(),
            who: caller.map(Who::of),
            csrf: caller.map(|caller| caller.csrf().into()).unwrap_or_default(),
            assets: self.assets.clone(),
        };
        let frame = Value::from(Serde(frame));
        self.env.get_template(name)?.render(context! { page, frame })
    }
}

impl Who {
    fn of(caller: &Caller) -> Self {
        Self {
            name: caller.name.clone(),
            person: caller.person.as_ref().map(ToString::to_string),
            role: caller.role.to_string(),
            open: matches!(caller.proof, Proof::Open { .. }),
            can_operate: caller.role.covers(Role::Operator),
            can_admin: caller.role.covers(Role::Admin),
        }
    }
}

/// A moment as `<time>`: relative for people, exact for machines.
fn when(state: &State<'_, '_>, moment: &str) -> Value {
    let Ok(time) = moment.parse::<Timestamp>() else { return Value::from(moment) };
    let frame = state.lookup("frame").unwrap_or_default();
    let now_ms = frame.get_attr("now_ms").ok().and_then(|now| i64::try_from(now).ok());
    let ago = now_ms.map_or_else(String::new, |now| relative((now - time.as_millisecond()) / 1000));
    let exact = time.strftime("%Y-%m-%d %H:%M:%S UTC");
    Value::from_safe_string(format!(r#"<time datetime="{time}" title="{exact}">{ago}</time>"#))
}

/// A text whose `quoted` parts are set as code.
fn ticks(text: &str) -> Value {
    let parts: Vec<_> = text.split('`').collect();
    // An odd number of marks leaves the last one as it is.
    let paired = parts.len() - 1 + parts.len() % 2;
    let mut html = String::with_capacity(text.len() + 32);
    for (at, part) in parts.iter().enumerate() {
        let part = HtmlEscape(part);
        let _ = match at {
            _ if at >= paired => write!(html, "`{part}"),
            _ if at % 2 == 1 => write!(html, "<code>{part}</code>"),
            _ => write!(html, "{part}"),
        };
    }
    Value::from_safe_string(html)
}

fn relative(seconds: i64) -> String {
    match seconds {
        ..5 => "just now".into(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "1 day ago".into(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Person;

    pub(crate) fn caller() -> Caller {
        Caller {
            name: "ann-token".into(),
            person: Person::new("ann").ok(),
            role: Role::Admin,
            proof: Proof::Open { csrf: "c5rf".into() },
            token: None,
            teams: Default::default(),
            bearer: None,
            request: None,
        }
    }

    /// Renders a page as an administrator in open development mode. Slashes,
    /// which are escaped in attributes, are put back for easier reading.
    pub(crate) fn page(name: &str, page: impl Serialize) -> String {
        let html = Pages::load().render(name, Some(&caller()), page).expect("a page").0;
        html.replace("&#x2f;", "/")
    }

    #[test]
    fn every_template_compiles() {
        let pages = Pages::load();
        let names: Vec<_> = assets::names().filter(|name| name.ends_with(".html")).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            if let Err(error) = pages.env.get_template(&name) {
                panic!("{name}: {error:#}");
            }
        }
    }

    #[test]
    fn a_fault_is_escaped_and_carries_its_id() {
        let html = Pages::load().fault(&Fault::not_found("<script>", "look"), "id-1", None);
        assert!(html.contains("&lt;script&gt;") && html.contains("id-1"), "{html}");
    }

    #[test]
    fn quoted_parts_are_set_as_code() {
        for (text, html) in [
            ("no `a<b` here", "no <code>a&lt;b</code> here"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
            ("a lone ` mark", "a lone ` mark"),
            ("`a` and a ` mark", "<code>a</code> and a ` mark"),
            ("", ""),
        ] {
            assert_eq!(ticks(text).to_string(), html, "{text}");
        }
    }

    #[test]
    fn moments_are_told_as_distances() {
        for (seconds, text) in [
            (-10, "just now"),
            (59, "59 s ago"),
            (3599, "59 min ago"),
            (86_399, "23 h ago"),
            (86_400, "1 day ago"),
            (864_000, "10 days ago"),
        ] {
            assert_eq!(relative(seconds), text);
        }
    }

    #[test]
    fn no_page_carries_scripts_or_styles_inline() {
        for name in assets::names().filter(|name| name.ends_with(".html")) {
            let text = assets::text(&name).expect("a template");
            for banned in ["<style", "style=\"", "onclick", "onload", "javascript:", "|safe"] {
                assert!(!text.contains(banned), "{name} has {banned}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.starts_with(" src="), "{name}: {script}");
            }
        }
    }
}
