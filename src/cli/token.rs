//! `convoy token`: a new token, and the line of configuration that knows it.

use serde_json::json;

use super::Failure;
use super::output::Output;
use crate::model::ContentHash;

pub(super) fn run(output: &Output) -> Result<(), Failure> {
    let mut secret = [0u8; 32];
    let fail = |error: std::io::Error| {
        Failure::new(Failure::FAILED, format!("no random numbers: {error}"))
    };
    let mut source = std::fs::File::open("/dev/urandom").map_err(fail)?;
    std::io::Read::read_exact(&mut source, &mut secret).map_err(fail)?;
    let token = format!("convoy_{}", ContentHash(secret));
    let hash = ContentHash::of(token.as_bytes());
    let value = json!({ "token": token, "sha256": hash.to_string() });
    output.message("keep the token in a file that only its owner can read; it is shown once");
    output.result(&value, || format!("token:  {token}\nsha256: {hash}\n"));
    Ok(())
}
