//! Templates, what they make, and where mistakes in them lie.

use bytes::Bytes;

use super::*;
use crate::model::SourceTree;

fn engine(templates: &[(&str, &str)]) -> Engine {
    let mut tree = SourceTree::default();
    for (name, text) in templates {
        let path = FilePath::new(&format!("templates/{name}")).unwrap();
        tree.files.insert(path, Bytes::from((*text).to_owned()));
    }
    let values = serde_json::json!({
        "name": "payments", "on": true, "off": false, "nothing": null, "ratio": 0.5,
        "ports": [80, 443], "labels": {"a": "x: y"}, "timeouts": {"connect": "1s"},
    });
    Engine::new(&Sources::of(&tree), Value::from(minijinja::value::Serde(values)))
}

fn main_file() -> FilePath {
    FilePath::new("resources/a.yaml").unwrap()
}

fn text(source: &str) -> String {
    engine(&[]).run(&main_file(), source).map(|(text, _)| text).expect("it runs")
}

/// Runs `source`; gives each output line with the place of its first word.
fn traced(templates: &[(&str, &str)], source: &str) -> Vec<String> {
    let (text, origin) = engine(templates).run(&main_file(), source).expect("it runs");
    let file = crate::render::RenderedFile {
        source: main_file(),
        group: None,
        kind: None,
        text: text.clone(),
        origin,
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            let column = line.len() - line.trim_start().len() + 1;
            let line_number = u32::try_from(at).unwrap() + 1;
            let place = file.place(line_number, u32::try_from(column).unwrap());
            format!("{} <- {place}", line.trim())
        })
        .collect()
}

fn problem(templates: &[(&str, &str)], source: &str) -> (String, String, Option<String>) {
    let problem = engine(templates).run(&main_file(), source).expect_err("it is a mistake");
    (format!("{} {}", problem.place, problem.rule), problem.message, problem.hint)
}

