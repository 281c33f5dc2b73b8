//! What `mastersign-minion` can be asked for, a file each.

pub mod run;
