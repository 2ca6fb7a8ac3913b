//! What YAML means here, and what bad YAML costs.

use serde_json::{Map, Number, Value, json};

use super::*;

fn json_of(text: &str) -> Vec<Value> {
    parse(text).unwrap().iter().map(|document| value(&document.root)).collect()
}

/// The value as JSON, typed by the core schema.
fn value(node: &Node) -> Value {
    match &node.data {
        Data::List(items) => Value::Array(items.iter().map(value).collect()),
        Data::Map(entries) => {
            let fields = entries.iter().map(|entry| (entry.key.to_string(), value(&entry.value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Data::Scalar(scalar) => match scalar.core() {
            Core::Null => Value::Null,
            Core::Bool(value) => Value::Bool(value),
            Core::Int(value) => Value::Number(Number::from_i128(value).unwrap()),
            Core::Float(value) => Value::Number(Number::from_f64(value).unwrap()),
            Core::Text(text) => text.into(),
        },
    }
}

/// Each error as `line:column rule: message`.
fn errors_of(text: &str) -> Vec<String> {
    let show = |error: &YamlError| {
        format!("{}:{} {}: {}", error.span.line, error.span.column, error.rule, error.message)
    };
    parse(text).unwrap_err().iter().map(show).collect()
}

#[test]
fn unquoted_scalars_follow_the_core_schema() {
    let cases = [
        ("yes", json!("yes")),
        ("on", json!("on")),
        ("True", json!(true)),
        ("~", json!(null)),
        ("017", json!(17)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("-3", json!(-3)),
        ("+3", json!(3)),
        ("1_000", json!("1_000")),
        ("1.50", json!(1.5)),
        (".5", json!(0.5)),
        ("1e3", json!(1000.0)),
        (".", json!(".")),
        ("1.2.3", json!("1.2.3")),
        ("e5", json!("e5")),
        ("\"1\"", json!("1")),
        ("!!str 1", json!("1")),
        ("!!int \"1\"", json!(1)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        (".inf", json!(".inf")),
        ("2026-01-01", json!("2026-01-01")),
    ];
    for (text, expected) in cases {
        assert_eq!(json_of(&format!("a: {text}")), [json!({ "a": expected })], "{text}");
    }
}

#[test]
fn a_file_holds_many_documents_and_empty_ones_are_left_out() {
    let text = "\u{feff}---\n---\na: 1\r\n---\n# nothing\n---\n- b\n...\n";
    assert_eq!(json_of(text), [json!({"a": 1}), json!(["b"])]);
    assert_eq!(json_of(""), Vec::<Value>::new());
}

#[test]
fn places_count_lines_and_characters_from_one() {
    let documents = parse("é: {b: [1, 22]}\r\nc:\n  - d: x\n").unwrap();
    let root = &documents[0].root;
    assert_eq!(root.span, Span { line: 1, column: 1 });
    let b = root.get("é").and_then(|node| node.entry("b")).unwrap();
    assert_eq!(b.key_span, Span { line: 1, column: 5 });
    assert_eq!(b.value.items().unwrap()[1].span, Span { line: 1, column: 12 });
    let item = &root.get("c").unwrap().items().unwrap()[0];
    assert_eq!(item.span, Span { line: 3, column: 5 });
    assert_eq!(item.get("d").unwrap().span, Span { line: 3, column: 8 });
}

#[test]
fn aliases_and_merges_are_expanded_with_the_places_of_their_anchor() {
    let text = "a: &a {x: 1, y: 2}\nb: &b {x: 9, z: 3}\nc:\n  y: 4\n  <<: [*a, *b]\nd: *a\n";
    let documents = parse(text).unwrap();
    let root = &documents[0].root;
    assert_eq!(value(root.get("c").unwrap()), json!({"y": 4, "x": 1, "z": 3}));
    assert_eq!(root.get("d").unwrap().span.line, 1);
    assert_eq!(root.get("c").and_then(|c| c.get("z")).unwrap().span.line, 2);
    assert_eq!(json_of("\"<<\": 1"), [json!({"<<": 1})]);
}

#[test]
fn mistakes_name_their_place() {
    assert_eq!(
        errors_of("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"),
        [
            "4:3 duplicate-key: `c` is written twice: in line 3 and in line 4",
            "5:1 duplicate-key: `a` is written twice: in line 1 and in line 5",
        ]
    );
    assert_eq!(errors_of("a: !env HOME\n"), ["1:9 yaml-tag: the tag `!env` has no meaning here"]);
    assert_eq!(
        errors_of("a: &a [*a]\n"),
        ["1:8 yaml-syntax: an alias stands inside its own anchor"]
    );
    assert_eq!(
        errors_of("a: {<<: 1}\n"),
        ["1:9 yaml-syntax: `<<` merges mappings, not the number 1"]
    );
    let hint = |text: &str| parse(text).unwrap_err()[0].hint.clone().unwrap();
    assert_eq!(hint("a:\n\t- b\n"), "indent with spaces, not tabs");
    assert_eq!(
        hint("a: 'b\nc: d\n"),
        "close the quote, or indent the lines that the text goes on in"
    );
    for (text, place) in [("a:\n\t- b\n", "2:"), ("a: [1, 2\nb: 3\n", "2:"), ("a: *b\n", "1:4 ")] {
        let errors = errors_of(text);
        assert_eq!(errors.len(), 1, "{text}");
        assert!(errors[0].starts_with(place), "{text}: {errors:?}");
        assert!(errors[0].contains("yaml-syntax"), "{text}: {errors:?}");
    }
}

#[test]
fn duplicates_are_found_in_large_mappings_too() {
    let mut text: String = (0..100).map(|n| format!("k{n}: 1\n")).collect();
    text.push_str("k7: 2\n");
    let expected = "101:1 duplicate-key: `k7` is written twice: in line 8 and in line 101";
    assert_eq!(errors_of(&text), [expected]);
}

#[test]
fn an_alias_bomb_is_refused_where_it_explodes() {
    let mut text = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*l{}", level - 1); 9].join(", ");
        text.push_str(&format!("l{level}: &l{level} [{aliases}]\n"));
    }
    let errors = errors_of(&text);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("6:") && errors[0].contains("yaml-budget"), "{errors:?}");
}

#[test]
fn repeated_large_texts_and_growing_depth_are_paid_for() {
    let large = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(1000));
    assert!(errors_of(&large)[0].contains("yaml-budget"));
    let mut deep = String::from("l0: &l0 [x]\n");
    for level in 1..200 {
        deep.push_str(&format!("l{level}: &l{level} [*l{}]\n", level - 1));
    }
    let errors = errors_of(&deep);
    assert!(errors[0].contains("nested deeper than 128"), "{errors:?}");
}

#[test]
fn endless_nesting_and_size_are_refused() {
    let cases = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        (0..3000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        " ".repeat(MAX_BYTES + 1),
        format!("[{}]", "1,".repeat(MAX_NODES + 1)),
    ];
    for text in cases {
        let errors = errors_of(&text);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("yaml-budget"), "{errors:?}");
    }
    let allowed = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(parse(&allowed).is_ok());
}
