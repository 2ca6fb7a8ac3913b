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
mod process;
mod servers;
mod wire;

use tokio::runtime::Runtime;

fn main() {
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    let word = |at: usize| args.get(at).map_or("", String::as_str);
    let number = |at: usize| word(at).parse::<usize>().expect("a whole number");
    let delta = |at: usize| word(at) == "delta";
    let runtime = Runtime::new().expect("a runtime");
    let result = match word(1) {
        "serve" => return runtime.block_on(servers::convoy(number(2))),
        "serve-floor" => return runtime.block_on(servers::floor(number(2), delta(3))),
        "fanout" => parts::fanout("serve", number(2), number(3), delta(4), number(5)),
        "floor" => parts::fanout("serve-floor", number(2), number(3), delta(4), number(5)),
        "nothing" => parts::nothing(number(2), number(3), delta(4)),
        "churn" => parts::churn(number(2), number(3), number(4), number(5)),
        "herd" => parts::herd(number(2), number(3), delta(4)),
        "mute" => parts::mute(number(2), number(3), number(4)),
        "refuse" => parts::refuse(number(2), number(3), number(4)),
        "first" => parts::first(word(2), word(3), number(4), number(5)),
        other => panic!("no part is called `{other}`"),
    };
    println!("{}", runtime.block_on(result));
}
