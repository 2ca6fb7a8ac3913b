//! Which nodes a question is about: `NodeMatcher`s, as Envoy defines them, over
//! what is kept of a node: its id, and the scalar fields at the top of its
//! metadata, as text. Pure.

use envoy_types::pb::envoy::r#type::matcher::v3::double_matcher::MatchPattern as DoublePattern;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::struct_matcher::path_segment::Segment;
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern as ValuePattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    NodeMatcher, StringMatcher, StructMatcher, ValueMatcher,
};

use crate::model::NodeIdentity;

/// How many matchers one question may have.
const MATCHERS_MAX: usize = 100;
/// How deep matchers may be within one another.
const DEPTH_MAX: usize = 8;
/// How large a compiled regular expression may be.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Whether `matchers` can be asked at all.
pub(super) fn check(matchers: &[NodeMatcher]) -> Result<(), String> {
    if matchers.len() > MATCHERS_MAX {
        return Err(format!("node_matchers: at most {MATCHERS_MAX} are taken"));
    }
    for id in matchers.iter().filter_map(|one| one.node_id.as_ref()) {
        text_matches(id, "")?;
    }
    for metadata in matchers.iter().flat_map(|one| &one.node_metadatas) {
        if let Some(value) = &metadata.value {
            value_matches(value, Some(""), 0)?;
        }
    }
    Ok(())
}

/// Whether any of `matchers` is for `node`; without any, all nodes are meant.
pub(super) fn matches(matchers: &[NodeMatcher], node: &NodeIdentity) -> bool {
    let whole = |matcher: &NodeMatcher| {
        let id = matcher.node_id.as_ref();
        id.is_none_or(|id| text_matches(id, &node.id.0).unwrap_or(false))
            && matcher.node_metadatas.iter().all(|one| metadata_matches(one, node))
    };
    matchers.is_empty() || matchers.iter().any(whole)
}

fn metadata_matches(matcher: &StructMatcher, node: &NodeIdentity) -> bool {
    let key = match matcher.path.as_slice() {
        [only] => only.segment.as_ref(),
        _ => None,
    };
    let held = key.and_then(|Segment::Key(key)| node.metadata.get(key)).map(String::as_str);
    let value = matcher.value.as_ref();
    value.is_some_and(|value| value_matches(value, held, 0).unwrap_or(false))
}

fn value_matches(matcher: &ValueMatcher, held: Option<&str>, depth: usize) -> Result<bool, String> {
    if depth > DEPTH_MAX {
        return Err(format!("node_metadatas: matchers are nested deeper than {DEPTH_MAX}"));
    }
    let Some(pattern) = &matcher.match_pattern else { return Ok(false) };
    Ok(match pattern {
        ValuePattern::PresentMatch(present) => held.is_some() == *present,
        ValuePattern::StringMatch(text) => match held {
            Some(held) => text_matches(text, held)?,
            None => false,
        },
        ValuePattern::BoolMatch(truth) => held == Some(if *truth { "true" } else { "false" }),
        ValuePattern::DoubleMatch(number) => {
            let held = held.and_then(|held| held.parse::<f64>().ok());
            let pattern = number.match_pattern.as_ref();
            held.zip(pattern).is_some_and(|(held, pattern)| match pattern {
                DoublePattern::Exact(exact) => held == *exact,
                DoublePattern::Range(range) => held >= range.start && held < range.end,
            })
        }
        ValuePattern::OrMatch(any) => {
            let mut found = false;
            for one in any.value_matchers.iter().take(MATCHERS_MAX) {
                found |= value_matches(one, held, depth + 1)?;
            }
            found
        }
        // Fields that are no scalars are not kept.
        ValuePattern::NullMatch(_) | ValuePattern::ListMatch(_) => false,
    })
}

