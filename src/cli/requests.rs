//! What is sent with the requests: headers, logins, bodies, certificates. Their files are read here.
//!
//! No message repeats what may be a secret, and none may stand on a command line, which every user of the machine can
//! see.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use etl::config::{ClientAuth, Header, Login, Method, Netrc, OAuth2Config, RequestConfig, Secret, TlsConfig};
use etl::error::Error;
use etl::fetch::Redaction;

use super::args::HttpArgs;
use super::words::MethodName;

/// Bytes of a file of headers, logins or certificates at most; all that is usual takes a hundredth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a body at most: it is kept in memory while the run lasts.
const BODY_BYTES_MAX: u64 = 4 << 20;

/// Reads what is asked of all pages. What a person should know goes to `warnings`.
pub(super) fn request_of(
    args: &HttpArgs,
    redaction: &Redaction,
    warnings: &mut Vec<String>,
) -> Result<RequestConfig, Error> {
    let mut files = Files { warnings };
    let config = RequestConfig {
        headers: headers_of(args, redaction, &mut files)?,
        login: login_of(args, &mut files)?,
        proxy: args.proxy.as_deref().map(parse_proxy).transpose()?,
        tls: tls_of(args, &mut files)?,
    };
    config.check().map_err(Error::usage)?;
    Ok(config)
}

/// Reads how pages are asked for whose lines do not say it.
pub(super) fn method_of(args: &HttpArgs) -> Result<(Method, Option<Secret>), Error> {
    let Some(given) = &args.body else {
        let method = args.method.map_or(Method::Get, |MethodName(method)| method);
        return Ok((method, None));
    };
    if let Some(MethodName(Method::Get)) = args.method {
        return Err(Error::usage("--body: expected --method POST, for a GET has no body"));
    }
    let Some(path) = given.strip_prefix('@') else {
        return Err(Error::usage("--body: expected @FILE, got something else; put the body into a file"));
    };
    let (body, _) = read("--body", Path::new(path), BODY_BYTES_MAX)?;
    Ok((Method::Post, Some(Secret::new(body))))
}

fn headers_of(args: &HttpArgs, redaction: &Redaction, files: &mut Files<'_>) -> Result<Vec<Header>, Error> {
    let mut headers = Vec::new();
    for given in &args.header {
        let Some(path) = given.strip_prefix('@') else {
            let header =
                Header::parse(given).map_err(|fault| Error::usage(format!("-H/--header: {fault}")))?;
            if redaction.hides_header(header.name()) {
                return Err(Error::usage(format!(
                    "-H/--header: {} looks like a secret, which every user of this machine could see on the \
                     command line; put the line into a file and give -H @FILE, or use --bearer-file",
                    header.name()
                )));
            }
            headers.push(header);
            continue;
        };
        let of_file = headers_in(Path::new(path))?;
        if of_file.0.iter().any(|header| redaction.hides_header(header.name())) {
            files.warn_if_open("-H/--header", Path::new(path), &of_file.1);
        }
        headers.extend(of_file.0);
    }
    if let Some(user_agent) = &args.user_agent
        && headers.iter().all(|header| header.name() != "user-agent")
    {
        let header = Header::new("user-agent", user_agent)
            .map_err(|fault| Error::usage(format!("-A/--user-agent: {fault}")))?;
        headers.push(header);
    }
    Ok(headers)
}

/// The headers in a file, one a line.
fn headers_in(path: &Path) -> Result<(Vec<Header>, Metadata), Error> {
    let (bytes, metadata) = read("-H/--header", path, FILE_BYTES_MAX)?;
    let mut headers = Vec::new();
    for (index, line) in text_of("-H/--header", path, bytes)?.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let header = Header::parse(line).map_err(|fault| {
            Error::usage(format!("-H/--header: {}:{}: {fault}", path.display(), index + 1))
        })?;
        headers.push(header);
    }
    Ok((headers, metadata))
}

