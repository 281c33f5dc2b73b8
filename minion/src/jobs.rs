//! The jobs that a master publishes: whether one is meant for this minion, and what it returns.
//!
//! Everything here is a function of the publication and a [`Context`]. A job that needs a fact from
//! the network says so with an [`Answer`] that is no reply; the agent finds it out, adds it to the
//! context and runs the job again. So a job can be cut off by a failover at any point and begins
//! anew without a trace.

mod answer;
mod arguments;
mod context;
mod function;
mod python;
mod run;
mod seen;
mod target;
mod traverse;
mod version;
mod yaml;

pub use answer::{Answer, Reply};
pub use context::{Context, Master};
pub use run::run;
pub use seen::Seen;
pub use target::matches;
