//! `--paginate` and what belongs to it.

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
    };
    transform.looked_at = config.looked_at();
    check_places(transform)?;
    Ok(config)
}

/// Refuses options that would do nothing, and paging that lacks one.
fn check(args: &PaginationArgs) -> Result<(), Error> {
    use Paginate::{Auto, Cursor, JsonLink, Offset, Page};

    let given: [(&str, bool, &[Paginate]); 6] = [
        ("--next-path", args.next_path.is_some(), &[JsonLink, Cursor]),
        ("--cursor-param", args.cursor_param.is_some(), &[Cursor]),
        ("--offset-param", args.offset_param.is_some(), &[Offset]),
        ("--page-param", args.page_param.is_some(), &[Page]),
        ("--page-size", args.page_size.is_some(), &[Offset, Page, Auto]),
        ("--total-path", args.total_path.is_some(), &[Paginate::Link, JsonLink, Cursor, Offset, Page, Auto]),
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

/// What stands beside the records is known only where it is known which the records are.
fn check_places(transform: &TransformConfig) -> Result<(), Error> {
    let is_told = transform.looked_at.iter().any(|place| !place.is_empty());
    let is_auto = transform.looked_at.len() > 2;
    if !is_told || is_auto || transform.records.is_some() {
        return Ok(());
    }
    Err(Error::usage(
        "--next-path and --total-path stand beside the records: name those with --records POINTER",
    ))
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
