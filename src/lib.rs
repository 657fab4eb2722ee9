//! `etl` pulls JSON log pages over HTTP, computes variance features over numeric lists in the records on
//! a rayon pool, and leaves one verified, snappy-compressed Parquet file. This page is its architecture.
//!
//! # The straight line
//!
//! ```text
//! PageRequest -> body -> chunks -> columns + rejects -> features -> rows -> row group -> part -> published file
//!    fetch             |------------- transform (pure) -------------|          write            sink
//! ```
//!
//! - **A stage is a module, not an actor; one page is one task.** [`pipeline`] spawns a task per page and
//!   sends its handle through one bounded queue in page order. Pages are fetched and decoded side by side
//!   and written in the order of the list, so the file is the same, byte for byte, at any concurrency and memory.
//! - **A slow page does not hold the line.** One that must wait long is put off: the others go on, it stands in the line again
//!   once it has an answer, and at the end the rows are put in order ([`write::WrittenOrder`]).
//! - **A URL may be the first page of a chain** ([`fetch::Chain`]). The writer tells what a page says of the next one, which is
//!   then queued behind all pages of its round: rows stand by page, then by line, and no chain is buffered.
//! - **A run that is stopped is gone on with.** Now and then the part that grows is synced, with what its row groups say and
//!   the rows of the open one in files beside it, and the [`ledger`] knows them, together with the pages that are done by
//!   that; the next run goes on behind them. The file of a run that nobody stops is the same with it and without.
//! - **A chunk is the unit of decoding.** A page is cut at the borders of its records while it arrives, at places
//!   that depend on its bytes alone. A small page is one chunk. The chunks of a larger one are decoded on all
//!   cores and written to a table of its own, whose row groups join the output by copy once the body has ended
//!   well, or vanish.
//! - **tokio waits, rayon computes.** The only hand-off is [`cpu::CpuPool::run`]: decompression, cutting,
//!   decoding with its features, encoding of columns and writing of row groups go through it.
//! - **Each host has one line.** A request is sent when its host takes one more at once, which is found out by asking,
//!   has not asked for a pause, and `--rate` allows it; the earliest page goes first ([`fetch`]). What is in the file does
//!   not depend on it.
//! - **Bytes are paid for.** A chunk carries a [`budget::Reservation`] for its bytes and columns until the writer
//!   has its rows. Reservations are made in page order, and the page that the writer waits for has a lane of its
//!   own, so a budget smaller than a row group can't lock the line up. Any other page stops at its first chunk;
//!   what its server goes on sending is kept in a backlog, in memory where the budget has room, else on disk.
//! - **Bodies may be kept as they came** (`--keep-raw`): each is hashed and written beside being taken, and the index of
//!   [`sink`] names it once the writer has its page, so in the order of the rows. A replay is the same line from another
//!   [`fetch::PageList`].
//! - **Secrets have a home.** The origin that the list names for a page is the only one that gets headers, logins and
//!   bodies; which of them go with a request is decided by one pure function of [`fetch`], wherever redirects lead.
//! - **Records go straight into columns.** [`transform`] reads bytes into plain vectors that widen as
//!   values demand and are frozen into Arrow arrays without a copy. A refused record leaves no trace. A column that
//!   most records lack is kept without its nulls until its row group is encoded. What is not asked for is skipped.
//!   With a filter ([`transform::Filter`]) there are values on the way: of a record first, then the JSON of its
//!   results, which are decoded as records are.
//! - **Types are a function of the set of kinds seen** ([`schema`]), so that the schema does not depend on
//!   where pages end. A part whose schema is outgrown is closed; at the end parts become one, column chunk by column
//!   chunk: copied as it is encoded, written as nulls, or read back and widened ([`mod@write`]).
//! - **A schema may be declared** ([`schema::DeclaredSchema`]): the output begins with it, and records may be held to
//!   it. A chunk is decoded without it first; only if its columns don't fit is each record looked at.
//!   [`pipeline::Surveyor`] runs the line up to the columns, to print the schema that there is.
//! - **What is done is known.** A page is done in the transaction that makes the part with its rows known, after the
//!   bytes of the part are on the disk ([`ledger`]).
//! - **A reader never sees a half-made output.** [`sink`] locks the target, keeps scratch files beside it,
//!   and renames only what was synced, reopened and compared with the counts.
//!
//! # What is data and what is an error
//!
//! A record that is wrong is a [`model::Reject`]; a page that is wrong is a [`model::PageFault`], and so is one in which a
//! server says that something failed. Both are counted, kept and shown, and the run goes on. An [`error::Error`] stops the run; its kind is the exit
//! code. A broken invariant panics, and [`cpu`] turns the panic into an error, so nothing is published.
//!
//! # Deliberately absent
//!
//! The library prints nothing and installs no globals. It measures time but decides nothing by it, but for
//! timeouts, when the next request is sent, the life of a token and the day of `{date:...}`. Of the environment it reads
//! what its parts read: the proxy variables and the folder for temporary files. There is no plug-in interface for stages
//! and no second way from bytes to columns. `unsafe` is forbidden.
//!
//! # Modules
//!
//! Imports go down only, and a test holds them to it: [`pipeline`] -> [`fetch`] | [`transform`] | [`mod@write`]
//! -> [`sink`], [`ledger`], [`cpu`], [`budget`] -> [`model`], [`schema`], [`config`], [`error`], [`metrics`],
//! [`report`], [`calendar`], [`mod@pointer`].

pub mod config;
pub mod error;
pub mod model;
pub mod schema;
pub mod shown;

pub mod calendar;
pub mod metrics;
pub mod pointer;
pub mod report;

mod digest;

pub mod budget;
pub mod cpu;
pub mod ledger;
pub mod sink;

pub mod fetch;
pub mod transform;
pub mod write;

pub mod pipeline;
