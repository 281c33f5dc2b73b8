//! The failover machine: scenarios of five lines, and a naive model beside random histories.

mod model;
mod scene;
mod session;
mod sign_in;
