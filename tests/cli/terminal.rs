//! Nothing that a server, a file or a name says moves the terminal, in any subcommand.

use std::thread;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Gate;

/// Clears the screen, colours, turns text round, hides what follows: as JSON would have it raw.
const HOSTILE: &str = "x\u{9b}2J\u{85}\u{202e}y\u{2066}\u{2028}\u{2029}\u{200b}\u{feff}\u{61c}\u{e0041}z";

/// The letters of what was said that are not for a terminal.
fn hostile_letters(said: &str) -> Vec<char> {
    let is_hostile = |letter: &char| {
        *letter != '\n' && (letter.is_control() || (HOSTILE.contains(*letter) && !letter.is_ascii()))
    };
    said.chars().filter(is_hostile).collect()
}

#[track_caller]
fn assert_safe(outcome: &Outcome, what: &str) {
    for said in [&outcome.stdout, &outcome.stderr] {
        assert_eq!(hostile_letters(said), Vec::<char>::new(), "{what}: {said:?}");
    }
}

/// An origin that answers every request like this.
fn serve(answer: String) -> String {
    let gate = Gate::new();
    let origin = gate.origin.clone();
    thread::spawn(move || {
        loop {
            gate.arrival().send(answer.as_bytes());
        }
    });
    origin
}

fn page() -> String {
    let body = format!(
        "{{\"{HOSTILE}\":\"{HOSTILE}\",\"values\":[1,2],\"o\":{{\"{HOSTILE}\":1}}}}\n{{\"values\":\"{HOSTILE}\"}}\n"
    );
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson; x={HOSTILE}\r\nETag: \"{HOSTILE}\"\r\n\
         X-RateLimit-Limit: {HOSTILE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn failure() -> String {
    let body = format!("{{\"error\":\"{HOSTILE}\"}}");
    format!(
        "HTTP/1.1 404 {HOSTILE}\r\nContent-Type: text/html; {HOSTILE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn nothing_of_a_server_moves_the_terminal() {
    let (pages, failures) = (serve(page()), serve(failure()));
    for origin in [&pages, &failures] {
        let output = Folder::new();
        let out = output.path(&format!("out{HOSTILE}.parquet"));
        let url = format!("{origin}/p.ndjson?a=1");
        for options in ["", "-v", "-vv", "--json", "--values values --rejects-raw none"] {
            let run = Etl::bare()
                .arg(&url)
                .arg("--out")
                .arg(&out)
                .with(options)
                .with("--state")
                .arg(output.path("state"));
            assert_safe(&run.run_as_typed(), &format!("run {options}"));
        }
        for options in ["", "-v"] {
            assert_safe(&Etl::bare().arg("schema").arg(&url).with(options).run_as_typed(), "schema");
            assert_safe(&Etl::bare().arg("probe").arg(&url).with(options).run_as_typed(), "probe");
        }
        for options in ["", "--json"] {
            let runs = || Etl::bare().arg("runs").arg(output.path("state")).with(options);
            let listed = runs().run_as_typed();
            assert_safe(&listed, "runs");
        }
    }
}

#[test]
fn schema_of_hostile_names_is_data_that_reads_back() {
    let site = Folder::with_pages(&[("p.ndjson", format!("{{\"{HOSTILE}\":\"{HOSTILE}\"}}\n"))]);
    let printed = Etl::bare().arg("schema").arg(site.path("p.ndjson")).run_as_typed();
    assert_safe(&printed, "schema");
    let schema: toml::Table = toml::from_str(&printed.stdout).unwrap();
    assert_eq!(schema["column"][0]["name"].as_str(), Some(HOSTILE));
}

#[test]
fn nothing_of_a_name_or_an_option_moves_the_terminal() {
    let site = Folder::new();
    let name = format!("p{HOSTILE}\n\u{1b}[31m.ndjson");
    site.write(&name, "{\"id\":1}\nnot json\n");
    let list = site.write(&format!("urls{HOSTILE}.txt"), format!("{HOSTILE}.ndjson\n"));
    let output = Folder::new();
    for run in [
        Etl::new(&list, &output.path("out.parquet")),
        Etl::bare().arg(site.path(&name)).arg("--out").arg(output.path(&format!("{HOSTILE}/out.parquet"))),
        Etl::bare().arg(site.path(&name)).arg("--out").arg(output.path(&format!("{HOSTILE}\n.parquet"))),
        Etl::bare().arg(site.path(&name)).arg("--out").arg(output.path("o.parquet")).arg("--jq").arg(HOSTILE),
        Etl::bare()
            .arg(site.path(&name))
            .arg("--out")
            .arg(output.path("o.parquet"))
            .arg("--jq")
            .arg(format!("error(\"{HOSTILE}\")")),
        Etl::bare()
            .arg(site.path(&name))
            .arg("--out")
            .arg(output.path("o.parquet"))
            .arg(format!("--{HOSTILE}")),
        Etl::bare()
            .arg(site.path(&name))
            .arg("--out")
            .arg(output.path("o.parquet"))
            .arg("--values")
            .arg(HOSTILE),
        Etl::bare().arg("schema").arg(site.path(&name)),
        Etl::bare().arg("probe").arg(site.path(&name)),
        Etl::bare().arg("runs").arg(output.path(HOSTILE)),
        Etl::bare()
            .arg("rejects")
            .arg("retry")
            .arg(output.path(HOSTILE))
            .arg("--out")
            .arg(output.path("o.parquet")),
    ] {
        assert_safe(&run.run_as_typed(), "names");
    }
}
