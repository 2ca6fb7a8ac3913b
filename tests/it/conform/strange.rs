//! What the suite says where it can try nothing: the wrong address, the wrong
//! protocol, nobody's token.

use super::{open, secured, shown};
use crate::harness::convoy::{Convoy, free_port};
use crate::harness::pki::Pki;

/// Runs the suite against `address`; gives the exit code and the messages.
fn conform(convoy: &Convoy, address: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut command = convoy.command("xds");
    command.args(["conform", address, "--patience-ms", "4000", "--only", "wire"]).args(words);
    let output = command.output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_told(convoy: &Convoy, address: &str, words: &[&str], code: i32, told: [&str; 2]) {
    let (given, text) = conform(convoy, address, words);
    assert_eq!(given, Some(code), "{words:?}: {text}");
    let all = told.iter().all(|one| text.contains(one)) && text.contains("hint:");
    assert!(all, "{words:?}: {text}");
}

#[test]
fn what_is_no_xds_server_is_told_with_what_helps() {
    let convoy = open();
    let http = convoy.url().trim_start_matches("http://").to_owned();
    let nobody = format!("127.0.0.1:{}", free_port());
    let nothing = ["--metadata", "stage=guess"];
    assert_told(&convoy, "a.example", &[], 2, ["`a.example` is no address", "host:port"]);
    assert_told(&convoy, &nobody, &[], 7, ["no connection to", "refused"]);
    assert_told(
        &convoy,
        "guess.invalid:1",
        &[],
        7,
        ["no connection to guess.invalid:1", "xDS port"],
    );
    assert_told(&convoy, &http, &[], 7, ["does not answer as gRPC does", "xDS port"]);
    assert_told(
        &convoy,
        &convoy.xds_address(),
        &nothing,
        7,
        ["does not show its clusters", "--metadata"],
    );
}

#[test]
fn a_port_that_speaks_something_else_is_told_apart() {
    use std::io::{Read as _, Write as _};
    let convoy = open();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address").to_string();
    // Ended with the test's process: nobody connects any more then.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 3];
            let _ = stream.read(&mut head);
            let answer = if &head == b"GET" { "HTTP/1.1 200 OK\r\n\r\n" } else { "220 hello\r\n" };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    assert_told(&convoy, &address, &[], 7, ["speaks HTTP/1.1", "xDS port"]);
}

#[test]
fn a_handshake_that_fails_says_which_flag_is_wrong() {
    let pki = Pki::new();
    let convoy = secured(&pki, "required");
    let other = Pki::new();
    let (ca, other) = (shown(&pki.ca()), shown(&other.ca()));
    let address = convoy.xds_address();
    assert_told(&convoy, &address, &[], 7, ["speaks TLS", "--ca"]);
    assert_told(&convoy, &address, &["--ca", &other], 7, ["is not trusted", "--ca"]);
    assert_told(&convoy, &address, &["--ca", &ca], 4, ["certificate of the client", "--cert"]);
    let named = ["--ca", &ca, "--authority", "xds.example"];
    assert_told(&convoy, &address, &named, 7, ["is not for `xds.example`", "--authority"]);
    let plain = convoy.url().trim_start_matches("http://").to_owned();
    assert_told(&convoy, &plain, &["--ca", &ca], 7, ["does not speak TLS", "--ca"]);
}

#[test]
fn a_client_that_is_turned_away_is_told_in_the_servers_words() {
    let pki = Pki::new();
    let convoy = secured(&pki, "optional");
    let ca = shown(&pki.ca());
    let told = ["turns this client away: Unauthenticated", "--token-file"];
    assert_told(&convoy, &convoy.xds_address(), &["--ca", &ca], 4, told);
}
