//! Nobody else's files: what is read, what stands in folders that others use, and what is planted under our names.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use crate::bench::{Etl, Folder};
use crate::server::{Gate, Server};

const PAGE: &str = "{\"id\":1}\n{\"id\":2}\n";
/// Names that people and other programs use, or that look like ours.
const NAMES: [&str; 20] = [
    "part-00000",
    "part-1",
    "part-7.parquet",
    "rejects-1",
    "rejects-00",
    "incoming-1",
    "incoming-7",
    "_SUCCESS",
    "data.parquet",
    "index.ndjson",
    "index.ndjson.new",
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-journal",
    "etl-part-1",
    "etl-part-x",
    "etl-rejects-2",
    ".etl-incoming-1",
    "run",
    "notes.txt",
];

fn pages() -> Folder {
    let folder = Folder::with_pages(&[("p.ndjson", PAGE)]);
    folder.write("urls.txt", "p.ndjson\n");
    folder
}

fn fill(folder: &Path, names: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for name in names {
        fs::write(folder.join(name), format!("mine: {name}")).unwrap();
    }
}

/// All files are as [`fill`] left them, and there is no other.
#[track_caller]
fn assert_untouched(folder: &Path, names: &[&str]) {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected: Vec<_> = names.iter().map(ToString::to_string).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for name in names {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), format!("mine: {name}"));
    }
}

fn etl(site: &Folder, out: &Path) -> Etl {
    Etl::new(&site.path("urls.txt"), out)
}

#[test]
fn folder_of_somebody_else_is_refused_and_left_as_it_is() {
    let site = pages();
    for option in ["--state", "--keep-raw"] {
        for name in NAMES {
            let output = Folder::new();
            let folder = output.path("shared");
            fill(&folder, &[name]);
            let run = etl(&site, &output.path("out.parquet")).arg(option).arg(&folder);
            let outcome = run.run_as_typed().exits(2);
            assert!(outcome.stderr.contains("shared") && outcome.stderr.contains(name), "{}", outcome.stderr);
            assert_untouched(&folder, &[name]);
            assert_eq!(output.names(), ["shared"], "{option} {name}");
        }
    }
}

#[test]
fn what_stands_where_the_state_of_an_output_would_stand_is_refused_and_left_as_it_is() {
    let site = pages();
    for name in NAMES {
        let output = Folder::new();
        fill(&output.path("out.parquet.etl"), &[name]);
        let outcome = etl(&site, &output.path("out.parquet")).run_as_typed().exits(2);
        assert!(outcome.stderr.contains("out.parquet.etl"), "{}", outcome.stderr);
        assert_untouched(&output.path("out.parquet.etl"), &[name]);
    }
    let output = Folder::new();
    fill(&output.path("elsewhere"), &NAMES);
    symlink("elsewhere", output.path("out.parquet.etl")).unwrap();
    etl(&site, &output.path("out.parquet")).run_as_typed().exits(2);
    assert_untouched(&output.path("elsewhere"), &NAMES);
}

#[test]
fn names_beside_the_output_stay_as_they_are() {
    let (site, output) = (pages(), Folder::new());
    fill(output.root(), &NAMES);
    etl(&site, &output.path("out.parquet")).run_as_typed().exits(0);
    fs::remove_file(output.path("out.parquet")).unwrap();
    assert_untouched(output.root(), &NAMES);
}

#[test]
fn folders_that_were_made_by_a_run_are_used_again() {
    let (site, output) = (pages(), Folder::new());
    for option in ["--state", "--keep-raw"] {
        for _ in 0..2 {
            let run = etl(&site, &output.path("out.parquet")).arg(option).arg(output.path(&option[2..]));
            run.run_as_typed().exits(0);
        }
        fs::write(output.path(&option[2..]).join("etl-part-mine"), "mine").unwrap();
        let run = etl(&site, &output.path("out.parquet")).arg(option).arg(output.path(&option[2..]));
        run.run_as_typed().exits(0);
        assert_eq!(fs::read(output.path(&option[2..]).join("etl-part-mine")).unwrap(), b"mine");
    }
}

