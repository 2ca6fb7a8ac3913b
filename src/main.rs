//! The `convoy` program: parses the command line, runs it, exits with its
//! code.

use clap::Parser;
use convoy::{app, cli, smoke};

fn main() -> std::process::ExitCode {
    // Before any thread is there: a process with threads gets no namespace.
    if let Some(code) = smoke::fenced_in() {
        return code;
    }
    app::choose_crypto();
    // Arguments that are no text are none of the grammar's.
    let typed: Result<Vec<_>, _> = std::env::args_os().map(|word| word.into_string()).collect();
    let cli = match typed {
        Ok(typed) => cli::Cli::parse_from(cli::as_options(typed)),
        Err(_) => cli::Cli::parse(),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(cli)).into(),
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
