//! `etl probe`: what one page is, and the command line that takes it.

use std::fmt::Write as _;
use std::process::ExitCode;

use etl::config::SurveyConfig;
use etl::error::Error;
use etl::model::{Answer, PageFault};
use etl::pipeline::{Probed, ProbedPage, Prober};
use etl::report::{Report, grouped, shown_bytes};
use etl::schema::{Shape, output_field, type_name};
use etl::shown;

use crate::cli::Talk;
use crate::process::{print, say_error, watched};

/// Bytes of a page that is none which are shown.
const HEAD_BYTES_MAX: usize = 400;
/// Headers that tell the page apart from its next version.
const VALIDATORS: [&str; 2] = ["etag", "last-modified"];
/// Beginnings of headers that tell how much a client may ask.
const LIMITS: [&str; 3] = ["ratelimit", "x-ratelimit", "retry-after"];

/// Looks at the page and says what it is.
pub(crate) fn probe(config: SurveyConfig, talk: &Talk) -> ExitCode {
    let resources = config.resources.clone();
    let probed = watched(&resources, talk, |metrics, stop| Prober::new(config, metrics, stop).run());
    let told = probed.and_then(|probed| probed).and_then(|probed| {
        print(&text_of(&probed))?;
        match (probed.error_kind(), &probed.page) {
            (Some(kind), Err(fault)) => Err(Error::new(kind, fault.reason.clone())),
            _ => Ok(()),
        }
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(Report::of_error(&error).exit_code)
        }
    }
}

fn text_of(probed: &Probed) -> String {
    let mut text = String::new();
    write_text(&mut text, probed).expect("writing to a String does not fail");
    text
}

fn write_text(out: &mut String, probed: &Probed) -> std::fmt::Result {
    let Probed { url, answer, wire_bytes, body_bytes, page } = probed;
    writeln!(out, "url         {}", shown::line(url))?;
    if let Some(answer) = answer {
        write_answer(out, answer)?;
    }
    if *wire_bytes > 0 {
        let (wire, body) = (shown_bytes(*wire_bytes), shown_bytes(*body_bytes));
        writeln!(out, "size        {wire} received, {body} decompressed")?;
    }
    match page {
        Ok(page) => write_page(out, url, page),
        Err(fault) => write_fault(out, fault),
    }
}

fn write_answer(out: &mut String, answer: &Answer) -> std::fmt::Result {
    writeln!(out, "status      {}", shown::line(&answer.status))?;
    writeln!(out, "type        {}", shown::line(answer.header("content-type").unwrap_or("not told")))?;
    writeln!(out, "encoding    {}", shown::line(answer.header("content-encoding").unwrap_or("none")))?;
    let of = |names: &[&str]| {
        let named =
            answer.headers.iter().filter(|(name, _)| names.iter().any(|begin| name.starts_with(begin)));
        let shown: Vec<_> =
            named.map(|(name, value)| shown::line(&format!("{name}: {value}")).into_owned()).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    writeln!(out, "validators  {}", of(&VALIDATORS))?;
    writeln!(out, "limits      {}", of(&LIMITS))
}

fn write_page(out: &mut String, url: &str, page: &ProbedPage) -> std::fmt::Result {
    let ProbedPage { layout, records, record_count, reject_count, first_reject, shape, lists, .. } = page;
    writeln!(out, "shape       {layout}")?;
    write!(out, "records     {}", grouped(*record_count))?;
    match first_reject {
        Some(reason) => {
            writeln!(
                out,
                ", {} of them rejected; the first: {}",
                grouped(*reject_count),
                shown::line(reason)
            )?;
        }
        None => writeln!(out)?,
    }
    for (place, column) in columns_of(shape).iter().enumerate() {
        writeln!(out, "{:12}{column}", if place == 0 { "columns" } else { "" })?;
    }
    let shown =
        if lists.is_empty() { "none".to_owned() } else { shown::line(&lists.join(", ")).into_owned() };
    writeln!(out, "lists       {shown}")?;
    let paging = page.paging.as_deref();
    writeln!(
        out,
        "next page   {}: {}",
        shown::line(paging.unwrap_or("not known")),
        shown::line(&page.paging_reason)
    )?;
    let Some(paging) = paging else {
        return writeln!(out, "command     not known: it depends on the next page");
    };
    let is_beside_records = paging.contains("--next-path");
    if records.is_none() && is_beside_records {
        let such_as = match page.candidates.as_slice() {
            [] => String::new(),
            candidates => format!(", such as {}", shown::line(&candidates.join(" or "))),
        };
        return writeln!(out, "command     not known: name the place of the records with --records{such_as}");
    }
    let mut command = "etl --out out.parquet".to_owned();
    if let Some(pointer) = records {
        write!(command, " --records {}", quoted(pointer))?;
    }
    if paging != "--paginate none" {
        paging.split(' ').try_for_each(|word| write!(command, " {}", quoted(word)))?;
    }
    // `values` is summarised without being named, and nothing else is then.
    if lists.iter().any(|list| list != "values") {
        lists.iter().try_for_each(|list| write!(command, " --values {}", quoted(list)))?;
    }
    writeln!(out, "command     {}", shown::line(&format!("{command} {}", quoted(url))))
}

fn columns_of(shape: &Shape) -> Vec<String> {
    let fields = shape.fields.iter();
    fields
        .map(|(name, shape)| {
            let field = output_field(name, &shape.column_type());
            shown::line(&format!("{}: {}", field.name(), type_name(field.data_type()))).into_owned()
        })
        .collect()
}

fn write_fault(out: &mut String, fault: &PageFault) -> std::fmt::Result {
    let Some(received) = &fault.received else { return Ok(()) };
    let head = &received.head[..received.head.len().min(HEAD_BYTES_MAX)];
    let shown = String::from_utf8_lossy(head).escape_debug().to_string();
    writeln!(out, "begins with {}", shown::line(&shown))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_quoted_where_a_shell_would_read_more_into_it() {
        assert_eq!(quoted("/a/b~1c"), "'/a/b~1c'");
        assert_eq!(quoted("http://h/a.json"), "http://h/a.json");
        assert_eq!(quoted("http://h/?a=1&b='x"), r"'http://h/?a=1&b='\''x'");
        assert_eq!(quoted(""), "''");
    }
}