/// clap lets at most one of them be given.
fn login_of(args: &HttpArgs, files: &mut Files<'_>) -> Result<Login, Error> {
    if let Some(path) = &args.bearer_file {
        let token = files.secret_text("--bearer-file", path)?;
        return Ok(Login::Bearer(Secret::new(token.trim().to_owned())));
    }
    if let Some(path) = &args.netrc_file {
        let text = files.secret_text("--netrc-file", path)?;
        let netrc = Netrc::parse(&text).map_err(|(line, fault)| {
            Error::usage(format!("--netrc-file: {}:{line}: {fault}", path.display()))
        })?;
        return Ok(Login::Netrc(Arc::new(netrc)));
    }
    let Some(path) = &args.oauth2 else { return Ok(Login::None) };
    let text = files.secret_text("--oauth2", path)?;
    let config = parse_oauth2(&text)
        .map_err(|fault| Error::usage(format!("--oauth2: {}: {fault}", path.display())))?;
    Ok(Login::OAuth2(Arc::new(config)))
}

/// Reads the TOML by hand: what the parser says of a wrong value shows it.
fn parse_oauth2(text: &str) -> Result<OAuth2Config, String> {
    const KEYS: [&str; 6] = ["token_url", "client_id", "client_secret", "scope", "audience", "client_auth"];
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("expected TOML, got a fault of syntax in line {line}")
    })?;
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("expected {}; got the key {unknown}", KEYS.join(", ")));
    }
    let mut take = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(toml::Value::String(_)) => Err(format!("{key}: expected a text, got an empty one")),
        Some(other) => Err(format!("{key}: expected a string, got {}", other.type_str())),
    };
    let missing = |key: &str| format!("expected the key {key}, got none");
    let token_url = take("token_url")?.ok_or_else(|| missing("token_url"))?;
    let token_url = Url::parse(&token_url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && !has_userinfo(url))
        .ok_or("token_url: expected an http or https URL without userinfo, got something else")?;
    Ok(OAuth2Config {
        token_url,
        client_id: take("client_id")?.ok_or_else(|| missing("client_id"))?,
        client_secret: Secret::new(take("client_secret")?.ok_or_else(|| missing("client_secret"))?),
        scope: take("scope")?,
        audience: take("audience")?,
        client_auth: match take("client_auth")?.as_deref() {
            None | Some("basic") => ClientAuth::Basic,
            Some("body") => ClientAuth::Body,
            Some(_) => {
                return Err("client_auth: expected \"basic\" or \"body\", got something else".to_owned());
            }
        },
    })
}

/// As curl does, a proxy without a scheme is an http one.
fn parse_proxy(text: &str) -> Result<Url, Error> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return Err(Error::usage(
            "-x/--proxy: expected http://HOST:PORT or https://HOST:PORT, got something else",
        ));
    };
    if has_userinfo(&url) {
        return Err(Error::usage(
            "-x/--proxy: expected a URL without userinfo, which every user of this machine could see on the command \
             line; give the proxy with its login in HTTPS_PROXY and HTTP_PROXY instead",
        ));
    }
    Ok(url)
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn tls_of(args: &HttpArgs, files: &mut Files<'_>) -> Result<TlsConfig, Error> {
    let authorities = args.cacert.as_ref().map(|path| read("--cacert", path, FILE_BYTES_MAX)).transpose()?;
    let identity = match &args.cert {
        None => None,
        Some(cert) => {
            // A file may hold both.
            let mut pem = match &args.key {
                Some(_) => read("--cert", cert, FILE_BYTES_MAX)?.0,
                None => files.secret("--cert", cert)?,
            };
            if let Some(key) = &args.key {
                pem.push(b'\n');
                pem.extend(files.secret("--key", key)?);
            }
            Some(Secret::new(pem))
        }
    };
    Ok(TlsConfig { authorities: authorities.map(|(pem, _)| pem.into()), identity })
}

/// Reads files, and warns of those with secrets that are open to all.
struct Files<'a> {
    warnings: &'a mut Vec<String>,
}

impl Files<'_> {
    fn secret(&mut self, option: &str, path: &Path) -> Result<Vec<u8>, Error> {
        let (bytes, metadata) = read(option, path, FILE_BYTES_MAX)?;
        self.warn_if_open(option, path, &metadata);
        Ok(bytes)
    }

    fn secret_text(&mut self, option: &str, path: &Path) -> Result<String, Error> {
        self.secret(option, path).and_then(|bytes| text_of(option, path, bytes))
    }

    fn warn_if_open(&mut self, option: &str, path: &Path, metadata: &Metadata) {
        if is_open_to_all(metadata) {
            let path = path.display();
            self.warnings.push(format!("{option}: every user of this machine can read {path}; chmod o-r it"));
        }
    }
}

