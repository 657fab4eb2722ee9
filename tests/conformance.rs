//! What the decoder accepts and refuses: JSONTestSuite, nesting of any depth, the forms of a page, `values`.
//!
//! Written against the contract in the README and the crate docs; `serde_json` is the oracle, never the decoder itself.

#[path = "conformance/deep.rs"]
mod deep;
#[path = "conformance/envelopes.rs"]
mod envelopes;
#[path = "lattice/json.rs"]
mod json;
#[path = "lattice/page.rs"]
mod page;
#[path = "conformance/pages.rs"]
mod pages;
#[path = "conformance/records.rs"]
mod records;
#[path = "lattice/reference.rs"]
mod reference;
#[path = "conformance/suite.rs"]
mod suite;
#[path = "conformance/values.rs"]
mod values;

/// Objects of any size stay structs, so that what is in them can be seen.
const NESTING: etl::schema::Nesting = etl::schema::Nesting::STRUCT;
