//! Every way in which a server can fail, and what is left of the page then.
//!
//! A real fetcher talks to a real socket; the server sends exactly the bytes that a test gives it.

#[path = "fetch/answers.rs"]
mod answers;
#[path = "fetch/attempts.rs"]
mod attempts;
#[path = "fetch/bench.rs"]
mod bench;
#[path = "fetch/bodies.rs"]
mod bodies;
#[path = "fetch/files.rs"]
mod files;
#[path = "fetch/http2.rs"]
mod http2;
#[path = "fetch/limits.rs"]
mod limits;
#[path = "fetch/resume.rs"]
mod resume;
#[path = "fetch/secrets.rs"]
mod secrets;
#[path = "fetch/server.rs"]
mod server;
#[path = "fetch/tls.rs"]
mod tls;
#[path = "fetch/tokens.rs"]
mod tokens;
