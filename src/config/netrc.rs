//! The logins of a `.netrc` file, as GNU inetutils and curl read it.
//!
//! Written here for its size: the crates that read it have been left alone for years.

use super::Secret;

/// The logins of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    machines: Vec<Machine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    /// `None` for `default`, the login of all other hosts.
    host: Option<String>,
    login: Option<String>,
    password: Option<Secret>,
}

impl Netrc {
    /// Reads the text of a file.
    ///
    /// A token may stand in double quotes, with `\` before a character that is meant as it is; `#` begins a comment where
    /// a keyword is expected; a `macdef` lasts until the next blank line.
    ///
    /// # Errors
    /// The number of the line, and in words what is wrong there; never what stands there.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut tokens = Tokens { rest: text, line: 1 };
        let mut machines: Vec<Machine> = Vec::new();
        while let Some(keyword) = tokens.next()? {
            let line = tokens.line;
            let wrong = |what: &str| Err((line, what.to_owned()));
            match &*keyword {
                comment if comment.starts_with('#') => tokens.skip_line(),
                "macdef" => {
                    tokens.skip_until_blank();
                    continue;
                }
                "machine" | "default" => {
                    if machines.last().is_some_and(|last| last.host.is_none()) {
                        return wrong(
                            "expected nothing behind default, which is for all hosts that are left",
                        );
                    }
                    let host = match &*keyword {
                        "machine" => Some(tokens.value("machine")?.to_ascii_lowercase()),
                        _ => None,
                    };
                    machines.push(Machine { host, login: None, password: None });
                }
                "login" | "password" | "account" => {
                    let value = tokens.value(&keyword)?;
                    let Some(machine) = machines.last_mut() else {
                        return wrong("expected machine or default first");
                    };
                    match &*keyword {
                        "login" => machine.login = Some(value),
                        "password" => machine.password = Some(Secret::new(value)),
                        // HTTP knows no accounts.
                        _ => {}
                    }
                }
                _ => return wrong("expected machine, default, login, password, account or macdef"),
            }
        }
        Ok(Self { machines })
    }

    /// Login and password for a host, of the first entry that is about it; either may be empty.
    pub fn login_for(&self, host: &str) -> Option<(&str, &[u8])> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let machine =
            self.machines.iter().find(|machine| machine.host.as_ref().is_none_or(|named| *named == host))?;
        if machine.login.is_none() && machine.password.is_none() {
            return None;
        }
        let password = machine.password.as_ref().map_or(&[][..], |password| password.bytes());
        Some((machine.login.as_deref().unwrap_or_default(), password))
    }
}

/// What is left of a file.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<String>, (usize, String)> {
        let start = self.rest.trim_start();
        self.line += newlines(&self.rest[..self.rest.len() - start.len()]);
        self.rest = start;
        if !start.starts_with('"') {
            let end = start.find(char::is_whitespace).unwrap_or(start.len());
            self.rest = &start[end..];
            return Ok((end > 0).then(|| start[..end].to_owned()));
        }
        let mut token = String::new();
        let mut characters = start.char_indices().skip(1);
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &start[place + 1..];
                    return Ok(Some(token));
                }
                '\n' => break,
                '\\' => token.extend(characters.next().map(|(_, escaped)| escaped)),
                _ => token.push(character),
            }
        }
        Err((
            self.line,
            "expected a quotation mark that ends what one begins, got none in the line".to_owned(),
        ))
    }

    fn value(&mut self, keyword: &str) -> Result<String, (usize, String)> {
        self.next()?
            .ok_or_else(|| (self.line, format!("expected a value behind {keyword}, got the end of the file")))
    }

    fn skip_line(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    fn skip_until_blank(&mut self) {
        self.skip_line();
        while let Some(behind) = self.rest.strip_prefix('\n') {
            self.line += 1;
            self.rest = behind;
            let line = behind.split('\n').next().unwrap_or_default();
            if line.trim().is_empty() {
                return;
            }
            self.rest = &behind[line.len()..];
        }
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login<'a>(netrc: &'a Netrc, host: &str) -> Option<(&'a str, &'a str)> {
        netrc.login_for(host).map(|(login, password)| (login, std::str::from_utf8(password).unwrap()))
    }

    #[test]
    fn first_entry_of_a_host_is_its_login_and_default_is_for_the_others() {
        let netrc = Netrc::parse(
            "# mine\nmachine Api.Example.Org login bob password s3cret#1 account x\r\n\
             machine api.example.org login late password late\n\
             machine b login \"b o\\\"b\" password \"p\\\\w\"  # comment machine c\n\
             macdef init\n machine d login m\n password m\n\n\
             machine empty\nmachine ::1\n\tpassword only\ndefault login anonymous",
        )
        .unwrap();
        assert_eq!(login(&netrc, "API.example.org"), Some(("bob", "s3cret#1")));
        assert_eq!(login(&netrc, "b"), Some(("b o\"b", "p\\w")));
        assert_eq!(login(&netrc, "empty"), None);
        assert_eq!(login(&netrc, "[::1]"), Some(("", "only")));
        for other in ["c", "d", "example.org", "x.api.example.org"] {
            assert_eq!(login(&netrc, other), Some(("anonymous", "")));
        }
        assert_eq!(login(&Netrc::parse("machine a login b").unwrap(), "c"), None);
    }

    #[test]
    fn wrong_line_is_numbered_and_not_repeated() {
        for (text, line) in [
            ("hunter2", 1),
            ("machine a\n\nlogin b hunter2", 3),
            ("login b password hunter2", 1),
            ("machine a login b password", 1),
            ("machine a\npassword \"hunter2\nmachine b", 2),
            ("default login a\nmachine b login c", 2),
            ("macdef x\nhunter2\n\nhunter2", 4),
        ] {
            let (found, fault) = Netrc::parse(text).unwrap_err();
            assert_eq!(found, line, "{text}: {fault}");
            assert!(fault.starts_with("expected") && !fault.contains("hunter2"), "{fault}");
        }
        assert_eq!(Netrc::parse("macdef x\nhunter2"), Ok(Netrc::default()));
        assert!(!format!("{:?}", Netrc::parse("machine a password hunter2").unwrap()).contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(text in "(machine|default|login|password|macdef|[a-z\"\\\\# \n\r\t]){0,20}") {
            drop(Netrc::parse(&text));
        }
    }
}
