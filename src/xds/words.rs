//! Envoy's words for a refusal, made fit to be kept, logged and shown.
//!
//! Where a message breaks a constraint, Envoy quotes the whole of it before
//! saying which. The quote is our own resource, possibly with a key in it, so
//! it is left out; the reason stays as it is.

/// Where Envoy's reason begins, behind the quote.
const REASON: &str = "Proto constraint validation failed";
/// What is kept at most, in bytes; Envoy names every resource it refuses.
const MAX_BYTES: usize = 4096;

/// What is kept of `text`.
pub(super) fn words(text: &str) -> String {
    let reason = match text.find(REASON) {
        Some(at) if text[..at].contains('\n') => &text[at..],
        _ => text,
    };
    // Some of its messages end a line.
    let reason = reason.trim_end();
    let mut end = reason.len().min(MAX_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < reason.len() { " …" } else { "" };
    format!("{}{cut}", &reason[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_resource_is_left_out() {
        let quoted = "name: \"s\"\ntls_certificate { private_key { inline_string: \"KEY\" } }\n: \
                      Proto constraint validation failed (SecretValidationError.Name: too long)";
        let expected = "Proto constraint validation failed (SecretValidationError.Name: too long)";
        assert_eq!(words(quoted), expected);
    }

    #[test]
    fn other_words_stay_as_they_are_but_for_their_end() {
        let text = "Error adding/updating listener(s) l: unable to read file: /x";
        assert_eq!(words(&format!("{text}\n")), text);
    }

    #[test]
    fn long_words_are_cut_between_letters() {
        let kept = words(&"é".repeat(MAX_BYTES));
        assert_eq!(kept.strip_suffix(" …").map(str::len), Some(MAX_BYTES));
    }
}