fn text_matches(matcher: &StringMatcher, held: &str) -> Result<bool, String> {
    let fold = |text: &str| match matcher.ignore_case {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let held_folded = fold(held);
    let Some(pattern) = &matcher.match_pattern else { return Ok(false) };
    Ok(match pattern {
        MatchPattern::Exact(text) => held_folded == fold(text),
        MatchPattern::Prefix(text) => held_folded.starts_with(&fold(text)),
        MatchPattern::Suffix(text) => held_folded.ends_with(&fold(text)),
        MatchPattern::Contains(text) => held_folded.contains(&fold(text)),
        MatchPattern::SafeRegex(regex) => {
            let built = regex::RegexBuilder::new(&format!("^(?:{})$", regex.regex))
                .size_limit(REGEX_BYTES_MAX)
                .build();
            built
                .map_err(|error| format!("node_matchers: `{}`: {error}", regex.regex))?
                .is_match(held)
        }
        MatchPattern::Custom(_) => {
            return Err("node_matchers: custom string matchers are not known here".into());
        }
    })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
    use envoy_types::pb::envoy::r#type::matcher::v3::struct_matcher::PathSegment;

    use super::*;
    use crate::model::NodeId;

    fn node(id: &str, stage: &str) -> NodeIdentity {
        NodeIdentity {
            id: NodeId(id.into()),
            cluster: "web".into(),
            metadata: [("stage".to_owned(), stage.to_owned())].into(),
            envoy_version: None,
            locality: String::new(),
        }
    }

    fn text(pattern: MatchPattern) -> StringMatcher {
        StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
    }

    fn id(pattern: MatchPattern) -> NodeMatcher {
        NodeMatcher { node_id: Some(text(pattern)), node_metadatas: Vec::new() }
    }

    fn regex(text: &str) -> MatchPattern {
        MatchPattern::SafeRegex(RegexMatcher { regex: text.into(), ..RegexMatcher::default() })
    }

    fn field(key: &str, pattern: ValuePattern) -> StructMatcher {
        let path = vec![PathSegment { segment: Some(Segment::Key(key.into())) }];
        StructMatcher { path, value: Some(ValueMatcher { match_pattern: Some(pattern) }) }
    }

    #[test]
    fn without_matchers_every_node_is_meant() {
        assert!(matches(&[], &node("a", "beta")));
    }

    #[test]
    fn a_node_is_meant_by_its_id() {
        let web = node("web-1", "beta");
        for (pattern, expected) in [
            (MatchPattern::Exact("web-1".into()), true),
            (MatchPattern::Exact("web".into()), false),
            (MatchPattern::Prefix("web-".into()), true),
            (MatchPattern::Suffix("-1".into()), true),
            (MatchPattern::Contains("eb".into()), true),
            (regex("web-[0-9]"), true),
            (regex("web"), false),
        ] {
            assert_eq!(matches(&[id(pattern.clone())], &web), expected, "{pattern:?}");
        }
    }

    #[test]
    fn one_matcher_means_all_of_it_and_several_mean_any() {
        let beta =
            field("stage", ValuePattern::StringMatch(text(MatchPattern::Exact("beta".into()))));
        let both =
            NodeMatcher { node_metadatas: vec![beta], ..id(MatchPattern::Prefix("web".into())) };
        assert!(matches(std::slice::from_ref(&both), &node("web-1", "beta")));
        assert!(!matches(std::slice::from_ref(&both), &node("web-1", "release")));
        assert!(!matches(std::slice::from_ref(&both), &node("edge-1", "beta")));
        let either = [both, id(MatchPattern::Exact("edge-1".into()))];
        assert!(matches(&either, &node("edge-1", "release")));
        let present = |key| NodeMatcher {
            node_id: None,
            node_metadatas: vec![field(key, ValuePattern::PresentMatch(true))],
        };
        assert!(matches(&[present("stage")], &node("a", "beta")));
        assert!(!matches(&[present("other")], &node("a", "beta")));
    }

    #[test]
    fn what_can_not_be_asked_is_refused_with_its_reason() {
        assert!(check(&[id(regex("("))]).unwrap_err().contains("`(`"));
        assert!(check(&vec![NodeMatcher::default(); MATCHERS_MAX + 1]).is_err());
        assert_eq!(check(&[id(regex("a|b"))]), Ok(()));
    }
}
