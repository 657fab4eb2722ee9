//! Pages of several chunks: there whole or not at all, to the last character, and one file whatever the machine.

use std::io::Write as _;
use std::iter::once;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::bench::{Etl, Folder, Outcome};
use crate::forms::{FORMS, Form, check_rows, plain_text, record, rejects};
use crate::server::{Gate, Server};
use crate::table::Table;

/// Records of a large page: some 5 MB, which is more than is decoded at once.
const LARGE: usize = 3_600;
/// A record near the end of a large page.
const LATE: usize = 3_300;
/// The id of the records in small pages.
const SMALL: usize = 1_000_000;

/// A record that is refused: its values are no list.
fn wrong(id: usize) -> String {
    format!("{{\"id\":{id},\"text\":\"wrong\",\"values\":7}}")
}

/// One in a thousand is refused, so that a failed page of which anything is visible is seen at once.
fn is_wrong(id: usize) -> bool {
    id % 1_000 == 500
}

fn mixed_records() -> Vec<String> {
    (0..LARGE).map(|id| if is_wrong(id) { wrong(id) } else { record(id) }).collect()
}

/// The ids of the rows of [`mixed_records`].
fn mixed_ids() -> impl Iterator<Item = usize> {
    (0..LARGE).filter(|id| !is_wrong(*id))
}

/// A folder with `small` and `large` of this form; the large page.
fn site(form: Form, large: &[String]) -> (Folder, String) {
    let (site, page) = (Folder::new(), form.page(large));
    site.write(&form.name("small"), form.page(&[record(SMALL)]));
    site.write(&form.name("large"), &page);
    (site, page)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Runs over `targets` of a server on `site`.
fn run(site: &Folder, targets: &[String], form: Form, options: &str, code: i32) -> (Outcome, Folder) {
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, targets);
    let run = Etl::between(&input, &output).with(form.options()).with("--memory 64MiB").with(options);
    (run.run().exits(code), output)
}

