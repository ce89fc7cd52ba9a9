//! What asks a running process over HTTP; `pause` and `resume`, which it answers with its state.
//!
//! The address is the one of the configuration, or the one that is given; the token is the
//! configuration's. An answer is some kilobytes and there within seconds, so a plain connection
//! does.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::{CommandLine, Exit, Failure, Outcome, loaded, print, sources};
use crate::config::settings::Observe;

/// How long a connection may take, and then an answer, for which the hot thread takes a turn.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Which process is asked.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the process listens; else the configuration's observe.listen
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
}

/// What a process of this configuration answers to that path.
///
/// # Errors
///
/// A sentence about why there is no answer.
pub(super) fn get(observe: &Observe, path: &str) -> Result<String, String> {
    let address = listening(Some(observe)).map_err(|failure| failure.message)?;
    match ask((&[address], ANSWERED_WITHIN), "GET", path, observe.token.as_deref()) {
        Ok((200, text)) => Ok(text),
        Ok((status, _)) => Err(format!("{address} answers {status} to {path}")),
        Err(error) => Err(format!("nobody answers at {address} ({error})")),
    }
}

/// Asks the process for what the path stands for, and prints its answer.
pub fn post(line: &CommandLine, arguments: &Arguments, path: &str) -> Outcome {
    print(&Target::new(line, arguments)?.answer("POST", path)?)
}

/// A running process that can be asked.
#[derive(Debug)]
pub(super) struct Target {
    addresses: Vec<SocketAddr>,
    token: Option<String>,
    answered_within: Duration,
}

impl Target {
    /// The one that is named, else the configuration's.
    pub(super) fn new(line: &CommandLine, arguments: &Arguments) -> Result<Target, Failure> {
        let is_configured = arguments.address.is_none() || sources(line).path().is_some();
        let observe = match is_configured {
            true => Some(loaded(line)?.settings.observe),
            false => None,
        };
        let addresses = match &arguments.address {
            Some(address) => look_up(address)?,
            None => vec![listening(observe.as_ref())?],
        };
        let token = observe.and_then(|it| it.token);
        Ok(Target { addresses, token, answered_within: ANSWERED_WITHIN })
    }

    /// What it answers to that path.
    pub(super) fn get(&self, path: &str) -> Result<String, Failure> {
        self.answer("GET", path)
    }

    fn answer(&self, method: &str, path: &str) -> Result<String, Failure> {
        let answer =
            ask((&self.addresses, self.answered_within), method, path, self.token.as_deref());
        let (status, text) = answer.map_err(|error| {
            let places: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
            let places = places.join(", ");
            // What a read says whose time is over; a connection says another word.
            if error.kind() == io::ErrorKind::WouldBlock {
                return Failure::unavailable(format!(
                    "{places} took the question and did not answer it within {} s: /healthz says \
                     whether its hot thread turns",
                    self.answered_within.as_secs_f32()
                ));
            }
            Failure::unavailable(format!(
                "nobody answers at {places} ({error}): is the process running there? \
                 --address names another place"
            ))
        })?;
        match status {
            200 => Ok(text),
            401 | 403 => Err(Failure::usage(text)),
            409 => Err(Failure { exit: Exit::False, message: text }),
            404 | 405 => Err(Failure::unavailable(format!(
                "what answers there knows no {method} {path}: is it Hotspur? ({status})"
            ))),
            _ => Err(Failure::unavailable(text)),
        }
    }
}

fn look_up(address: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found = address.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let hint = "a host and a port are wanted, such as 127.0.0.1:9464";
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::usage(format!("--address {address}: no such host; {hint}"))),
        Err(error) => Err(Failure::usage(format!("--address {address}: {error}; {hint}"))),
    }
}

/// Where a process of this configuration is reached from this machine.
fn listening(observe: Option<&Observe>) -> Result<SocketAddr, Failure> {
    let listen = observe.and_then(|it| it.listen).ok_or_else(|| {
        Failure::usage("observe.listen is \"off\": a process of this configuration cannot be told")
    })?;
    if listen.port() == 0 {
        let message = "observe.listen takes a free port: name the one that it got with --address \
                       (the log has it: run.listening)";
        return Err(Failure::usage(message));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

/// The status and the text of the first of these places that can be reached.
fn ask(
    (addresses, answered_within): (&[SocketAddr], Duration),
    method: &str,
    path: &str,
    token: Option<&str>,
) -> io::Result<(u16, String)> {
    let mut connected = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        connected = TcpStream::connect_timeout(address, CONNECTED_WITHIN);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(answered_within))?;
    stream.set_write_timeout(Some(ANSWERED_WITHIN))?;
    let host = stream.peer_addr()?;
    let bearer = token.map_or(String::new(), |it| format!("Authorization: Bearer {it}\r\n"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\
         {bearer}\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    read(&answer)
}

fn read(answer: &[u8]) -> io::Result<(u16, String)> {
    let answer = String::from_utf8_lossy(answer);
    let split = answer.split_once("\r\n\r\n").filter(|_| answer.starts_with("HTTP/1."));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (split, status) {
        (Some((_, text)), Some(status)) => Ok((status, text.to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what answers is no HTTP server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(listen: Option<&str>) -> Observe {
        Observe {
            out: None,
            interval: Duration::from_secs(1),
            listen: listen.map(|it| it.parse().unwrap()),
            token: None,
            keys: crate::config::settings::KeyDisplay::Hash,
        }
    }

    #[test]
    fn an_address_that_means_all_is_reached_on_loopback() {
        for (listen, reached) in [
            ("127.0.0.1:9464", "127.0.0.1:9464"),
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("192.168.1.2:80", "192.168.1.2:80"),
        ] {
            let address = listening(Some(&observe(Some(listen)))).unwrap();
            assert_eq!(address.to_string(), reached);
        }
        for (listen, words) in [(None, "\"off\""), (Some("127.0.0.1:0"), "--address")] {
            let failure = listening(Some(&observe(listen))).unwrap_err();
            assert!(failure.message.contains(words), "{failure:?}");
        }
    }

    #[test]
    fn who_takes_a_question_and_never_answers_is_told_from_nobody() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = vec![silent.local_addr().unwrap()];
        let target = Target { addresses, token: None, answered_within: Duration::from_millis(30) };
        let failure = target.get("/live/moment").unwrap_err();
        assert!(failure.message.contains("/healthz"), "{failure:?}");
        drop(silent);
        let failure = target.get("/live/moment").unwrap_err();
        assert!(failure.message.starts_with("nobody answers at 127.0.0.1:"), "{failure:?}");
    }

    #[test]
    fn answers_are_read_and_what_is_none_is_told() {
        let (status, text) = read(b"HTTP/1.1 200 OK\r\na: b\r\n\r\npaused\n").unwrap();
        assert_eq!((status, text.as_str()), (200, "paused\n"));
        for answer in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"-ERR unknown command\r\n\r\n"] {
            assert!(read(answer).is_err());
        }
    }
}
