//! Templates of paths: `/a/{name}/*`, which routes match and rewrite.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/path/match/uri_template/v3/uri_template_match.proto>.

use std::collections::BTreeSet;

/// How many variables a path may have, and how long their names are.
const VARIABLES_MAX: usize = 5;
const NAME_MAX: usize = 16;

/// Reads a path's template and gives its variables. `mixed`: Envoy takes text
/// before a variable.
pub(super) fn path(template: &str, mixed: bool) -> Result<BTreeSet<String>, String> {
    let rest = rooted(template)?;
    let mut read = Path::default();
    let parts = segments(rest)?;
    for (at, part) in parts.iter().enumerate() {
        match part.split_once('{') {
            // A path may end with a slash.
            None if part.is_empty() && at + 1 == parts.len() => {}
            None => read.segment(part)?,
            Some((before, _)) if !before.is_empty() && !mixed => {
                return Err(format!("`{part}` has text before a variable"));
            }
            Some((_, rest)) => {
                let (inside, behind) = rest.split_once('}').unwrap_or_default();
                read.variable(inside)?;
                literal(behind)?;
            }
        }
    }
    Ok(read.names)
}

/// Reads what a path is rewritten to and gives the variables that it names.
pub(super) fn rewrite(template: &str) -> Result<BTreeSet<String>, String> {
    let mut rest = rooted(template)?;
    let mut names = BTreeSet::new();
    if template.contains("//") {
        return Err("it has two slashes in a row".into());
    }
    while let Some((before, inside)) = rest.split_once('{') {
        before.split('/').try_for_each(literal)?;
        let (name, behind) = inside.split_once('}').ok_or("a brace is not closed")?;
        named(name)?;
        names.insert(name.to_owned());
        rest = behind;
    }
    rest.split('/').try_for_each(literal)?;
    Ok(names)
}

/// What is read of a path so far.
#[derive(Default)]
struct Path {
    names: BTreeSet<String>,
    /// Whether `**` was there, behind which nothing may be open.
    open: bool,
}

impl Path {
    fn segment(&mut self, segment: &str) -> Result<(), String> {
        match segment {
            "" => Err("it has two slashes in a row".into()),
            "*" | "**" if self.open => Err(format!("`{segment}` stands behind `**`")),
            "**" => {
                self.open = true;
                Ok(())
            }
            _ => literal(segment),
        }
    }

    fn variable(&mut self, text: &str) -> Result<(), String> {
        let (name, pattern) = match text.split_once('=') {
            None => (text, "*"),
            Some((name, pattern)) => (name, pattern),
        };
        named(name)?;
        if !self.names.insert(name.to_owned()) {
            return Err(format!("the variable `{name}` is there twice"));
        }
        if self.names.len() > VARIABLES_MAX {
            return Err(format!("it has more than {VARIABLES_MAX} variables"));
        }
        pattern.split('/').try_for_each(|segment| {
            if segment.contains('*') && segment != "*" && segment != "**" {
                return Err(format!("a variable can't be `{segment}`"));
            }
            self.segment(segment)
        })
    }
}

/// What is behind the first slash.
fn rooted(template: &str) -> Result<&str, String> {
    if !template.chars().all(|c| c.is_ascii_graphic()) {
        return Err("it has a character that no path has".into());
    }
    template.strip_prefix('/').ok_or_else(|| "it does not begin with a slash".to_owned())
}

/// The parts between slashes, those within braces left alone.
fn segments(text: &str) -> Result<Vec<&str>, String> {
    let (mut found, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' if inside => return Err("a brace stands within braces".into()),
            '{' => inside = true,
            '}' if !inside => return Err("a brace is closed that was not opened".into()),
            '}' => inside = false,
            '/' if !inside => {
                found.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[begin..]);
    if inside { Err("a brace is not closed".into()) } else { Ok(found) }
}

fn literal(text: &str) -> Result<(), String> {
    match text.chars().find(|c| "?#\"<>[]\\|^{}`".contains(*c)) {
        Some(c) => Err(format!("`{c}` can't stand in it")),
        None => Ok(()),
    }
}

fn named(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins && name.chars().all(fits) && name.len() <= NAME_MAX {
        return Ok(());
    }
    Err(format!("a variable can't have the name `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_as_envoy_reads_them() {
        let fine = [
            "/",
            "/a/",
            "/{a}/",
            "/**",
            "/**/a",
            "/a/**",
            "/*/**",
            "/{a=**}/b",
            "/{a=b/*}",
            "/{a=b/**}",
            "/{a}b",
            "/a*",
            "/*.txt",
            "/**.txt",
            "/{a=**}.txt",
            "/{a_b}",
            "/{A1}",
            "/a%zz",
            "/a;b=c,d:e@f$g(h)~!'&+",
            "/{a}/{b}/{c}/{d}/{e}",
            "/{a=*/*}",
            "/{a=x/**/y}",
        ];
        for one in fine {
            assert!(path(one, false).is_ok(), "{one}: {:?}", path(one, false));
        }
        let wrong = [
            "a",
            "/{a}/{a}",
            "/a//b",
            "//a",
            "/**/*",
            "/**/**",
            "/{a=**}/{b}",
            "/{a=**}/**",
            "/{a=}",
            "/{a=/b}",
            "/{a=b/}",
            "/{a=**.txt}",
            "/{_a}",
            "/{a-b}",
            "/a?b",
            "/a#b",
            "/a\"b",
            "/a[b]",
            "/ä",
            "/{a",
            "/a}",
            "/{a}/**/{b}",
            "/a|b",
            "/{a=x y}",
            "/{}",
            "/{abcdefghijklmnopq}",
            "/{a}{b}",
            "/{a}/{b}/{c}/{d}/{e}/{f}",
            "/a{b}",
        ];
        for one in wrong {
            assert!(path(one, false).is_err(), "{one}");
        }
        assert!(path("/a{b}", true).is_ok());
    }

    #[test]
    fn rewrites_are_read_as_envoy_reads_them() {
        for one in ["/{a}", "/x{a}y", "/{a}/{a}", "/{a}{a}", "/a/", "/*", "/%"] {
            assert!(rewrite(one).is_ok(), "{one}: {:?}", rewrite(one));
        }
        for one in ["x{a}", "/{a=*}", "/{", "/}", "/a b", "//{a}", "/?a={a}", "/{{a}}"] {
            assert!(rewrite(one).is_err(), "{one}");
        }
    }
}
