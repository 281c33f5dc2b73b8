//! The masters, and the options that decide between them.

use std::num::{NonZeroU16, NonZeroU32};

use serde_json::Value;

use super::ConfigError;
use super::master::Master;
use super::option::{Options, texts};
use crate::failover::{MasterType, PendingRule, Settings};

/// `master`, each entry with its port.
pub(super) fn masters(options: &mut Options) -> Result<Vec<Master>, ConfigError> {
    let port = options.port("master_port")?.unwrap_or(DEFAULT_PORT);
    let only_addresses = options.parsed("master_uri_format", "default or ip_only", |text| {
        ["default", "ip_only"]
            .contains(&text)
            .then_some(text == "ip_only")
    })?;
    let Some(found) = options.take("master")? else {
        return Ok(vec![Master {
            name: DEFAULT_MASTER.to_owned(),
            host: DEFAULT_MASTER.to_owned(),
            port,
        }]);
    };
    let names = match &found.value {
        Value::String(name) => Some(vec![name.clone()]),
        value => texts(value),
    };
    let Some(names) = names else {
        return Err(found.unexpected("a host, or a list of hosts"));
    };
    let read = |name: &String| match only_addresses {
        Some(true) => Master::address(name, port),
        Some(false) | None => Master::parse(name, port),
    };
    let masters: Result<_, _> = names.iter().map(read).collect();
    masters.map_err(|source| ConfigError::Master {
        file: found.file().to_owned(),
        source,
    })
}

/// Salt's options under Salt's names, and ours.
pub(super) fn failover(options: &mut Options, masters: &[Master]) -> Result<Settings, ConfigError> {
    let stock = Settings::default();
    let master_type = master_type(options)?;
    let shuffle = options.boolean("master_shuffle")?.unwrap_or(false);
    let random = options.boolean("random_master")?.unwrap_or(false);
    let settings = Settings {
        acceptance_wait_time: options
            .seconds("acceptance_wait_time")?
            .unwrap_or(stock.acceptance_wait_time),
        acceptance_wait_time_max: options
            .seconds("acceptance_wait_time_max")?
            .filter(|longest| !longest.is_zero()),
        auth_safemode: options.boolean("auth_safemode")?.unwrap_or(false),
        auth_timeout: options
            .seconds("auth_timeout")?
            .unwrap_or(stock.auth_timeout),
        auth_tries: options.count("auth_tries")?.unwrap_or(stock.auth_tries),
        loss_spread: options
            .seconds("mastersign_loss_spread")?
            .unwrap_or(stock.loss_spread),
        master_alive_interval: options
            .seconds("master_alive_interval")?
            .filter(|every| !every.is_zero()),
        master_failback: options.boolean("master_failback")?.unwrap_or(false),
        master_failback_interval: options
            .seconds("master_failback_interval")?
            .filter(|every| !every.is_zero()),
        master_tries: options.limit("master_tries")?.and_then(NonZeroU32::new),
        master_type,
        masters: masters.iter().map(|master| master.name.clone()).collect(),
        pending: pending(options)?,
        // Salt 3008.5, salt/minion.py, eval_master: the old name counts with failover alone.
        random_master: random || (shuffle && master_type == MasterType::Failover),
        random_reauth_delay: options
            .seconds("random_reauth_delay")?
            .unwrap_or(stock.random_reauth_delay),
        rejected_retry: options.boolean("rejected_retry")?.unwrap_or(false),
        retry_dns: options
            .seconds("retry_dns")?
            .map_or(stock.retry_dns, |every| {
                Some(every).filter(|every| !every.is_zero())
            }),
        retry_dns_count: options.count("retry_dns_count")?,
        stagger: options
            .seconds("mastersign_stagger")?
            .unwrap_or(stock.stagger),
    };
    // Whoever runs it asks again; here an error still has the configuration's name on it.
    settings.policies()?;
    Ok(settings)
}

fn master_type(options: &mut Options) -> Result<MasterType, ConfigError> {
    let Some(found) = options.take("master_type")? else {
        return Ok(MasterType::Str);
    };
    match found.value.as_str() {
        Some("disable") => Ok(MasterType::Disable),
        Some("failover") => Ok(MasterType::Failover),
        Some("str" | "") => Ok(MasterType::Str),
        Some("func") => Err(found.refused(
            "is func, which runs an execution module, and this minion has none; write its result \
             as `master`",
        )),
        Some("distributed") => Err(found.refused(
            "is distributed, which this minion does not have; write failover with `random_master: \
             True`, or order the list for each minion",
        )),
        Some(_) | None => Err(found.unexpected("str, failover or disable")),
    }
}

fn pending(options: &mut Options) -> Result<PendingRule, ConfigError> {
    let rule = options.parsed("mastersign_pending", "stay or move_on", |text| match text {
        "stay" => Some(PendingRule::Stay),
        "move_on" => Some(PendingRule::MoveOn),
        _ => None,
    })?;
    Ok(rule.unwrap_or(PendingRule::Stay))
}

const DEFAULT_MASTER: &str = "salt";
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(4506).unwrap();
