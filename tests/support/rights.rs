//! Grants and denials in a Kafka: one request of its protocol, which the client library lacks.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::PATIENCE;

/// `CreateAcls`, in the version that has prefixes and no tagged fields.
const REQUEST: (i16, i16) = (30, 1);

/// What a right is about. The numbers are Kafka's, here and below.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Resource {
    /// Topics.
    Topic = 2,
    /// Consumer groups.
    Group = 3,
    /// Names of transactional producers.
    TransactionalId = 5,
}

/// What may be done with it; either includes to describe it.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Operation {
    /// To read from a topic, to be a member of a group.
    Read = 3,
    /// To write to a topic, to use a transactional id.
    Write = 4,
}

/// Whether it may be done. A denial goes over every grant.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Effect {
    /// It may not.
    Deny = 2,
    /// It may.
    Allow = 3,
}

/// Which resources are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names<'a> {
    /// The one of that name.
    Exactly(&'a str),
    /// All whose names begin so.
    From(&'a str),
}

impl<'a> Names<'a> {
    fn parts(self) -> (&'a str, u8) {
        match self {
            Names::Exactly(name) => (name, 3),
            Names::From(prefix) => (prefix, 4),
        }
    }
}

/// One line of the list: who may or may not do what with which resources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right<'a> {
    pub(crate) effect: Effect,
    pub(crate) user: &'a str,
    pub(crate) operation: Operation,
    pub(crate) resource: Resource,
    pub(crate) names: Names<'a>,
}

/// Adds to the list of the Kafka at that address, where anybody may. The node acts on it a moment
/// later.
pub(super) fn add(address: &str, rights: &[Right<'_>]) {
    let mut request = Vec::new();
    request.extend(REQUEST.0.to_be_bytes());
    request.extend(REQUEST.1.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    push_text(&mut request, "hotspur-tests");
    request.extend(length(rights.len()).to_be_bytes());
    for right in rights {
        let (name, pattern) = right.names.parts();
        request.push(right.resource as u8);
        push_text(&mut request, name);
        request.push(pattern);
        push_text(&mut request, &format!("User:{}", right.user));
        push_text(&mut request, "*");
        request.extend([right.operation as u8, right.effect as u8]);
    }
    let answer = ask(address, &request);
    // The request's number and the throttle time, then for each right an error and no text.
    let (_, results) = answer.split_at(8);
    let errors = results[4..].chunks(4).map(|result| i16::from_be_bytes([result[0], result[1]]));
    assert!(errors.eq(rights.iter().map(|_| 0)), "rights were not added: {answer:?}");
}

pub(super) fn ask(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("Kafka listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
    let message = [&length(request.len()).to_be_bytes(), request].concat();
    stream.write_all(&message).expect("Kafka takes a request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("Kafka answers");
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
    stream.read_exact(&mut answer).expect("Kafka answers");
    answer
}

pub(super) fn push_text(request: &mut Vec<u8>, text: &str) {
    request.extend(i16::try_from(text.len()).expect("a short text").to_be_bytes());
    request.extend(text.as_bytes());
}

pub(super) fn length(length: usize) -> i32 {
    i32::try_from(length).expect("a short request")
}
