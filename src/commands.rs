//! What is not a run.

mod probe;
mod runs;
mod schema;

pub(crate) use probe::probe;
pub(crate) use runs::{RunsConfig, runs};
pub(crate) use schema::schema;
