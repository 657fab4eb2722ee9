//! What is not a run.

mod schema;

pub(crate) use schema::schema;
