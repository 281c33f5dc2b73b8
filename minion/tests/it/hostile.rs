//! The whole agent against a master that misbehaves, over real TCP: one test for every cell of the
//! attack matrix in `docs/threat-model.md`, the nine rules, and what takes more than one message.
//!
//! Every answer has one thing wrong and everything else right: the hostile master's key is signed
//! for the fleet unless that is the point, so what is refused is refused for its one fault. Behind
//! it in the minion's list stands a good master, to which the minion must get away, or return.

mod algorithm;
mod cells;
mod combination;
mod disk;
mod keys;
mod minion;
mod peer;
mod pem;
mod publication;
mod resource;
mod rules;
mod scene;
mod sequence;
mod sign_in;