#[test]
fn values_print_as_yaml_has_them() {
    for (source, expected) in [
        ("${{ on }} ${{ off }} ${{ nothing }}", "true false null"),
        ("${{ 1 }} ${{ ratio }} ${{ 1.0 }}", "1 0.5 1.0"),
        ("${{ name }}", "payments"),
        ("${{ ports }} ${{ labels }}", r#"[80,443] {"a":"x: y"}"#),
        ("${{ name | yaml }} ${{ labels.a | yaml }}", r#""payments" "x: y""#),
        ("${{ 'a\"\u{7f}b' | yaml }}", r#""a\"\u007fb""#),
        ("${{ name if off }}", ""),
        ("${{ ports | tojson }}", "[80,443]"),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn envoy_and_yaml_text_passes_untouched() {
    for source in [
        "a: %REQ(:PATH)% {{ lua }} {# x #} {% y %}\n",
        "a: 1 # a comment\nb: \"a##b\" ## still YAML's comment\n",
        "a: |\n  x <= y\n\n",
    ] {
        assert!(!Source::scan(source).is_template(), "{source}");
        assert_eq!(text(source), source);
        let templated = format!("{source}${{{{ name }}}}\n");
        assert_eq!(text(&templated), format!("{source}payments\n"));
    }
}

#[test]
fn statements_and_comments_leave_no_line_behind() {
    let source = "## heading with ${{ nonsense
a:
#% for port in ports
  ## about ${{ port }}
  - ${{ port }}
#% endfor
<% if on %>
b: 1
<% endif %>
<# several
lines #>
c: <% raw %>${{ kept }}<% endraw %>
";
    assert_eq!(text(source), "a:\n  - 80\n  - 443\nb: 1\nc: ${{ kept }}\n");
}

#[test]
fn a_statement_within_a_line_does_not_join_it_to_the_next() {
    let source = "a: <% if on %>1<% else %>2<% endif %>\nb: 1 <# why #>\nc: 2\n";
    assert_eq!(text(source), "a: 1\nb: 1 \nc: 2\n");
    assert_eq!(traced(&[], source)[2], "c: 2 <- resources/a.yaml:3:1");
}

#[test]
fn every_line_leads_back_to_its_source() {
    let macros =
        "#% macro host(name, port)\n  - address: ${{ name }}\n    port: ${{ port }}\n#% endmacro\n";
    let footer = "tail:\n  last: ${{ name }}\n";
    let source = "#% from 'm.yaml' import host
hosts:
#% for port in ports
${{ host(name, port) }}
#% endfor
x: {a: 1, b: ${{ name }}, c: 2}
<% include 'templates/footer.yaml' %>
end: 1
";
    let expected = [
        "hosts: <- resources/a.yaml:2:1",
        "- address: payments <- templates/m.yaml:2:3",
        "port: 80 <- templates/m.yaml:3:5",
        "- address: payments <- templates/m.yaml:2:3",
        "port: 443 <- templates/m.yaml:3:5",
        "x: {a: 1, b: payments, c: 2} <- resources/a.yaml:6:1",
        "tail: <- templates/footer.yaml:1:1",
        "last: payments <- templates/footer.yaml:2:3",
        "end: 1 <- resources/a.yaml:8:1",
    ];
    assert_eq!(traced(&[("m.yaml", macros), ("footer.yaml", footer)], source), expected);
}

#[test]
fn columns_are_exact_around_expressions() {
    let source = "x: {a: 1, b: ${{ name }}, c: 2}\n";
    let (text, origin) = engine(&[]).run(&main_file(), source).unwrap();
    let Origin::Mapped(_) = &origin else { panic!("{origin:?}") };
    let file = crate::render::RenderedFile {
        source: main_file(),
        group: None,
        kind: None,
        text: text.clone(),
        origin,
    };
    let at = |word: &str| {
        let column = u32::try_from(text.find(word).unwrap()).unwrap() + 1;
        file.place(1, column).column
    };
    assert_eq!(at("b: "), 11);
    assert_eq!(at("payments"), 14);
    assert_eq!(at("ments"), 14, "printed text is the expression's");
    assert_eq!(at("c: 2"), 27);
}

#[test]
fn a_filter_that_measures_text_leaves_only_certain_lines_mapped() {
    let source = "a: 1
#% set block
b: 2
#% endset
n: ${{ block | length }}
${{ block | upper }}
z: 3
";
    let expected = [
        "a: 1 <- resources/a.yaml:1:1",
        "n: 5 <- resources/a.yaml",
        "B: 2 <- resources/a.yaml:6:1",
        "z: 3 <- resources/a.yaml:7:1",
    ];
    let found = traced(&[], source);
    assert_eq!(found[0], expected[0]);
    assert_eq!(found[1], expected[1]);
    assert_eq!(found[3], expected[3]);
}

#[test]
fn trimming_is_the_same_with_and_without_marks() {
    for source in [
        "a:   ${{- name -}}   \n  b\n",
        "a\n   <%- if on -%>\n   b\n   <%- endif %>\nc\n",
        "  <% if on %> x <% endif %>  \n\n ${{ name }}${{ name }}\n",
        "<# c -#>   x\n\ty: ${{ 'multi\nline' }}\n",
        "${{ {'a': {'b': '}}'}} }}\n",
        "#% set x = [\n  1,\n  2]\na: ${{ x }}\n",
        "a: ${{ name }}\r\nb: 1\r\n",
    ] {
        let scanned = Source::scan(source);
        let engine = engine(&[]);
        let run = |environment, source: &str| {
            print(environment, &main_file(), source, &engine.values, 1 << 20).expect("it runs")
        };
        let plain = run(&engine.plain, &scanned.plain());
        let marked = run(&engine.marked, &scanned.marked(mark::MAIN));
        assert_eq!(trace::stripped(&marked), plain, "{source:?}");
    }
}

#[test]
fn undefined_names_are_found_with_the_nearest_known_one() {
    let (place, message, hint) = problem(&[], "a: 1\nb: ${{ nmae }}\n");
    assert_eq!(place, "resources/a.yaml:2:8 undefined-variable");
    assert_eq!(message, "`nmae` is not defined");
    assert_eq!(hint.as_deref(), Some("did you mean `name`?"));
    let (place, message, hint) = problem(&[], "x: ${{ timeouts.conect | yaml }}\n");
    assert_eq!(message, "`timeouts.conect` is not defined");
    assert_eq!(hint.as_deref(), Some("did you mean `timeouts.connect`?"));
    assert!(place.ends_with("undefined-variable"), "{place}");
    let macros = [("m.yaml", "#% macro m(x)\na: ${{ x }}${{ nmae }}\n#% endmacro\n")];
    let use_it = "#% from 'm.yaml' import m\n${{ m(1) }}\n";
    let (place, message, hint) = problem(&macros, use_it);
    assert_eq!(place, "templates/m.yaml:2:16 undefined-variable");
    assert_eq!(message, "`nmae` is not defined");
    assert_eq!(hint.as_deref(), Some("did you mean `name`?"));
}

#[test]
fn mistakes_in_templates_name_the_template() {
    let templates = [("m.yaml", "a: 1\nb: ${{ wrong }}\n"), ("s.yaml", "\n<% if %>\n")];
    assert_eq!(
        problem(&templates, "x: 1\n<% include 'm.yaml' %>\n").0,
        "templates/m.yaml:2:8 undefined-variable"
    );
    assert!(
        problem(&templates, "<% include 's.yaml' %>\n").0.starts_with("templates/s.yaml:2"),
        "{:?}",
        problem(&templates, "<% include 's.yaml' %>\n")
    );
    let (place, _, hint) = problem(&templates, "x: 1\n<% include 'n.yaml' %>\n");
    assert!(place.starts_with("resources/a.yaml:2"), "{place}");
    assert!(place.ends_with("template-missing"), "{place}");
    assert_eq!(hint.as_deref(), Some("did you mean `templates/m.yaml`?"));
}

#[test]
fn syntax_mistakes_have_line_and_column() {
    for (source, place) in [
        ("a: ${{ name \n", "resources/a.yaml:1:8 template-syntax"),
        ("a: ${{ name + }}\n", "resources/a.yaml:1:15 template-syntax"),
        ("a: 1\n#% for x\n", "resources/a.yaml:2:9 template-syntax"),
        ("<# never closed\n", "resources/a.yaml:2:1 template-syntax"),
    ] {
        assert_eq!(problem(&[], source).0, place, "{source}");
    }
}

#[test]
fn endless_templates_end_at_a_bound() {
    let loops = "#% for a in range(9999)\n#% for b in range(9999)\n#% for c in range(9999)\n\
                 #% endfor\n#% endfor\n#% endfor\n";
    for source in [
        loops,
        "#% set x = 'x' * 100000\n#% for a in range(1000)\n${{ x }}\n#% endfor\n",
        "<% include 'self.yaml' %>\n",
        "#% macro m()\n${{ m() }}\n#% endmacro\n${{ m() }}\n",
    ] {
        let (place, ..) = problem(&[("self.yaml", "<% include 'self.yaml' %>\n")], source);
        assert!(place.ends_with("template-budget"), "{source}: {place}");
    }
}

/// Runs `source` cut to just below and far above what is taken: neither may
/// overflow the stack, which would end the process.
fn hostile(make: impl Fn(usize) -> String) {
    for count in [190, 490, 950, 100_000] {
        let _ = engine(&[]).run(&main_file(), &make(count));
    }
    let problem = engine(&[]).run(&main_file(), &make(100_000)).unwrap_err();
    assert!(problem.place.line > 0, "{problem}");
}

#[test]
fn endless_brackets_are_refused() {
    hostile(|n| format!("a: ${{{{ {}1{} }}}}\n", "(\n".repeat(n), ")\n".repeat(n)));
    hostile(|n| format!("a: ${{{{ {}1{} }}}}\n", "[\n".repeat(n), "]\n".repeat(n)));
    hostile(|n| format!("a: ${{{{ {}1 }}}}\n", "[\n".repeat(n)));
}

#[test]
fn endless_chains_are_refused() {
    for link in ["|upper\n", ".a\n", "[0]\n", "()\n", "+1\n", "~'a'\n", " and 1\n"] {
        hostile(|n| format!("a: ${{{{ name{} }}}}\n", link.repeat(n)));
    }
    for link in ["not\n", "-\n", "1 if 1 else\n", "1 **\n"] {
        hostile(|n| format!("a: ${{{{ {} name }}}}\n", link.repeat(n)));
    }
}

#[test]
fn endless_statements_are_refused() {
    for block in ["<% if on %>\n", "#% for x in ports\n", "<% with %>\n", "<% filter upper %>\n"] {
        hostile(|n| block.repeat(n));
    }
    hostile(|n| format!("<% if off %>\n{}<% endif %>\n", "<% elif off %>\n".repeat(n)));
    hostile(|n| "<% raw %>\n".repeat(n));
    hostile(|n| format!("a: ${{{{ {}", " ".repeat(n)));
    hostile(|n| format!("a: ${{{{ x{} }}}}", "x".repeat(n)));
}

#[test]
fn a_mark_in_the_users_own_text_does_no_harm() {
    let source = "a: \u{10fffc}\nb: ${{ name }}\n";
    assert_eq!(text(source), "a: \u{10fffc}\nb: payments\n");
    assert_eq!(traced(&[], source)[1], "b: payments <- resources/a.yaml:2:1");
}
