//! `--paginate` and what belongs to it.

use std::sync::Arc;

use etl::config::{PaginationConfig, Paging, TransformConfig};
use etl::error::Error;

use super::args::{Paginate, PaginationArgs};
use super::words::Pointer;

/// How chains are followed; what has to be looked at in their pages is added to `transform`.
pub(super) fn follow(
    transform: &mut TransformConfig,
    args: PaginationArgs,
) -> Result<PaginationConfig, Error> {
    check(&args)?;
    let next = || args.next_path.clone().map(|Pointer(tokens)| tokens).unwrap_or_default();
    let named = |name: &Option<String>, default: &str| name.clone().unwrap_or_else(|| default.to_owned());
    let size = args.page_size;
    let paging = match args.paginate {
        Paginate::None => Paging::None,
        Paginate::Link => Paging::Link,
        Paginate::JsonLink => Paging::JsonLink { next: next() },
        Paginate::Cursor => Paging::Cursor { next: next(), parameter: named(&args.cursor_param, "cursor") },
        Paginate::Offset => Paging::Offset { parameter: named(&args.offset_param, "offset"), size },
        Paginate::Page => Paging::Page { parameter: named(&args.page_param, "page"), size },
        Paginate::Auto => Paging::Auto,
    };
    let config = PaginationConfig {
        paging,
        page_size: size,
        total: args.total_path.map(|Pointer(tokens)| tokens),
        pages_max: args.max_pages,
        allows_other_origins: args.allow_next_origin,
        cursor_parameter: args.cursor_param,
        ..PaginationConfig::default()
    }
    .looking_around(transform.records.as_deref());
    transform.looked_at = Arc::clone(&config.looked_at);
    check_places(&config, transform)?;
    Ok(config)
}

/// Refuses options that would do nothing, and paging that lacks one.
fn check(args: &PaginationArgs) -> Result<(), Error> {
    use Paginate::{Auto, Cursor, JsonLink, Offset, Page};

    const ALL: &[Paginate] = &[Paginate::Link, JsonLink, Cursor, Offset, Page, Auto];
    let is_changed = args.max_pages != PaginationConfig::default().pages_max;
    let given: [(&str, bool, &[Paginate]); 8] = [
        ("--next-path", args.next_path.is_some(), &[JsonLink, Cursor]),
        ("--cursor-param", args.cursor_param.is_some(), &[Cursor, Auto]),
        ("--offset-param", args.offset_param.is_some(), &[Offset]),
        ("--page-param", args.page_param.is_some(), &[Page]),
        ("--page-size", args.page_size.is_some(), &[Offset, Page, Auto]),
        ("--total-path", args.total_path.is_some(), ALL),
        ("--max-pages", is_changed, ALL),
        ("--allow-next-origin", args.allow_next_origin, ALL),
    ];
    let is_idle = |(_, is_given, of): &&(&str, bool, &[Paginate])| *is_given && !of.contains(&args.paginate);
    if let Some((option, _, of)) = given.iter().find(is_idle) {
        let names: Vec<_> = of.iter().map(|paginate| name_of(*paginate)).collect();
        return Err(Error::usage(format!("{option} belongs to --paginate {}", names.join(" or "))));
    }
    match args.paginate {
        JsonLink | Cursor if args.next_path.is_none() => Err(Error::usage(format!(
            "--paginate {}: expected --next-path POINTER, where the next page is told",
            name_of(args.paginate)
        ))),
        Cursor if args.cursor_param.is_none() => Err(Error::usage(
            "--paginate cursor: expected --cursor-param NAME, the parameter of the URL that takes the cursor",
        )),
        _ => Ok(()),
    }
}

/// Refuses places that can't be looked at: those beside the records, where it is not known which the records are, and
/// those in them.
fn check_places(config: &PaginationConfig, transform: &TransformConfig) -> Result<(), Error> {
    let next = match &config.paging {
        Paging::JsonLink { next } | Paging::Cursor { next, .. } => Some(next),
        _ => None,
    };
    for (option, place) in [("--next-path", next), ("--total-path", config.total.as_ref())]
        .into_iter()
        .filter_map(|(option, place)| Some((option, place?)))
    {
        let Some(records) = &transform.records else {
            return Err(Error::usage(format!(
                "{option} stands beside the records: name those with --records POINTER"
            )));
        };
        if place.starts_with(records) {
            return Err(Error::usage(format!(
                "{option}: expected a place beside the records, got one in them"
            )));
        }
    }
    match config.paging.parameter().or(config.cursor_parameter.as_deref()) {
        Some("") => Err(Error::usage("expected the name of a parameter of the URL, got an empty one")),
        _ => Ok(()),
    }
}

fn name_of(paginate: Paginate) -> &'static str {
    match paginate {
        Paginate::None => "none",
        Paginate::Link => "link",
        Paginate::JsonLink => "json-link",
        Paginate::Cursor => "cursor",
        Paginate::Offset => "offset",
        Paginate::Page => "page",
        Paginate::Auto => "auto",
    }
}
