//! The folder: which file a path names, and the answer that a request gets.
//!
//! Reads files and nothing else; sockets are the business of `answer.rs`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::answer::{Answer, Ending, Framing};
use crate::conduct::{Conduct, Encoding, Fault, pairs};
use crate::request::{Request, percent_decoded};

/// A folder and the conduct that every URL in it begins with.
pub(crate) struct Site {
    root: PathBuf,
    defaults: Conduct,
}

impl Site {
    pub(crate) fn open(root: &Path, defaults: Conduct) -> io::Result<Self> {
        let root = root.canonicalize()?;
        fs::read_dir(&root)?;
        Ok(Self { root, defaults })
    }

    /// The answer to the `attempt`th request (from 1) of this target, when so many others are being answered.
    pub(crate) fn answer(&self, request: &Request, attempt: u64, other_count: usize) -> Answer {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Answer::error(405, "only GET and HEAD").with("Allow", "GET, HEAD");
        }
        let conduct = match self.defaults.with_query(request.query()) {
            Ok(conduct) => conduct,
            Err(message) => return Answer::error(400, &message),
        };
        let fault = conduct.fault_at(attempt);
        if conduct.at_once.is_some_and(|most| other_count >= most) {
            let mut answer = Answer::error(429, "too many at once");
            answer.fault = Some("at_once");
            return with_retry_after(answer, &fault);
        }
        let mut answer = match answer_instead_of_page(&fault) {
            Some(answer) => answer,
            None => self.page(request, &conduct, &fault),
        };
        answer.latency = conduct.latency;
        answer
    }

    fn page(&self, request: &Request, conduct: &Conduct, fault: &Fault) -> Answer {
        let (path, body) = match self.read(request.path(), conduct) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        let content_type = conduct.content_type.as_deref().unwrap_or_else(|| content_type_of(&path));
        let status = fault.status.unwrap_or(200);
        let mut answer = Answer::new(status).with("Content-Type", content_type);
        answer.fault = (status != 200).then_some("status");
        answer.body = body;
        if let Some(encoding) = conduct.encoding {
            answer.body = encoded(&answer.body, encoding);
            answer = answer.with("Content-Encoding", encoding.name());
        }
        if let Some(page_count) = conduct.page_count {
            answer = answer.with("Link", &link(request, conduct.page(), page_count));
        }
        answer.framing = match (conduct.is_close_delimited, conduct.is_chunked) {
            (true, _) => Framing::Close,
            (false, true) => Framing::Chunked,
            (false, false) => Framing::Length,
        };
        let body_bytes = answer.body.len();
        let reached = |place: &Option<usize>| place.filter(|&after| after < body_bytes);
        if let Some(after) = reached(&fault.cut) {
            answer.ending = if fault.resets { Ending::Reset(after) } else { Ending::Cut(after) };
            answer.fault = Some(if fault.resets { "reset" } else { "cut" });
        } else if let Some(after) = reached(&fault.stall) {
            answer.ending = Ending::Stall(after);
            answer.fault = Some("stall");
        }
        answer
    }

    /// The file that a path and a page number name, and its bytes.
    fn read(&self, path: &str, conduct: &Conduct) -> Result<(PathBuf, Vec<u8>), Answer> {
        let path = String::from_utf8(percent_decoded(path)).map_err(|_| Answer::error(400, "not UTF-8"))?;
        let relative = path.trim_start_matches('/');
        if path.contains(['\\', '\0']) || relative.split('/').any(|segment| segment == "..") {
            return Err(Answer::error(403, "outside of the folder"));
        }
        let plain = self.root.join(relative);
        let mut candidates = vec![plain];
        if conduct.page_count.is_some() {
            candidates.insert(0, numbered(&candidates[0], conduct.page()));
        }
        for candidate in candidates {
            // Resolved first, so that a symbolic link can't lead out either.
            let Ok(file) = candidate.canonicalize() else { continue };
            if !file.starts_with(&self.root) {
                return Err(Answer::error(403, "outside of the folder"));
            }
            if file.is_file() {
                let body = fs::read(&file).map_err(|error| Answer::error(500, &error.to_string()))?;
                return Ok((file, body));
            }
        }
        Err(Answer::error(404, "no such file"))
    }
}

