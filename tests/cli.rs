//! The contract of the program, seen from outside: the real binary, a real server with faults, real files.
//!
//! Nothing here calls the library. A test says what the README promises and fails when the program breaks it.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/contract.rs"]
mod contract;
#[path = "cli/descriptors.rs"]
mod descriptors;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/drift.rs"]
mod drift;
#[path = "cli/error_object.rs"]
mod error_object;
#[path = "cli/features.rs"]
mod features;
#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/identity.rs"]
mod identity;
#[path = "cli/jq.rs"]
mod jq;
#[path = "cli/kill.rs"]
mod kill;
#[path = "cli/large.rs"]
mod large;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/lock.rs"]
mod lock;
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/misuse.rs"]
mod misuse;
#[path = "cli/order.rs"]
mod order;
#[path = "cli/oversize.rs"]
mod oversize;
#[path = "cli/paginate.rs"]
mod paginate;
#[path = "cli/paginate_auto.rs"]
mod paginate_auto;
#[path = "cli/paginate_end.rs"]
mod paginate_end;
#[path = "cli/places.rs"]
mod places;
#[path = "cli/private.rs"]
mod private;
#[path = "cli/probe.rs"]
mod probe;
#[path = "cli/projection.rs"]
mod projection;
#[path = "cli/provenance.rs"]
mod provenance;
#[path = "cli/publish.rs"]
mod publish;
#[path = "cli/put_off.rs"]
mod put_off;
#[path = "cli/raw.rs"]
mod raw;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/rejects.rs"]
mod rejects;
#[path = "cli/requests.rs"]
mod requests;
#[path = "cli/resume.rs"]
mod resume;
#[path = "cli/retry.rs"]
mod retry;
#[path = "cli/retry_failed.rs"]
mod retry_failed;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/sample.rs"]
mod sample;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/server.rs"]
mod server;
#[path = "cli/shapes.rs"]
mod shapes;
#[path = "cli/table.rs"]
mod table;
#[path = "cli/talk.rs"]
mod talk;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/wholeness.rs"]
mod wholeness;