fn text_of(option: &str, path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| {
        Error::usage(format!("{option}: expected UTF-8 in {}, got bytes that are not", path.display()))
    })
}

/// The files that these options name, each with its option.
pub(super) fn files_read(args: &HttpArgs) -> Vec<(&'static str, PathBuf)> {
    let of_file = |given: &str| given.strip_prefix('@').map(PathBuf::from);
    let headers = args.header.iter().filter_map(|given| of_file(given)).map(|path| ("-H/--header", path));
    let named = [
        ("--body", args.body.as_deref().and_then(of_file)),
        ("--bearer-file", args.bearer_file.clone()),
        ("--netrc-file", args.netrc_file.clone()),
        ("--oauth2", args.oauth2.clone()),
        ("--cacert", args.cacert.clone()),
        ("--cert", args.cert.clone()),
        ("--key", args.key.clone()),
    ];
    headers.chain(named.into_iter().filter_map(|(option, path)| Some((option, path?)))).collect()
}

fn read(option: &str, path: &Path, bytes_max: u64) -> Result<(Vec<u8>, Metadata), Error> {
    let unread = |error: std::io::Error| {
        Error::usage(format!("{option}: could not read {}", path.display())).because(error)
    };
    let file = File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::usage(format!(
            "{option}: expected at most {} in {}, got more",
            super::show_bytes(bytes_max),
            path.display()
        )));
    }
    Ok((bytes, metadata))
}

/// A pipe, as shells make one of `<(command)`, is nobody else's.
fn is_open_to_all(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.is_file() && metadata.mode() & 0o004 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oauth2_file_is_read_and_its_faults_hide_its_values() {
        let base = "token_url = \"https://h/t\"\nclient_id = \"me\"\nclient_secret = \"hunter2\"\n";
        let config = parse_oauth2(base).unwrap();
        assert_eq!((config.client_id.as_str(), config.client_auth), ("me", ClientAuth::Basic));
        let config =
            parse_oauth2(&format!("{base}scope = \"a b\"\naudience = \"x\"\nclient_auth = \"body\""));
        assert_eq!(config.unwrap().client_auth, ClientAuth::Body);
        for (wrong, needle) in [
            ("hunter2", "line 1"),
            ("client_id = \"me\"\nclient_secret = hunter2", "line 2"),
            ("client_id = \"me\"\nclient_secret = \"hunter2", "line 2"),
            ("secret = \"hunter2\"", "the key secret"),
            ("token_url = \"ftp://hunter2\"", "token_url: expected"),
            ("token_url = \"https://a:hunter2@h/\"", "token_url: expected"),
            ("token_url = \"https://h/\"\nclient_id = 7", "client_id: expected a string, got integer"),
            ("token_url = \"https://h/\"\nclient_id = \"\"", "client_id: expected a text"),
            ("token_url = \"https://h/\"\nclient_id = \"a\"", "the key client_secret"),
            (&format!("{base}client_auth = \"hunter2\""), "client_auth: expected"),
        ] {
            let fault = parse_oauth2(wrong).unwrap_err();
            assert!(fault.contains(needle) && !fault.contains("hunter2"), "{wrong}: {fault}");
        }
    }

    #[test]
    fn proxy_is_http_or_https_and_brings_no_login() {
        assert_eq!(parse_proxy("proxy:3128").unwrap().as_str(), "http://proxy:3128/");
        assert_eq!(parse_proxy("https://proxy:443").unwrap().as_str(), "https://proxy/");
        for wrong in ["socks5://proxy:1080", "http://", "me:hunter2@proxy:3128", "http://me:hunter2@proxy"] {
            let fault = parse_proxy(wrong).unwrap_err().one_line();
            assert!(fault.starts_with("-x/--proxy: expected") && !fault.contains("hunter2"), "{fault}");
        }
    }
}
