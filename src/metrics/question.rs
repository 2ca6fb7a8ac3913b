//! What a query says of the stage and its nodes: `${name}` is filled in.
//!
//! Pure. A name that is not known is an error, not an empty text: a query that
//! selects nothing, or everything, would be judged as if it meant something.

use std::collections::BTreeMap;

use crate::model::did_you_mean;

/// How many bytes of node ids go into one query. Prometheus takes more, but a
/// fleet is better selected by a label.
const NODES_BYTES_MAX: usize = 64 << 10;

/// What may be filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<&'static str, Result<String, String>>);

/// Why a query can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownName(String);

impl Names {
    /// Adds a plain name: an id, a number.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: &str) -> Self {
        self.0.insert(name, Ok(quoted(text)));
        self
    }

    /// Adds nodes, to stand in `node=~"${nodes}"`: each is matched as it is
    /// written. No node matches nothing.
    #[must_use]
    pub fn with_nodes<'a>(
        mut self,
        name: &'static str,
        nodes: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let escaped: Vec<_> = nodes.into_iter().map(|id| quoted(&regex::escape(id))).collect();
        let text = escaped.join("|");
        let text = match (escaped.is_empty(), text.len() > NODES_BYTES_MAX) {
            // An empty pattern would match series that have no such label.
            (true, _) => Ok("no such node^".to_owned()),
            (_, true) => Err(format!(
                "${{{name}}} is {} node ids, too many for a query; select them by a label",
                escaped.len()
            )),
            _ => Ok(text),
        };
        self.0.insert(name, text);
        self
    }
}

/// `query` with every `${name}` filled in.
///
/// # Errors
/// A name is not known, or is not closed.
pub fn fill(query: &str, names: &Names) -> Result<String, UnknownName> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| UnknownName("`${` is not closed in the query".into()))?;
        let known = names.0.get(name).ok_or_else(|| unknown(name, names))?;
        filled.push_str(before);
        filled.push_str(known.as_ref().map_err(|error| UnknownName(error.clone()))?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn unknown(name: &str, names: &Names) -> UnknownName {
    let known: Vec<_> = names.0.keys().copied().collect();
    let hint =
        did_you_mean(name, &known).unwrap_or_else(|| format!("the names are {}", known.join(", ")));
    UnknownName(format!("the query says ${{{name}}}, which is not known; {hint}"))
}

/// A text as it stands between double quotes in PromQL.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::default().with("stage", "release").with_nodes("nodes", ["edge-1.eu", "a\"b"])
    }

    #[test]
    fn names_are_filled_in_as_promql_quotes_them() {
        let query = r#"sum(up{stage="${stage}", node=~"${nodes}"}) / ${stage}"#;
        let filled = fill(query, &names()).unwrap();
        assert_eq!(filled, r#"sum(up{stage="release", node=~"edge\\-1\\.eu|a\"b"}) / release"#);
        assert_eq!(fill("up", &names()).unwrap(), "up");
    }

    #[test]
    fn what_is_not_known_is_said() {
        let error = |query| fill(query, &names()).unwrap_err().to_string();
        let said = error("up{stage=\"${stag}\"}");
        assert!(
            said.starts_with("the query says ${stag}, which is not known; did you mean"),
            "{said}"
        );
        assert_eq!(error("up{stage=\"${stage"), "`${` is not closed in the query");
        assert!(
            error("${zzzzzz}").ends_with("the names are nodes, stage"),
            "{}",
            error("${zzzzzz}")
        );
    }

    #[test]
    fn nobody_matches_nothing_and_too_many_are_refused() {
        let nobody = Names::default().with_nodes("nodes", []);
        let pattern = fill("${nodes}", &nobody).unwrap();
        assert!(!regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(""));
        let many: Vec<_> = (0..5000).map(|n| format!("a-node-with-a-name-{n}")).collect();
        let many = Names::default().with_nodes("nodes", many.iter().map(String::as_str));
        let error = fill("up{node=~\"${nodes}\"}", &many).unwrap_err().to_string();
        assert!(error.contains("5000 node ids"), "{error}");
        assert!(fill("up", &many).is_ok(), "who does not ask for them is not concerned");
    }
}