#[test]
fn outputs_do_not_stand_in_folders_that_are_swept() {
    let site = pages();
    for (out, options) in [
        ("d/etl-part-1", "--state d"),
        ("d/part-1", "--state d"),
        ("d/ledger.sqlite", "--state d"),
        ("d/x/../out.parquet", "--state ./d"),
        ("link/out.parquet", "--state d"),
        ("d/incoming-1", "--keep-raw d"),
        ("out.parquet", "--rejects d/r.ndjson --state d"),
        ("out.parquet", "--rejects d/x/r.ndjson --keep-raw d"),
        ("out.parquet", "--rejects out.parquet.etl/r.ndjson"),
        ("out.parquet", "--keep-raw out.parquet.etl"),
    ] {
        let output = Folder::new();
        for folder in ["d", "d/x", "out.parquet.etl"] {
            fs::create_dir(output.path(folder)).unwrap();
        }
        fs::remove_dir(output.path("d/x")).unwrap();
        if out.contains("/x/") || options.contains("/x/") {
            fs::create_dir(output.path("d/x")).unwrap();
        }
        symlink("d", output.path("link")).unwrap();
        let before = output.names();
        let run = etl(&site, Path::new(out)).with(options).current_dir(output.root());
        run.run_as_typed().exits(2);
        assert_eq!(output.names(), before, "{out} {options}");
        assert!(fs::read_dir(output.path("d")).unwrap().all(|entry| entry.unwrap().file_name() == "x"));
    }
}

#[test]
fn file_that_is_read_is_no_output_by_any_name() {
    let key = "0123456789abcdef0123456789abcdef";
    let cases: [(&str, &str); 13] = [
        ("urls.txt", ""),
        ("p.ndjson", ""),
        ("headers", "-H @headers"),
        ("body", "--method POST --body @body"),
        ("bearer", "--bearer-file bearer"),
        ("netrc", "--netrc-file netrc"),
        ("key", "--hash-key key --hash id"),
        ("schema.toml", "--schema schema.toml"),
        ("cacert.pem", "--cacert cacert.pem"),
        ("cert.pem", "--cert cert.pem --key cert.pem"),
        ("uri.ndjson", ""),
        ("linked.ndjson", ""),
        ("hard.ndjson", ""),
    ];
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = format!("{}{}", authority.cert.pem(), authority.signing_key.serialize_pem());
    for (read, options) in cases {
        for written in ["--out", "--rejects"] {
            let site = pages();
            let uri = format!("file://{}", site.path("uri.ndjson").display());
            site.write("urls.txt", format!("p.ndjson\n{uri}\nlinked.ndjson\nhard.ndjson\n"));
            for (name, bytes) in [
                ("uri.ndjson", "{\"id\":1}\n"),
                ("real.ndjson", "{\"id\":1}\n"),
                ("twin.ndjson", "{\"id\":1}\n"),
                ("headers", "X-Shown: 1\n"),
                ("body", "{}"),
                ("bearer", "token"),
                ("netrc", "machine localhost login a password b\n"),
                ("key", key),
                ("schema.toml", "[[column]]\nname = \"id\"\ntype = \"int64\"\n"),
                ("cacert.pem", &pem),
                ("cert.pem", &pem),
            ] {
                site.write(name, bytes);
            }
            symlink("real.ndjson", site.path("linked.ndjson")).unwrap();
            fs::hard_link(site.path("twin.ndjson"), site.path("hard.ndjson")).unwrap();
            let aliased = match read {
                "linked.ndjson" => "real.ndjson",
                "hard.ndjson" => "twin.ndjson",
                other => other,
            };
            let before = fs::read(site.path(aliased)).unwrap();
            let (out, rejects) = match written {
                "--out" => (aliased, "rejects.ndjson"),
                _ => ("out.parquet", aliased),
            };
            let run = etl(&site, Path::new(out)).with(&format!("--rejects {rejects} {options}"));
            let outcome = run.current_dir(site.root()).run_as_typed();
            assert_eq!(outcome.code, 2, "{read} {written}: {}", outcome.stderr);
            assert!(outcome.stderr.contains("is read and would be replaced"), "{read}: {}", outcome.stderr);
            assert_eq!(fs::read(site.path(aliased)).unwrap(), before, "{read} {written}");
        }
    }
}

