//! Jobs, targets and grains, against the Salt that they imitate: the same publication goes through
//! the modules and matchers of each line, without a master, and through ours.

mod functions;
mod grains;
mod reference;
mod targets;
