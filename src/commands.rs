//! What is not a run.

mod probe;
mod schema;

pub(crate) use probe::probe;
pub(crate) use schema::schema;
