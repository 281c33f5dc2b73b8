//! How connections are made, and how results are sent.

use std::num::NonZeroU16;
use std::time::Duration;

use super::ConfigError;
use super::option::Options;
use super::{Network, Returns};
use crate::net::Keepalive;

/// The options of connections.
pub(super) fn network(options: &mut Options) -> Result<Network, ConfigError> {
    Ok(Network {
        keepalive: keepalive(options)?,
        ipv6: options.boolean("ipv6")?,
        source_address: options
            .parsed("source_address", "an IP address", |text| text.parse().ok())?,
        source_ret_port: options.port("source_ret_port")?,
        source_publish_port: options.port("source_publish_port")?,
        zmq_filtering: options.boolean("zmq_filtering")?.unwrap_or(false),
    })
}

/// The options of requests and of returns.
pub(super) fn returns(options: &mut Options) -> Result<Returns, ConfigError> {
    Ok(Returns {
        retry_timer: options
            .seconds("return_retry_timer")?
            .unwrap_or(Duration::from_secs(5)),
        retry_timer_max: options
            .seconds("return_retry_timer_max")?
            .unwrap_or(Duration::from_secs(10)),
        retry_tries: options.count("return_retry_tries")?.unwrap_or(3),
        request_timeout: options
            .seconds("request_channel_timeout")?
            .unwrap_or(Duration::from_secs(60)),
        request_tries: options.count("request_channel_tries")?.unwrap_or(3),
    })
}

/// `publish_port`, where it is one.
///
/// Salt 3008.5, `salt/channel/client.py`, `AsyncPubChannel.connect`: 4506, the default of another
/// port, is Salt's word for none, and the master's is used.
pub(super) fn publish_port(options: &mut Options) -> Result<Option<NonZeroU16>, ConfigError> {
    let port = options.port("publish_port")?;
    Ok(port.filter(|port| port.get() != 4506))
}

fn keepalive(options: &mut Options) -> Result<Keepalive, ConfigError> {
    let on = options.boolean("tcp_keepalive")?.unwrap_or(true);
    let idle = system_or(options, "tcp_keepalive_idle", Some(300))?;
    let interval = system_or(options, "tcp_keepalive_intvl", None)?;
    let count = system_or(options, "tcp_keepalive_cnt", None)?;
    let seconds = |number: Option<u32>| number.map(|number| Duration::from_secs(number.into()));
    Ok(if on {
        Keepalive::On {
            idle: seconds(idle),
            interval: seconds(interval),
            count,
        }
    } else {
        Keepalive::Off
    })
}

/// A number for the kernel; -1 leaves the system's own.
///
/// Salt 3008.5, `salt/config/__init__.py`, has them as floating-point numbers and libzmq takes
/// whole ones.
fn system_or(
    options: &mut Options,
    option: &'static str,
    stock: Option<u32>,
) -> Result<Option<u32>, ConfigError> {
    let number = options.parse(option, "a whole number, or -1", |value| {
        // 60.0 is as whole as 60.
        let digits = value.as_f64()?.to_string();
        digits.parse::<i64>().ok()
    })?;
    Ok(match number {
        None => stock,
        Some(number) => u32::try_from(number).ok().filter(|number| *number > 0),
    })
}