#[test]
fn link_that_is_planted_under_a_name_of_ours_is_named_and_its_target_stays() {
    let site = pages();
    for name in [
        ".out.parquet.etl-part-1",
        ".out.parquet.etl-lock",
        ".out.parquet.etl-probe",
        ".out.parquet.rejects.ndjson.etl-rejects",
        ".out.parquet.rejects.ndjson.etl-lock",
    ] {
        let output = Folder::new();
        output.write("victim", "precious");
        symlink("victim", output.path(name)).unwrap();
        let outcome = etl(&site, &output.path("out.parquet")).run_as_typed().exits(6);
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
        assert_eq!(output.read("victim"), b"precious");
        assert!(fs::symlink_metadata(output.path(name)).unwrap().is_symlink());
        assert!(!output.path("out.parquet").exists());
    }
}

#[test]
fn link_that_is_planted_while_a_run_waits_is_not_followed() {
    for name in [".out.parquet.etl-part-1", ".out.parquet.etl-probe"] {
        let (site, output) = (pages(), Folder::new());
        output.write("victim", "precious");
        let gate = Gate::new();
        site.write("urls.txt", format!("{}/slow.ndjson\n", gate.origin));
        let running = etl(&site, &output.path("out.parquet")).start();
        let held = gate.arrival();
        symlink("victim", output.path(name)).unwrap();
        held.answer(PAGE);
        let outcome = running.finish();
        assert_eq!(output.read("victim"), b"precious", "{name}: {}", outcome.stderr);
        if name.ends_with("part-1") {
            assert_eq!(outcome.code, 6, "{}", outcome.stderr);
            assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
        }
    }
}

#[test]
fn published_file_keeps_the_mode_of_the_one_that_it_replaces_and_rejects_are_for_their_owner() {
    let site = Folder::with_pages(&[("p.ndjson", "{\"id\":1}\n7\n")]);
    site.write("urls.txt", "p.ndjson\n");
    let output = Folder::new();
    for mode in [0o600, 0o640, 0o664, 0o444] {
        for name in ["out.parquet", "out.parquet.rejects.ndjson"] {
            output.write(name, "old");
            fs::set_permissions(output.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        etl(&site, &output.path("out.parquet")).run_as_typed().exits(3);
        for name in ["out.parquet", "out.parquet.rejects.ndjson"] {
            let expected = if name == "out.parquet" { mode } else { 0o600 };
            assert_eq!(fs::metadata(output.path(name)).unwrap().mode() & 0o777, expected, "{name}");
            fs::remove_file(output.path(name)).unwrap();
        }
    }
}

#[test]
fn nothing_of_a_run_stays_beside_its_output() {
    let (site, output) = (pages(), Folder::new());
    let server = Server::over(site.root());
    let list = server.list(&site, &["p.ndjson"]);
    Etl::new(&list, &output.path("out.parquet")).run_as_typed().exits(0);
    assert_eq!(output.names(), ["out.parquet"]);
    let gate = Gate::new();
    site.write("slow.txt", format!("{}/slow.ndjson\n", gate.origin));
    for signal in ["INT", "TERM", "HUP"] {
        let running = Etl::new(&site.path("slow.txt"), &output.path("out.parquet")).start();
        let held = gate.arrival();
        let (_, took) = running.end_by(signal);
        drop(held);
        assert!(took < Duration::from_secs(10));
        assert_eq!(output.names(), ["out.parquet"], "{signal}");
    }
}