/// What is answered instead of the page, if the fault is of that kind.
fn answer_instead_of_page(fault: &Fault) -> Option<Answer> {
    if fault.resets && fault.cut.is_none() {
        let mut answer = Answer::new(200);
        answer.ending = Ending::ResetAtOnce;
        answer.fault = Some("reset");
        return Some(answer);
    }
    let answer = if let Some(target) = &fault.redirect {
        let status = fault.status.filter(|status| (300..400).contains(status)).unwrap_or(302);
        let mut answer = Answer::error(status, "elsewhere").with("Location", target);
        answer.fault = Some("redirect");
        answer
    } else {
        let status = fault.status.filter(|status| *status == 204 || !(200..300).contains(status))?;
        let mut answer = Answer::error(status, "as the URL asked");
        answer.fault = Some("status");
        answer
    };
    Some(with_retry_after(answer, fault))
}

fn with_retry_after(answer: Answer, fault: &Fault) -> Answer {
    match &fault.retry_after {
        Some(retry_after) => answer.with("Retry-After", retry_after),
        None => answer,
    }
}

/// `log.ndjson.gz` -> `log-2.ndjson.gz`.
fn numbered(path: &Path, page: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, extensions) = name.split_at(name.find('.').unwrap_or(name.len()));
    path.with_file_name(format!("{stem}-{page}{extensions}"))
}

/// The Link header: the way on while there is one, and the way to the end or back to the start.
fn link(request: &Request, page: u32, page_count: u32) -> String {
    let to = |page: u32| {
        let mut target = format!("{}?", request.path());
        for (key, value) in pairs(request.query()).filter(|(key, _)| *key != "page") {
            target.push_str(&format!("{key}={value}&"));
        }
        format!("<{target}page={page}>")
    };
    if page < page_count {
        format!("{}; rel=\"next\", {}; rel=\"last\"", to(page + 1), to(page_count))
    } else {
        format!("{}; rel=\"first\"", to(1))
    }
}

fn content_type_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => "application/json",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some("gz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn encoded(body: &[u8], encoding: Encoding) -> Vec<u8> {
    let compressed = match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Encoding::Zstd => zstd::encode_all(body, 1),
    };
    compressed.expect("compressing from memory to memory can't fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Request {
        Request { method: "GET".into(), target: target.into(), keep_alive: true }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_served() {
        let site = Site::open(Path::new("examples/log_server"), Conduct::default()).expect("the folder");
        for target in
            ["/../../Cargo.toml", "/%2e%2e/%2e%2e/Cargo.toml", "/a/..%2f..%2f../Cargo.toml", "/..\\x"]
        {
            assert_eq!(site.answer(&get(target), 1, 0).status, 403, "{target}");
        }
        assert_eq!(site.answer(&get("//etc/passwd"), 1, 0).status, 404);
        assert_eq!(site.answer(&get("/"), 1, 0).status, 404);
        assert_eq!(site.answer(&get("/m%61in.rs"), 1, 0).status, 200);
    }

    #[test]
    fn links_lead_on_until_the_last_page() {
        let request = get("/log.json?pages=3&page=2&token=a%26b");
        let (here, there) = (link(&request, 2, 3), "</log.json?pages=3&token=a%26b&page=3>; rel=\"next\"");
        assert!(here.starts_with(there), "{here}");
        assert!(!link(&request, 3, 3).contains("next"));
    }

    #[test]
    fn a_page_number_stands_before_all_extensions() {
        assert_eq!(numbered(Path::new("/x/log.ndjson.gz"), 2), Path::new("/x/log-2.ndjson.gz"));
        assert_eq!(numbered(Path::new("/x.y/log"), 12), Path::new("/x.y/log-12"));
    }
}
