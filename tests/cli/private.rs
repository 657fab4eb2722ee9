//! Where a public server may lead: a proxy plays one, and tells what it was asked for.

use std::sync::{Arc, Mutex};
use std::thread;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Gate;

/// A proxy behind which every host answers the same, and the hosts that it was asked for.
fn proxy(answer: String) -> (String, Arc<Mutex<usize>>) {
    let gate = Gate::new();
    let origin = gate.origin.clone();
    let count = Arc::new(Mutex::new(0));
    thread::spawn({
        let count = Arc::clone(&count);
        move || {
            loop {
                let held = gate.arrival();
                *count.lock().unwrap() += 1;
                held.send(answer.as_bytes());
            }
        }
    });
    (origin, count)
}

fn run(proxy: &str, options: &str) -> Outcome {
    let output = Folder::new();
    Etl::bare()
        .arg("http://public.example/p.json")
        .arg("--out")
        .arg(output.path("out.parquet"))
        .with(&format!("--proxy {proxy} --retry 2 {options}"))
        .run()
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn page_before(next: &str) -> String {
    let body = "[{\"id\":1}]";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLink: <{next}>; rel=\"next\"\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

const PRIVATE: [&str; 5] = [
    "http://169.254.169.254/latest",
    "http://10.0.0.1/",
    "http://[fd00::1]/",
    "http://localhost/",
    "http://2130706433/",
];

#[test]
fn redirect_of_a_public_server_to_a_private_address_is_refused_at_once() {
    for to in PRIVATE {
        let (origin, count) = proxy(redirect(to));
        let outcome = run(&origin, "").exits(1);
        let failure = outcome.summary()["failures"][0]["reason"].to_string();
        assert!(failure.contains("--allow-private"), "{to}: {failure}");
        assert_eq!(*count.lock().unwrap(), 1, "{to}");
        // It is followed until there are too many of them.
        let (origin, count) = proxy(redirect(to));
        run(&origin, "--allow-private").exits(1);
        assert!(*count.lock().unwrap() > 2, "{to}");
    }
}

#[test]
fn next_page_of_a_public_server_at_a_private_address_is_refused() {
    for next in PRIVATE {
        let (origin, count) = proxy(page_before(next));
        let outcome = run(&origin, "--paginate link --allow-next-origin").exits(3);
        let failure = outcome.summary()["failures"][0]["reason"].to_string();
        assert!(failure.contains("--allow-private"), "{next}: {failure}");
        assert_eq!(*count.lock().unwrap(), 1, "{next}");
        let (origin, count) = proxy(page_before(next));
        let outcome = run(&origin, "--paginate link --allow-next-origin --max-pages 2 --allow-private");
        assert!(*count.lock().unwrap() >= 2, "{next}: {}", outcome.stderr);
    }
}
