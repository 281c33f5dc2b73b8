//! Whatever is wrong with an acceptance, the token is not asked.
//!
//! Each test ends with the count of signatures that the token was asked for over anything but the
//! service's own trial message. It is 0, after the test has shown that the request came as far as
//! an answer; the one test that expects a signature shows that the count would see it.