/// All pages but the first and the last failed, and left one line each.
#[track_caller]
fn check_failed_between_small_ones(outcome: &Outcome, output: &Folder, failed_count: usize) {
    assert_eq!(outcome.count("/pages/failed"), failed_count as u64, "{}", outcome.stderr);
    assert_eq!(outcome.count("/pages/fetched"), 2);
    assert_eq!(outcome.count("/records/seen"), 2, "records of a failed page are counted");
    assert_eq!(outcome.count("/records/rejected"), 0, "rejects of a failed page are counted");
    check_rows(output, [SMALL, SMALL]);
    let rejects = rejects(output);
    let lines: Vec<_> = rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (2..2 + failed_count as u64).collect::<Vec<_>>());
    for reject in &rejects {
        assert_eq!(reject["record"], Value::Null, "a reject of a failed page");
        assert!(!reject["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(output.names(), ["out.parquet", "out.parquet.rejects.ndjson"]);
}

/// The rejects of [`mixed_records`] are those of the page at `line`.
#[track_caller]
fn check_mixed_rejects(rejects: &[&Value], form: Form, line: usize) {
    let records = mixed_records();
    let offsets = form.offsets(&records);
    let indexes: Vec<_> = (0..LARGE).filter(|id| is_wrong(*id)).collect();
    assert_eq!(rejects.len(), indexes.len());
    for (reject, index) in rejects.iter().zip(indexes) {
        assert_eq!((&reject["line"], &reject["record"]), (&json!(line), &json!(index)));
        assert_eq!(reject["byte_offset"], offsets[index]);
        assert_eq!(reject["raw"], records[index]);
    }
}

#[test]
fn large_page_of_every_form_is_there_to_the_last_character_and_in_its_place() {
    let records: Vec<_> = (0..LARGE).map(record).collect();
    for form in FORMS {
        let (site, page) = site(form, &records);
        let (small, large) = (form.name("small"), form.name("large"));
        let targets = [
            small.clone(),
            large.clone(),
            format!("{large}?chunked=1"),
            format!("{large}?encoding=gzip"),
            format!("{small}?last=1"),
        ];
        let (outcome, output) = run(&site, &targets, form, "", 0);
        let small_bytes = form.page(&[record(SMALL)]).len();
        assert_eq!(outcome.count("/bytes/body"), (3 * page.len() + 2 * small_bytes) as u64);
        assert_eq!(outcome.count("/records/seen"), (3 * LARGE + 2) as u64);
        let large_ids = (0..3).flat_map(|_| 0..LARGE);
        check_rows(&output, once(SMALL).chain(large_ids).chain(once(SMALL)));
        assert_eq!(output.names(), ["out.parquet"]);
    }
}

#[test]
fn large_local_files_are_read_like_pages_of_a_server() {
    let records: Vec<_> = (0..LARGE).map(record).collect();
    let (site, page) = site(Form::Array, &records);
    site.write("large.json.gz", gzip(page.as_bytes()));
    site.write("urls.txt", "large.json\nsmall.json\nlarge.json.gz\n");
    let output = Folder::new();
    Etl::between(&site, &output).with("--memory 64MiB").run().exits(0);
    check_rows(&output, (0..LARGE).chain(once(SMALL)).chain(0..LARGE));
}

#[test]
fn large_page_that_breaks_off_leaves_neither_rows_nor_rejects() {
    for form in FORMS {
        let (site, page) = site(form, &mixed_records());
        let begin = form.offsets(&mixed_records())[LATE];
        let within = |needle: &str, after: usize| begin + page[begin..].find(needle).unwrap() + after;
        let cuts = [
            begin,
            begin + 700,
            within("\\u00e9", 4),
            within("\\ud83d\\ude00", 6),
            within("é", 1),
            page.len() - 1,
        ];
        let (small, large) = (form.name("small"), form.name("large"));
        let cut = |(index, cut): (usize, &usize)| format!("{large}?cut={cut}&chunked={}", index % 2);
        let mut targets = vec![small.clone()];
        targets.extend(cuts.iter().enumerate().map(cut));
        targets.push(format!("{small}?last=1"));
        let (outcome, output) = run(&site, &targets, form, "--retry 0", 3);
        check_failed_between_small_ones(&outcome, &output, cuts.len());
    }
}

#[test]
fn compressed_large_page_that_breaks_off_leaves_neither_rows_nor_rejects() {
    let (site, page) = site(Form::Lines, &mixed_records());
    let compressed = gzip(page.as_bytes());
    site.write("large.ndjson.gz", &compressed);
    let trailer_bytes = 8;
    let middle = compressed.len() / 2;
    let mut targets = vec!["small.ndjson".to_owned()];
    for cut in [middle, compressed.len() - trailer_bytes, compressed.len() - trailer_bytes / 2] {
        // On the way; and before it was served, where the answer itself is whole.
        targets.push(format!("large.ndjson.gz?cut={cut}"));
        site.write(&format!("cut-{cut}.ndjson.gz"), &compressed[..cut]);
        targets.push(format!("cut-{cut}.ndjson.gz"));
    }
    for framing in ["", "&chunked=1", "&close=1"] {
        targets.push(format!("large.ndjson?encoding=gzip&cut={middle}{framing}"));
    }
    targets.push("small.ndjson?last=1".to_owned());
    let (outcome, output) = run(&site, &targets, Form::Lines, "--retry 0", 3);
    check_failed_between_small_ones(&outcome, &output, targets.len() - 2);
}

#[test]
fn large_page_without_its_last_chunk_leaves_neither_rows_nor_rejects() {
    for form in FORMS {
        let (gate, output) = (Gate::new(), Folder::new());
        let (site, page) = site(form, &mixed_records());
        let (small, large) = (form.name("small"), form.name("large"));
        // The same file by two names: a page that is listed twice is fetched once.
        site.write("urls.txt", format!("{small}\n{}/{large}\nagain-{small}\n", gate.origin));
        site.write(&format!("again-{small}"), form.page(&[record(SMALL)]));
        let run = Etl::between(&site, &output).with(form.options()).with("--json --retry 0").start();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        gate.arrival().send(format!("{head}{:x}\r\n{page}\r\n", page.len()).as_bytes());
        let outcome = run.finish().exits(3);
        check_failed_between_small_ones(&outcome, &output, 1);
    }
}

#[test]
fn large_page_that_breaks_off_and_comes_again_is_there_once() {
    for form in FORMS {
        let (site, page) = site(form, &mixed_records());
        let large = form.name("large");
        let late = form.offsets(&mixed_records())[LATE] + 700;
        let middle_of_gzip = gzip(page.as_bytes()).len() / 2;
        let targets = [
            format!("{large}?cut={late}&times=2"),
            format!("{large}?cut={late}&reset=1&times=1"),
            format!("{large}?cut={middle_of_gzip}&encoding=gzip&chunked=1&times=1"),
        ];
        let (outcome, output) = run(&site, &targets, form, "--retry 2", 3);
        assert_eq!(outcome.count("/pages/failed"), 0, "{}", outcome.stderr);
        assert_eq!(outcome.count("/requests/retried"), 4);
        assert_eq!(outcome.count("/records/seen"), (targets.len() * LARGE) as u64);
        check_rows(&output, targets.iter().flat_map(|_| mixed_ids()));
        let rejects = rejects(&output);
        assert_eq!(rejects.len(), targets.len() * (LARGE - mixed_ids().count()));
        for line in 1..=targets.len() {
            let of_line: Vec<_> = rejects.iter().filter(|reject| reject["line"] == line).collect();
            check_mixed_rejects(&of_line, form, line);
        }
        assert_eq!(output.names(), ["out.parquet", "out.parquet.rejects.ndjson"]);
    }
}

#[test]
fn rejects_inside_a_large_page_have_their_place_and_their_bytes() {
    for form in FORMS {
        let refused = |id: usize| match id % 900 {
            100 => Some(wrong(id)),
            // A surrogate without its other half is found where the string is decoded.
            500 => Some(format!("{{\"id\":{id},\"text\":\"\\ud800 {}\"}}", plain_text())),
            899 if form != Form::Documents => Some(format!("[{id}]")),
            _ => None,
        };
        let records: Vec<_> = (0..LARGE).map(|id| refused(id).unwrap_or_else(|| record(id))).collect();
        let (site, page) = site(form, &records);
        let (outcome, output) = run(&site, &[form.name("large")], form, "", 3);
        check_rows(&output, (0..LARGE).filter(|id| refused(*id).is_none()));
        let expected: Vec<_> = (0..LARGE).filter(|id| refused(*id).is_some()).collect();
        let (rejects, offsets) = (rejects(&output), form.offsets(&records));
        assert_eq!(rejects.len(), expected.len());
        assert_eq!(outcome.count("/records/rejected"), expected.len() as u64);
        for (reject, index) in rejects.iter().zip(expected) {
            assert_eq!((&reject["line"], &reject["record"]), (&json!(1), &json!(index)));
            assert_eq!(reject["byte_offset"], offsets[index], "record {index}");
            assert_eq!(reject["raw"], records[index]);
            assert!(page[offsets[index]..].starts_with(&records[index]), "the test knows the place");
        }
    }
}

#[test]
fn broken_and_unfinished_lines_of_a_large_page_are_rejects_byte_for_byte() {
    let mut records: Vec<_> = (0..LARGE).map(record).collect();
    records[LATE] = format!("{{\"id\":{LATE},\"text\":}} {{]");
    let whole = record(LARGE);
    records.push(whole[..whole.find("own").unwrap()].to_owned());
    let page = Form::Lines.page(&records);
    let site = Folder::with_pages(&[("large.ndjson", page.strip_suffix('\n').unwrap())]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--memory 64MiB").run().exits(3);
    check_rows(&output, (0..LARGE).filter(|id| *id != LATE));
    let (rejects, offsets) = (rejects(&output), Form::Lines.offsets(&records));
    assert_eq!(rejects.len(), 2);
    for (reject, index) in rejects.iter().zip([LATE, LARGE]) {
        assert_eq!((&reject["record"], &reject["byte_offset"]), (&json!(index), &json!(offsets[index])));
        assert_eq!(reject["raw"], records[index]);
    }
}

#[test]
fn fault_late_in_a_large_array_fails_the_page_at_the_right_byte() {
    let records = mixed_records();
    let (site, page) = site(Form::Array, &records);
    let place = Form::Array.offsets(&records)[LATE];
    // What stands where, and where the page is no array of records any more.
    let faults: [(usize, u8, usize); 4] = [
        (place - 2, b' ', place),
        (place - 1, b',', place - 1),
        (place - 1, 0xff, place - 1),
        (place, b'}', place),
    ];
    let mut targets = vec!["small.json".to_owned()];
    for (index, (at, byte, _)) in faults.iter().enumerate() {
        let mut body = page.clone().into_bytes();
        body[*at] = *byte;
        site.write(&format!("fault-{index}.json"), body);
        targets.push(format!("fault-{index}.json"));
    }
    site.write("trailing.json", format!("{page} x"));
    targets.extend(["trailing.json".to_owned(), "small.json?last=1".to_owned()]);
    let (outcome, output) = run(&site, &targets, Form::Array, "", 3);
    check_failed_between_small_ones(&outcome, &output, faults.len() + 1);
    let found: Vec<_> =
        rejects(&output).iter().map(|reject| reject["byte_offset"].as_u64().unwrap() as usize).collect();
    let expected = faults.iter().map(|(_, _, offset)| *offset).chain(once(page.len() + 1));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn large_pages_behind_a_slow_one_wait_their_turn() {
    let records: Vec<_> = (0..LARGE).map(record).collect();
    let (site, _) = site(Form::Lines, &records);
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    let mut targets = vec!["small.ndjson?latency_ms=1500".to_owned()];
    targets.extend((0..4).map(|page| format!("large.ndjson?page_of_four={page}")));
    server.list(&input, &targets);
    Etl::between(&input, &output).with("--memory 64MiB -j 8").run().exits(0);
    check_rows(&output, once(SMALL).chain((0..4).flat_map(|_| 0..LARGE)));
    assert_eq!(output.names(), ["out.parquet"]);
    let first_answered = server.log()[0]["target"].as_str().unwrap().to_owned();
    assert!(!first_answered.starts_with("/small"), "no large page came before the slow one");
}

/// A record whose columns depend on where in a large page it stands: they come late, and widen.
fn drifting(id: usize) -> String {
    let mut value = json!({"id": id, "n": id, "text": plain_text(), "values": [id, 0.5]});
    match id * 6 / LARGE {
        1 => value["late"] = json!({"a": id}),
        2 => value["n"] = json!(id as f64 + 0.25),
        3 => value["late"] = json!({"a": 0.25, "b": ["x"]}),
        4 => value["n"] = json!("n/a"),
        5 => value["at"] = json!("2026-01-02T03:04:05Z"),
        _ => {}
    }
    if is_wrong(id) {
        value["values"] = json!([true]);
        value["ghost"] = json!(id);
    }
    value.to_string()
}

#[test]
fn large_page_is_the_same_table_as_its_records_in_small_pages() {
    let records: Vec<_> = (0..LARGE).map(drifting).collect();
    let table_of = |pages: Vec<(String, String)>| {
        let pages: Vec<_> = pages.iter().map(|(name, body)| (name.as_str(), body)).collect();
        let (site, output) = (Folder::with_pages(&pages), Folder::new());
        Etl::between(&site, &output).with("--memory 64MiB").run().exits(3);
        Table::read(&output.path("out.parquet"))
    };
    let small = records.chunks(100).enumerate();
    let small = small.map(|(index, records)| (format!("p{index}.json"), Form::Array.page(records)));
    let expected = table_of(small.collect());
    assert!(!expected.names().contains(&"ghost"), "a rejected record leaves no column");
    for form in [Form::Lines, Form::Array, Form::Documents] {
        let found = table_of(vec![(form.name("large"), form.page(&records))]);
        assert_eq!(found.columns, expected.columns, "{form:?}");
        let differing = found.rows.iter().zip(&expected.rows).position(|(found, expected)| found != expected);
        assert_eq!((differing, found.rows.len()), (None, expected.rows.len()), "{form:?}");
    }
}

#[test]
fn same_large_pages_are_the_same_file_whatever_the_machine_settings() {
    let records: Vec<_> = (0..LARGE).map(drifting).collect();
    let (site, page) = site(Form::Lines, &records);
    site.write("large.json", Form::Array.page(&records));
    let server = Server::over(site.root());
    let input = Folder::new();
    let cut = page.len() / 2;
    let targets = [
        "small.ndjson?latency_ms=200".to_owned(),
        "large.ndjson?chunked=1".to_owned(),
        format!("large.ndjson?cut={cut}"),
        "large.json?encoding=gzip&latency_ms=50".to_owned(),
        "small.ndjson".to_owned(),
    ];
    server.list(&input, &targets);
    for row_group in ["", "--row-group-rows 1000"] {
        let mut digests = Vec::new();
        for machine in [
            "--threads 1 -j 1",
            "--threads 2 -j 256",
            "--threads 8 -j 1 --memory 2GiB",
            "--threads 8 -j 256 --memory 64MiB",
            "--threads 1 -j 256 --memory 64MiB",
        ] {
            let output = Folder::new();
            let run = Etl::between(&input, &output).with("--retry 0").with(row_group).with(machine);
            let outcome = run.run().exits(3);
            assert_eq!(outcome.count("/pages/failed"), 1, "{}", outcome.stderr);
            let digest = Sha256::digest(output.read("out.parquet")).to_vec();
            digests.push((digest, output.read("out.parquet.rejects.ndjson"), machine));
        }
        for (digest, rejects, machine) in &digests {
            assert!(*digest == digests[0].0, "{row_group} {machine}: not the output of {}", digests[0].2);
            assert!(*rejects == digests[0].1, "{row_group} {machine}: not the rejects of {}", digests[0].2);
        }
    }
}

#[test]
fn retry_goes_on_when_the_pages_behind_it_wait_for_their_turn() {
    let site = Folder::with_pages(&[("first.json", "[{\"id\":-1}]")]);
    let large = format!("[{}]", (0..LARGE).map(record).collect::<Vec<_>>().join(","));
    let server = Server::over(site.root());
    for options in ["-j 1", "-j 2"] {
        let (input, output) = (Folder::new(), Folder::new());
        server.list(&input, &[format!("first.json?status=503&times=2&of={}", options.len())]);
        let mut list = String::from_utf8(input.read("urls.txt")).unwrap();
        for name in ["a.json", "b.json", "c.json"] {
            input.write(name, &large);
            list.push_str(&format!("{name}\n"));
        }
        input.write("urls.txt", list);
        let run = Etl::between(&input, &output).with("--memory 64MiB --threads 1").with(options).start();
        run.finished_within(Duration::from_secs(60)).expect("the run ends").exits(0);
        let ids = Table::read(&output.path("out.parquet")).column("id");
        assert_eq!((ids.len(), &ids[0]), (1 + 3 * LARGE, &json!(-1)), "{options}");
    }
}

#[test]
fn page_that_breaks_off_in_a_broken_text_is_asked_for_again_wherever_it_stands() {
    let large = format!("[{}]", (0..LARGE).map(record).collect::<Vec<_>>().join(","));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len());
    for is_behind_a_slow_page in [false, true] {
        let (input, output) = (Folder::new(), Folder::new());
        let (slow, gate) = (Gate::new(), Gate::new());
        let slow_line = if is_behind_a_slow_page { format!("{}/slow\n", slow.origin) } else { String::new() };
        input.write("urls.txt", format!("{slow_line}{}/large.json\n", gate.origin));
        let run = Etl::between(&input, &output).with("--memory 64MiB").start();
        let held = is_behind_a_slow_page.then(|| slow.arrival());
        gate.arrival().send(format!("{head}{}<html>oops", &large[..2_000_000]).as_bytes());
        gate.arrival().send(format!("{head}{large}").as_bytes());
        if let Some(held) = held {
            held.answer("[]");
        }
        run.finish().exits(0);
        let ids = Table::read(&output.path("out.parquet")).column("id");
        assert_eq!(ids, (0..LARGE).map(|id| json!(id)).collect::<Vec<_>>());
    }
}
