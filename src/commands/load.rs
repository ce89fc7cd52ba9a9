//! `load`: a generator into the source.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::{Failure, Outcome};
use crate::config::{Loaded, units};

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("amount").required(true).args(["count", "rate"]))]
pub struct Arguments {
    /// So many records, as fast as they are acknowledged
    #[arg(long, value_name = "N", value_parser = units::parse_rate)]
    pub count: Option<u64>,
    /// Records per second, open loop
    #[arg(long, value_name = "N", requires = "duration", value_parser = units::parse_rate)]
    pub rate: Option<u64>,
    /// How long
    #[arg(long = "for", value_name = "D", requires = "rate", value_parser = units::parse_duration)]
    pub duration: Option<Duration>,
    /// What they say: names, orders, or lines of a file
    #[arg(long, value_name = "names|orders|@FILE", default_value = "orders")]
    pub payload: Payload,
    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Skew of the keys; 0: all alike
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = parse_skew)]
    pub zipf: f64,
    /// A header of every record; may be given again
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,
    /// The same seed gives the same records
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// What the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `{"first_name","last_name"}`.
    Names,
    /// `{"id","key","value","timestamp_sent"}`.
    Orders,
    /// Lines of a file, again from its start when they end.
    File(PathBuf),
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Payload, String> {
        match text {
            "names" => Ok(Payload::Names),
            "orders" => Ok(Payload::Orders),
            "weather" => Err("the payload weather is not built yet".to_owned()),
            _ => match text.strip_prefix('@').filter(|path| !path.is_empty()) {
                Some(path) => Ok(Payload::File(path.into())),
                None => Err("a payload is names, orders, or @FILE".to_owned()),
            },
        }
    }
}

fn parse_skew(text: &str) -> Result<f64, String> {
    let skew = text.parse::<f64>().ok().filter(|skew| (0.0..=10.0).contains(skew));
    skew.ok_or_else(|| "a skew is a number from 0 to 10, such as 0.99".to_owned())
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a header is written as NAME=VALUE")?;
    match name.is_empty() {
        true => Err("a header has a name".to_owned()),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Runs the command.
pub fn run(_loaded: &Loaded, _arguments: &Arguments) -> Outcome {
    Err(Failure::not_built("`hotspur load`"))
}
