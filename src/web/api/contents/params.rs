//! A query's parameters that may come several times, whose order may count,
//! and whose mistakes are named.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::model::suggestion;
use crate::web::error::Fault;

/// No request has more parameters.
const PARAMS_MAX: usize = 1000;

/// The parameters as they came.
#[derive(Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query()))
    }
}

impl Params {
    fn of(query: Option<&str>) -> Self {
        let Some(query) = query else { return Self::default() };
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self { pairs: pairs.take(PARAMS_MAX + 1).collect() }
    }

    /// Refuses parameters that are not among `known`.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Fault> {
        if self.pairs.len() > PARAMS_MAX {
            return Err(Fault::invalid("the query has more than 1,000 parameters", "send fewer"));
        }
        let stranger = self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str()));
        match stranger {
            None => Ok(self),
            Some((name, _)) => {
                let message = format!("there is no parameter `{name}` here");
                Err(Fault::invalid(message, suggestion(name, known)))
            }
        }
    }

    /// The parameters, in their order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every value of a parameter, in their order.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let named = self.pairs.iter().filter(|(one, _)| one == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    /// The value of a parameter that may come once.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut named = self.pairs().filter(|(one, _)| *one == name);
        match (named.next(), named.next()) {
            (found, None) => Ok(found.map(|(_, value)| value)),
            _ => Err(Fault::invalid(format!("`{name}` is given twice"), "give it once")),
        }
    }

    /// The parsed value of a parameter that may come once.
    pub(super) fn value<T>(&self, name: &str) -> Result<Option<T>, Fault>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = text.parse();
        parsed.map(Some).map_err(|error| Fault::invalid(format!("`{name}`: {error}"), ""))
    }

    /// A switch: absent or `0` or `false`, or there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(Fault::invalid(format!("`{name}` is `{other}`"), "write 1 or 0")),
        }
    }

    /// A number within bounds; larger ones are cut to `max`.
    pub(super) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Fault> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(count) if count > 0 => Ok(count.min(max)),
            _ => {
                let message = format!("`{name}` is `{text}`, not a number from 1 on");
                Err(Fault::invalid(message, format!("at most {max} count")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_may_come_several_times_and_keeps_its_order() {
        let params = Params::of(Some("path=a&optional=b%20c&path=%C3%BC"));
        assert_eq!(params.all("path"), ["a", "ü"]);
        let pairs: Vec<_> = params.pairs().collect();
        assert_eq!(pairs, [("path", "a"), ("optional", "b c"), ("path", "ü")]);
        assert!(params.text("path").is_err());
    }

    #[test]
    fn an_unknown_parameter_is_named_with_what_was_meant() {
        let fault = Params::of(Some("revison=3")).only(&["revision", "pattern"]).expect_err("no");
        assert!(fault.message.contains("`revison`") && fault.hint.contains("`revision`"));
    }

    #[test]
    fn switches_and_numbers_say_what_they_take() {
        let params = Params::of(Some("a&b=0&c=maybe&n=5000&z=0&m=-1"));
        assert_eq!((params.flag("a").ok(), params.flag("b").ok()), (Some(true), Some(false)));
        assert!(params.flag("c").is_err());
        assert_eq!(params.count("n", 50, 1000).ok(), Some(1000));
        assert!(params.count("z", 50, 1000).is_err() && params.count("m", 50, 1000).is_err());
    }
}
