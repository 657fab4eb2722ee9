//! Parameters of a URL: read, and set in their place.

use url::Url;

/// The URL with this value of a parameter, in the place of the one that it has.
pub(super) fn with_parameter(url: &Url, parameter: &str, value: &str) -> Url {
    let pair: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair(parameter, value).finish();
    let mut is_set = false;
    let mut pairs: Vec<&str> = Vec::new();
    for old in url.query().unwrap_or_default().split('&').filter(|old| !old.is_empty()) {
        if !is_it(old, parameter) {
            pairs.push(old);
        } else if !std::mem::replace(&mut is_set, true) {
            pairs.push(&pair);
        }
    }
    if !is_set {
        pairs.push(&pair);
    }
    let mut next = url.clone();
    next.set_query(Some(&pairs.join("&")));
    next
}

pub(super) fn number_in(url: &Url, parameter: &str) -> Option<u64> {
    let pair = url.query()?.split('&').find(|pair| is_it(pair, parameter))?;
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    value.parse().ok()
}

/// Whether the URL has this parameter.
pub(super) fn has_parameter(url: &Url, parameter: &str) -> bool {
    url.query().is_some_and(|query| query.split('&').any(|pair| is_it(pair, parameter)))
}

/// Whether the URL has a parameter that begins so.
pub(super) fn has_parameter_in(url: &Url, begin: &str) -> bool {
    url.query_pairs().any(|(key, _)| key.starts_with(begin))
}

fn is_it(pair: &str, parameter: &str) -> bool {
    url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, _)| key == parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_set_in_its_place_and_others_stay_as_they_are_written() {
        let set = |url: &str, parameter: &str, value: &str| {
            String::from(with_parameter(&Url::parse(url).unwrap(), parameter, value))
        };
        assert_eq!(set("http://h/a?x=%7B&page=1&y=a+b", "page", "2"), "http://h/a?x=%7B&page=2&y=a+b");
        assert_eq!(set("http://h/a?page=1&page=7&pages=3", "page", "2"), "http://h/a?page=2&pages=3");
        assert_eq!(set("http://h/a", "c[0]", "a&b=/ é"), "http://h/a?c%5B0%5D=a%26b%3D%2F+%C3%A9");
        assert_eq!(set("http://h/a?%70age=1", "page", "2"), "http://h/a?page=2");
        let url = Url::parse("http://h/a?%70age=10&offset=x").unwrap();
        assert_eq!(
            [number_in(&url, "page"), number_in(&url, "offset"), number_in(&url, "o")],
            [Some(10), None, None]
        );
    }
}
