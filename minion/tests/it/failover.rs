//! The failover machine: scenarios of five lines, a naive model beside random histories, and a
//! whole fleet.

mod fleet;
mod model;
mod scene;
mod session;
mod sign_in;
