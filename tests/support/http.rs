//! Questions to the program's HTTP endpoint, as a scraper or a probe asks them.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The status and the body of an answer.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    ask("GET", address, path, "")
}

/// The whole answer to a question with that line among its headers.
pub(crate) fn get_with(address: &str, path: &str, header: &str) -> String {
    tell("GET", address, path, &format!("{header}\r\n"))
}

/// Status and body for a request that changes something, with that line among its headers.
pub(crate) fn post(address: &str, path: &str, header: &str) -> (u16, String) {
    ask("POST", address, path, &format!("{header}\r\n"))
}

fn ask(method: &str, address: &str, path: &str, headers: &str) -> (u16, String) {
    let answer = tell(method, address, path, headers);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn tell(method: &str, address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    let host = format!("Host: {address}\r\nConnection: close\r\n{headers}");
    let question = format!("{method} {path} HTTP/1.1\r\n{host}\r\n");
    stream.write_all(question.as_bytes()).expect("a question can be asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    answer
}
