//! The parser's errors in an author's words, with a remedy.

use granit_parser::{ErrorKind, ScanError};

use super::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_SCALAR_BYTES, Span, YamlError};

/// Which budget a text broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    Bytes,
    Nodes,
    ScalarBytes,
    Depth,
}

/// The problem of a broken budget.
pub(super) fn over_budget(span: Span, budget: Budget) -> YamlError {
    let (message, hint) = match budget {
        Budget::Bytes => (format!("longer than {} MiB", MAX_BYTES >> 20), "split the file"),
        Budget::Nodes => (
            format!("more than {MAX_NODES} values, counted with every alias expanded"),
            "split the file, or use fewer aliases of large anchors",
        ),
        Budget::ScalarBytes => (
            format!("more than {} MiB of text with every alias expanded", MAX_SCALAR_BYTES >> 20),
            "split the file, or use fewer aliases of large anchors",
        ),
        Budget::Depth => (
            format!("nested deeper than {MAX_DEPTH} levels"),
            "no Envoy message is that deep: look for an unclosed bracket or a wrong indent",
        ),
    };
    YamlError { span, rule: "yaml-budget", message, hint: Some(hint.into()) }
}

/// The problem behind a syntax error.
pub(super) fn syntax(span: Span, error: &ScanError) -> YamlError {
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return over_budget(span, Budget::Depth);
    }
    let info = error.info();
    let message = info.split(" at byte").next().unwrap_or(&info).trim_end_matches('.').to_owned();
    YamlError { span, rule: "yaml-syntax", message, hint: Some(remedy(error.kind()).into()) }
}

fn remedy(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => "indent with spaces, not tabs",
        ErrorKind::UnknownAnchor => {
            "define the anchor (`&name`) above its alias in the same document"
        }
        ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => {
            "indent the line like its siblings, or quote a value that spans lines"
        }
        ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement => "write `key: value`; quote a value that holds `: `",
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            "close the quote, or indent the lines that the text goes on in"
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "put the whole value in quotes, and double a quote inside it"
        }
        ErrorKind::UnknownQuotedScalarEscape => "double the backslash, or use single quotes",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd => "check commas and closing brackets",
        ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::PlainScalarStartsWithDashFlowIndicator => "quote the value",
        ErrorKind::ExpectedBlockSequenceEntry => "begin each item of the list with `- `",
        ErrorKind::UndeclaredTagHandle => "remove the tag",
        _ => "check the indentation, quotes and brackets of this line and the one above it",
    }
}
