//! Holds the table of rooms: imports go down only, and each vendor crate has one place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the top down. A room may import from later rows, not from its own (but for the last).
const LAYERS: &[&[&str]] = &[
    &["main", "cli", "commands", "machine", "process", "progress"],
    &["pipeline"],
    &["fetch", "transform", "write"],
    &["sink", "ledger", "cpu", "budget"],
    &["model", "schema", "config", "error", "metrics", "report", "calendar", "digest", "pointer", "shown"],
];

/// Vendor crates and the only files that import them.
const VENDORS: &[(&str, &[&str])] = &[
    ("ahash", &["transform/members.rs", "transform/records.rs", "write/dictionary.rs"]),
    ("base64", &["fetch/credentials.rs", "fetch/rejected.rs", "write/rejects.rs"]),
    ("brotli_decompressor", &["fetch/decompress.rs"]),
    ("chrono", &["calendar.rs"]),
    ("clap", &["cli/args.rs"]),
    (
        "fastrand",
        &[
            "fetch/client/http_body.rs",
            "fetch/fetcher.rs",
            "fetch/rejected.rs",
            "fetch/retry.rs",
            "fetch/spool.rs",
            "pipeline.rs",
        ],
    ),
    ("flate2", &["fetch/decompress.rs"]),
    ("governor", &["fetch/rate.rs"]),
    ("hmac", &["digest.rs"]),
    ("http_body", &["fetch/client.rs", "fetch/client/http_body.rs"]),
    ("http_body_util", &["fetch/client/http_body.rs"]),
    ("jaq_core", &["transform/filter.rs"]),
    ("jaq_json", &["transform/filter.rs", "transform/filter/value.rs"]),
    ("jaq_std", &["transform/filter.rs"]),
    (
        "memchr",
        &["transform/cutter.rs", "transform/layout.rs", "transform/oversize.rs", "transform/records.rs"],
    ),
    ("parquet", &["write/part.rs", "write/part_reader.rs", "write/unfinished.rs"]),
    ("rayon", &["cpu.rs"]),
    ("reqwest", &["fetch/client.rs"]),
    ("rusqlite", &["ledger/database.rs"]),
    ("rustix", &["machine.rs", "sink/system.rs"]),
    ("sha2", &["digest.rs"]),
    ("simdutf8", &["transform/records.rs"]),
    ("statrs", &["transform/features/moments.rs"]),
    ("tokio_util", &["pipeline.rs", "pipeline/asker.rs"]),
    ("toml", &["cli/requests.rs", "schema/schema_file.rs"]),
    ("tracing_subscriber", &["process.rs"]),
    ("twox_hash", &["digest.rs"]),
    ("zstd", &["fetch/decompress.rs"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of every file of `src`, by its path there: without comments and without its tests.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.ends_with("properties.rs"))
        .map(|(name, path)| {
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
            (name, code.join("\n"))
        })
        .collect()
}

fn room_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn layer_of(room: &str) -> usize {
    let layer = LAYERS.iter().position(|rooms| rooms.contains(&room));
    layer.unwrap_or_else(|| panic!("{room} has no row in the table of rooms"))
}

/// The rooms that code names: `crate::fetch::...` in the library, `etl::fetch::...` in the binary.
fn rooms_named_in(code: &str) -> Vec<&str> {
    ["crate::", "etl::"]
        .iter()
        .flat_map(|root| {
            code.match_indices(root).filter(|(place, _)| {
                !code[..*place]
                    .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
            })
        })
        .map(|(place, root)| {
            let rest = &code[place + root.len()..];
            &rest[..rest.find(|end: char| !end.is_alphanumeric() && end != '_').unwrap_or(rest.len())]
        })
        .collect()
}

#[test]
fn imports_go_down_only() {
    let lowest = LAYERS.len() - 1;
    for (file, code) in code().iter().filter(|(file, _)| *file != "lib.rs") {
        let room = room_of(file);
        for named in rooms_named_in(code).into_iter().filter(|named| *named != room && !named.is_empty()) {
            let (ours, theirs) = (layer_of(room), layer_of(named));
            let is_down = theirs > ours || (ours == lowest && theirs == lowest) || ours == 0;
            assert!(is_down, "src/{file} imports {named}, which is not below it");
        }
    }
}

/// Crates that any room may speak.
const LANGUAGE: &[&str] = &["arrow", "bytes", "serde", "serde_json", "thiserror", "tokio", "tracing", "url"];

/// The crates under `[dependencies]`, as code names them.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect()
}

fn names(code: &str, vendor: &str) -> bool {
    let path = format!("{vendor}::");
    code.match_indices(&path).any(|(place, _)| {
        !code[..place].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
    })
}

#[test]
fn every_vendor_crate_has_its_place() {
    for (file, code) in code() {
        for (vendor, places) in VENDORS {
            assert!(
                !names(&code, vendor) || places.contains(&file.as_str()),
                "src/{file} imports {vendor}, which belongs to {places:?}"
            );
        }
    }
}

#[test]
fn every_dependency_is_in_the_table_and_every_entry_is_a_dependency() {
    let mut expected: Vec<String> = VENDORS
        .iter()
        .map(|(vendor, _)| *vendor)
        .chain(LANGUAGE.iter().copied())
        .map(str::to_owned)
        .collect();
    let mut found = dependencies();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn rooms_are_named_one_by_one() {
    for (file, code) in code() {
        assert!(!code.contains("use crate::{"), "src/{file} groups rooms, which hides them from this table");
        assert!(!code.contains("use etl::{"), "src/{file} groups rooms, which hides them from this table");
    }
}

#[test]
fn every_place_still_imports_its_vendor() {
    let code = code();
    for (vendor, places) in VENDORS {
        for place in *places {
            let text = code
                .get(*place)
                .unwrap_or_else(|| panic!("src/{place} is gone; {vendor} was imported there"));
            assert!(text.contains(&format!("{vendor}::")), "src/{place} no longer imports {vendor}");
        }
    }
}
