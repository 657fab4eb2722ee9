//! The lattice of types as properties of random records, against a slow reference.
//!
//! The generator makes the text and the model of a record together, so no parser is the oracle.

#[path = "lattice/generate.rs"]
mod generate;
#[path = "lattice/json.rs"]
mod json;
#[path = "lattice/page.rs"]
mod page;
#[path = "lattice/pairs.rs"]
mod pairs;
#[path = "lattice/properties.rs"]
mod properties;
#[path = "lattice/reference.rs"]
mod reference;
#[path = "lattice/shapes.rs"]
mod shapes;
#[path = "lattice/write.rs"]
mod write;

/// So few keys that some objects are structs and some are text.
const NESTING: etl::schema::Nesting = etl::schema::Nesting { keys_max: 2 };
