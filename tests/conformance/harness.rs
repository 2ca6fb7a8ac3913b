//! As much of a test harness as test runners ask for: `--list` prints names,
//! `--exact NAME` runs one, other words filter.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;

/// A test by name.
pub(crate) struct Test {
    name: String,
    run: Pin<Box<dyn Future<Output = ()>>>,
}

impl Test {
    pub(crate) fn new(name: String, run: impl Future<Output = ()> + 'static) -> Self {
        Self { name, run: Box::pin(run) }
    }
}

/// Options of the standard harness that are followed by a value.
const WITH_VALUE: [&str; 5] = ["--format", "--color", "--test-threads", "--skip", "-Z"];

/// Does what the command line says.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (mut list, mut exact, mut ignored) = (false, false, false);
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => list = true,
            "--exact" => exact = true,
            "--ignored" => ignored = true,
            "--skip" => unwanted.extend(words.next()),
            option if WITH_VALUE.contains(&option) => drop(words.next()),
            option if option.starts_with('-') => {}
            name => wanted.push(name.to_owned()),
        }
    }
    let named = |name: &str, words: &[String]| {
        words.iter().any(|word| if exact { name == word } else { name.contains(word.as_str()) })
    };
    let chosen = tests.into_iter().filter(|test| {
        let wants = wanted.is_empty() || named(&test.name, &wanted);
        wants && !named(&test.name, &unwanted) && !ignored
    });
    match list {
        true => chosen.for_each(|test| println!("{}: test", test.name)),
        false => return run_all(chosen.collect()),
    }
    ExitCode::SUCCESS
}

fn run_all(tests: Vec<Test>) -> ExitCode {
    let (count, mut failed) = (tests.len(), Vec::new());
    println!("running {count} tests");
    for Test { name, run } in tests {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let passed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("{} passed, {} failed", count - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
