//! Which master a minion talks to, as a function: (state, event, now) to (state, actions).
//!
//! [`Machine::step`] neither waits nor asks anybody: the agent performs the [`Action`]s, reports
//! what became of them as [`Event`]s, and calls again when the moment of [`Action::WaitUntil`] has
//! come. Every attempt has a deadline that the machine enforces itself, so an agent that forgets an
//! attempt cannot stop the minion. The obvious alternative, a task per master with timers in it,
//! cannot be run through ten thousand failovers in a test.
//!
//! # Rules
//!
//! - Masters are asked in order, each [`Settings::stagger`] after the one before unless that has
//!   failed already; the first that accepts is used and the other attempts are closed.
//! - A master that does not know the minion yet counts as accepting (the tutorial's rule): the
//!   minion stays and asks again. [`PendingRule::MoveOn`] prefers a master that knows it.
//! - No answer of one master ends the minion while another is left; see [`Exit`] for what does.
//! - A master that takes the connection and has no time for an answer is one of a crowd's: it is
//!   left alone longer and longer, and the others are asked meanwhile ([`Event::Reached`]).
//! - A lost master goes to the end of the order and is left alone for a moment that doubles while
//!   it flaps.
//! - Going back to the first master is make-before-break: the current one is kept until the first
//!   has accepted.
#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod backoff;
mod candidate;
mod connected;
mod event;
mod machine;
mod moment;
mod policy;
mod report;
mod seeking;
mod state;

pub use action::{Action, Exit, Reason};
pub use backoff::{Backoff, Random};
pub use event::{AttemptId, Event, Evidence, Failure, Outcome, ProbeId};
pub use machine::Machine;
pub use moment::Moment;
pub use policy::{MasterType, PendingRule, Policy, PolicyError, Position, Settings};
pub use report::{Level, Report};
