//! x
pub mod budget;
pub mod calendar;
pub mod config;
pub mod cpu;
mod digest;
pub mod error;
pub mod fetch;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod report;
pub mod schema;
pub mod sink;
pub mod transform;
pub mod write;
