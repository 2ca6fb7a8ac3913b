//! Measures xDS over loopback: Convoy's server in one process, its clients in
//! this one, each with its own account of CPU and memory.
//!
//! `xds PART …` prints one JSON object; `ci/bench xds` runs the parts and puts
//! them in its table. The floor is a bare HTTP/2 server that writes the same
//! bytes to as many streams (`servers.rs`).
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a measuring program prints, reads the clock, and may stop"
)]
#![allow(unreachable_pub, reason = "a program has no public")]

mod clients;
mod parts;
mod pki;
mod process;
mod servers;
mod wire;

use std::path::Path;
use std::pin::Pin;

use serde_json::Value;
use tokio::runtime::Runtime;

use pki::Pki;

fn main() {
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    let word = |at: usize| args.get(at).map_or("", String::as_str);
    let number = |at: usize| word(at).parse::<usize>().expect("a whole number");
    let delta = |at: usize| word(at) == "delta";
    convoy::app::choose_crypto();
    let runtime = Runtime::new().expect("a runtime");
    let run = |part: Pin<Box<dyn Future<Output = Value>>>| runtime.block_on(part);
    let result = match word(1) {
        "serve" => {
            let certificates = args.get(4).map(Path::new);
            return runtime.block_on(servers::convoy(number(2), certificates));
        }
        "serve-floor" => return runtime.block_on(servers::floor(number(2), delta(3))),
        "fanout" | "floor" | "mtls" => {
            let server = if word(1) == "floor" { "serve-floor" } else { "serve" };
            let pki = (word(1) == "mtls").then(Pki::new);
            run(Box::pin(parts::fanout(server, pki, number(2), number(3), delta(4), number(5))))
        }
        "nothing" => run(Box::pin(parts::nothing(number(2), number(3), delta(4)))),
        "churn" => run(Box::pin(parts::churn(number(2), number(3), number(4), number(5)))),
        "herd" => run(Box::pin(parts::herd(number(2), number(3), delta(4)))),
        "mute" => run(Box::pin(parts::mute(number(2), number(3), number(4)))),
        "refuse" => run(Box::pin(parts::refuse(number(2), number(3), number(4)))),
        "first" => {
            let (http, xds) = (word(2).to_owned(), word(3).to_owned());
            run(Box::pin(parts::first(http, xds, number(4), number(5))))
        }
        "revoke" => {
            let (http, xds, root) = (word(2).to_owned(), word(3).to_owned(), word(4).to_owned());
            run(Box::pin(parts::revoke(http, xds, root, number(5), number(6))))
        }
        other => panic!("no part is called `{other}`"),
    };
    println!("{result}");
}
