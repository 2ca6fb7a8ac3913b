//! A server for one request: for answers that no real Git server gives, and
//! for seeing what a client sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// One request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request line and the headers, one a line.
    pub(crate) head: Vec<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().skip(1).find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Answers one request with these bytes; gives the URL, and the request once
/// it has come.
pub(crate) fn answer(response: impl Into<Vec<u8>>) -> (String, JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let response = response.into();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let request = read(&stream);
        stream.write_all(&response).expect("the client listens");
        request
    });
    (format!("http://127.0.0.1:{port}"), served)
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut request = Request { head: Vec::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        if line.trim().is_empty() {
            break;
        }
        request.head.push(line.trim().to_owned());
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    request.body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut request.body).expect("the body");
    request
}
