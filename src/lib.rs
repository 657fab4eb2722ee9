//! x
#![allow(missing_docs, clippy::allow_attributes_without_reason, clippy::allow_attributes)]
pub mod budget;
pub mod calendar;
pub mod config;
pub mod cpu;
mod digest;
pub mod error;
pub mod metrics;
pub mod model;
