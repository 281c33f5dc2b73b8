//! An operator at a master: `salt-key`, `salt` and the event bus, through one Python that stays.
//!
//! Each of Salt's own commands takes a second of processor time to import what it needs, and a
//! suite gives hundreds. The console calls what those commands call; that the commands themselves
//! work is asked once per version.

use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Version;
use crate::namespace::{Namespace, inside};
use crate::process::{Log, Process};

/// A console of one running master; a restart of the master needs a new one.
#[derive(Debug)]
pub struct Console {
    process: Process,
    /// Where orders go, and how many have gone.
    orders: Mutex<(ChildStdin, usize)>,
}

/// What one call of `salt` has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub jid: String,
    /// Whom the master expects to answer.
    pub minions: Vec<String>,
}

impl Console {
    /// Opens it, and returns when no event can be missed any more.
    ///
    /// # Errors
    ///
    /// Fails with Python's words if it does not come up.
    pub fn open(
        version: Version,
        config_dir: &Path,
        namespace: Option<&Namespace>,
    ) -> Result<Self> {
        let mut command = version.command("python")?;
        command.args(["-c", PROGRAM]).arg(config_dir);
        let (process, input) = Process::interactive(&mut inside(namespace, command))?;
        process.log().wait_for("listening")?;
        Ok(Self {
            process,
            orders: Mutex::new((input, 0)),
        })
    }

    /// The events of the master's bus, each a line `event <tag> <JSON>`.
    #[must_use]
    pub const fn events(&self) -> &Log {
        self.process.log()
    }

    /// `salt-key`: accept, reject, delete and the rest, under the names of Salt's wheel module.
    ///
    /// # Errors
    ///
    /// Fails if Salt does.
    pub fn key(&self, verb: &str, arguments: &Value) -> Result<Value> {
        self.order(&json!({ "do": "wheel", "fun": format!("key.{verb}"), "args": arguments }))
    }

    /// Accepts the key of a minion, also one that was rejected before.
    ///
    /// # Errors
    ///
    /// Fails if Salt does, or knows no such key.
    pub fn accept(&self, id: &str) -> Result<()> {
        self.key("accept", &json!([id, true]))?;
        self.expect_key(id, "minions")
    }

    /// Checks where the master keeps the key of a minion, for example under `minions_pre`.
    ///
    /// # Errors
    ///
    /// Fails if it is not there.
    pub fn expect_key(&self, id: &str, state: &str) -> Result<()> {
        let keys = self.key("list_all", &json!([]))?;
        let found = keys.get(state).and_then(Value::as_array);
        if found.is_some_and(|ids| ids.iter().any(|found| found == id)) {
            return Ok(());
        }
        bail!("{id} is not in {state}: {keys}")
    }

    /// Publishes a job, as `salt` does, and does not wait for answers.
    ///
    /// # Errors
    ///
    /// Fails if Salt does, or if the target matches no minion that it knows.
    pub fn publish(&self, (tgt_type, tgt): (&str, Value), fun: &str, arg: &[&str]) -> Result<Job> {
        let answer = self.order(&json!({
            "do": "publish", "tgt": tgt, "tgt_type": tgt_type, "fun": fun, "arg": arg,
        }))?;
        let jid = answer.get("jid").and_then(Value::as_str);
        let minions = answer.get("minions").and_then(Value::as_array);
        let minions = minions.into_iter().flatten().filter_map(Value::as_str);
        Ok(Job {
            jid: jid.with_context(|| format!("no job: {answer}"))?.to_owned(),
            minions: minions.map(str::to_owned).collect(),
        })
    }

    /// What this minion answers to a job.
    ///
    /// # Errors
    ///
    /// Fails if it does not.
    pub fn answer(&self, job: &Job, id: &str) -> Result<Value> {
        let tag = format!("event salt/job/{}/ret/{id} ", job.jid);
        let line = self.events().wait_for(&tag)?;
        let data = line
            .strip_prefix(&tag)
            .context("the tag is in the middle")?;
        Ok(serde_json::from_str(data)?)
    }

    /// `salt <id> <fun>`: publishes, and gives what the minion returns.
    ///
    /// # Errors
    ///
    /// As [`Console::publish`] and [`Console::answer`].
    pub fn ask(&self, id: &str, fun: &str, arg: &[&str]) -> Result<Value> {
        let job = self.publish(("glob", json!(id)), fun, arg)?;
        let answer = self.answer(&job, id)?;
        answer.get("return").cloned().context("no return")
    }

    /// Puts grains of a minion into the master's cache, as a stock minion's pillar request does.
    ///
    /// # Errors
    ///
    /// Fails if Salt does.
    pub fn remember_grains(&self, id: &str, grains: &Value) -> Result<()> {
        self.order(&json!({ "do": "remember_grains", "id": id, "grains": grains }))?;
        Ok(())
    }

    fn order(&self, order: &Value) -> Result<Value> {
        let mark = {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            let (input, number) = &mut *orders;
            writeln!(input, "{order}")?;
            let mark = format!("answer {number} ");
            *number = number.saturating_add(1);
            mark
        };
        let line = self.events().wait_for(&mark)?;
        let answer: Value =
            serde_json::from_str(line.strip_prefix(&mark).context("the answer is broken")?)?;
        match answer.get("error") {
            Some(error) => bail!("{order}: {error}"),
            None => Ok(answer),
        }
    }
}

const PROGRAM: &str = include_str!("console.py");
