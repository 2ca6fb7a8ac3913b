//! The house rules as a test: floors, who may name which outside crate, and
//! that every file says what it is.
//!
//! The rules are those of the architecture page in `src/lib.rs`. A failure
//! names the file and the line; move the code, not the rule.
#![allow(clippy::unwrap_used, reason = "a tree that can't be read fails the test, as it should")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules by floor. A module imports only from lower floors, or from itself.
const FLOORS: [(&str, u8); 30] = [
    ("model", 0),
    ("schema", 1),
    ("render", 2),
    ("lint", 2),
    ("snapshot", 2),
    ("promote", 2),
    ("content", 1),
    ("access", 2),
    ("store", 4),
    ("mirror", 4),
    ("smoke", 4),
    ("chat", 4),
    ("xds", 4),
    ("metrics", 4),
    ("conform", 4),
    ("githost", 4),
    ("govern", 5),
    ("reconcile", 6),
    ("mirroring", 6),
    ("hosting", 6),
    ("feed", 6),
    ("web", 7),
    ("rpc", 7),
    ("app", 8),
    ("cli", 9),
    ("main", 10),
    // Usable from the adapters' floor up, by everyone there.
    ("retry", 3),
    ("tasks", 3),
    ("telemetry", 3),
    ("config", 3),
];

/// Which modules may name an outside crate.
const CRATES: [(&str, &[&str]); 9] = [
    ("tonic", &["xds", "conform", "rpc", "app"]),
    ("axum", &["web", "app"]),
    ("gix", &["store", "mirror"]),
    ("sled", &["store", "smoke", "hosting"]),
    ("slack_morphism", &["chat"]),
    ("envoy_types", &["xds", "snapshot", "conform"]),
    ("granit_parser", &["render"]),
    ("clap", &["cli", "config", "main"]),
    ("anyhow", &["app", "main"]),
];

/// What the pure floors must not touch.
const IMPURE: [&str; 7] = [
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::env::var",
    "Timestamp::now",
    "telemetry::clock",
];

/// What starts another program, and who may.
const SPAWNING: [(&str, &[&str]); 2] = [
    ("process::Command", &["smoke", "mirror", "cli"]),
    ("Command::new", &["smoke", "mirror", "cli"]),
];

struct Source {
    path: PathBuf,
    module: String,
    /// Line number and text, without comments and without tests.
    lines: Vec<(usize, String)>,
    first: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    paths.into_iter().map(|path| read(&root, path)).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(root: &Path, path: PathBuf) -> Source {
    let text = std::fs::read_to_string(&path).unwrap();
    let inner = path.strip_prefix(root).unwrap().to_owned();
    let top = inner.iter().next().unwrap().to_str().unwrap();
    let module = top.trim_end_matches(".rs").to_owned();
    let is_test = inner.to_str().unwrap().contains("test");
    let code = match is_test {
        true => "",
        false => text.split("\n#[cfg(test)]").next().unwrap_or(""),
    };
    let lines = code
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("").to_owned()))
        .collect();
    let first = text.lines().next().unwrap_or("").to_owned();
    Source { path: inner, module, lines, first }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn every_module_has_a_floor() {
    let unknown: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.module != "lib" && floor(&source.module).is_none())
        .map(|source| source.path)
        .collect();
    assert!(unknown.is_empty(), "give these a floor: {unknown:?}");
}

#[test]
fn modules_import_from_lower_floors_only() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let here = floor(&source.module).unwrap_or(u8::MAX);
        for (number, line) in &source.lines {
            for used in modules_used(line) {
                let there = floor(&used).unwrap_or(0);
                let helpers = here == 3 && there == 3;
                if used != source.module && there >= here && !helpers {
                    let path = source.path.display();
                    broken.push(format!("{path}:{number}: {} uses {used}", source.module));
                }
            }
        }
    }
    assert!(broken.is_empty(), "imports that go up or sideways:\n{}", broken.join("\n"));
}

/// The modules of ours that a line names, as `crate::x` or `convoy::x`.
fn modules_used(line: &str) -> Vec<String> {
    let mut used = Vec::new();
    for prefix in ["crate::", "convoy::"] {
        for rest in line.split(prefix).skip(1) {
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if floor(&name).is_some() {
                used.push(name);
            }
        }
    }
    used
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for source in &sources() {
        for (number, line) in &source.lines {
            for (name, rooms) in CRATES.iter().chain(&SPAWNING) {
                let path = format!("{name}::");
                let named = match name.contains("::") {
                    true => line.contains(name),
                    false => names_crate(line, &path),
                };
                if named && !rooms.contains(&source.module.as_str()) {
                    broken.push(format!("{}:{number}: names {name}", source.path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "crates out of their rooms:\n{}", broken.join("\n"));
}

/// Whether the line names the crate itself, not a path that ends like it.
fn names_crate(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().last();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn the_pure_floors_touch_nothing() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|s| floor(&s.module).is_some_and(|floor| floor <= 2)) {
        for (number, line) in &source.lines {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{number}: {word}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "not pure:\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.first.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "no `//!` on the first line: {silent:?}");
}

#[test]
fn no_file_is_called_mod_rs() {
    let found: Vec<_> =
        sources().into_iter().map(|source| source.path).filter(|p| p.ends_with("mod.rs")).collect();
    assert!(found.is_empty(), "use foo.rs beside foo/: {found:?}");
}

#[test]
fn every_integration_test_is_part_of_the_one_binary() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && stem != "main" {
            assert!(main.contains(&format!("mod {stem};")), "tests/it/{stem}.rs is not compiled");
        }
    }
}

#[test]
fn the_architecture_page_names_every_module() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let page = page.unwrap();
    let doc: String = page.lines().filter(|line| line.starts_with("//!")).collect();
    let modules: BTreeMap<_, _> = FLOORS.into_iter().collect();
    for module in modules.keys().filter(|module| **module != "main") {
        assert!(doc.contains(&format!("`{module}`")), "src/lib.rs does not say what `{module}` is");
    }
}
