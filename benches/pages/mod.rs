//! Pages of four kinds of logs, made from a seed.

mod trail;

use std::fmt::Write as _;

use fastrand::Rng;

/// A kind of log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Eight scalar fields and a list of 16 numbers.
    Flat,
    /// 120 scalar fields.
    Wide,
    /// Objects in objects, of which most are absent, as AWS CloudTrail has them.
    Nested,
    /// Strings with escapes and beyond ASCII.
    Strings,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Flat, Self::Wide, Self::Nested, Self::Strings];

    /// Records of some `bytes` in total, with these texts before, between and behind them.
    pub(crate) fn page(self, bytes: usize, open: &str, between: &str, close: &str) -> Vec<u8> {
        let mut random = Rng::with_seed(11);
        let mut page = open.to_owned();
        for id in 0.. {
            self.write_record(&mut random, id, &mut page);
            if page.len() >= bytes {
                break;
            }
            page.push_str(between);
        }
        page.push_str(close);
        page.into_bytes()
    }

    fn write_record(self, random: &mut Rng, id: u32, page: &mut String) {
        let write = match self {
            Self::Flat => write_flat(random, id, page),
            Self::Wide => write_wide(random, id, page),
            Self::Nested => trail::write_event(random, id, page),
            Self::Strings => write_strings(random, id, page),
        };
        write.expect("memory takes it");
    }
}

fn write_flat(random: &mut Rng, id: u32, page: &mut String) -> std::fmt::Result {
    let (second, host, item) = (id % 60, random.u8(..20), random.u32(..100_000));
    write!(
        page,
        r#"{{"id":{id},"ts":"2026-01-01T00:00:{second:02}Z","host":"web-{host:02}.example.com","method":"GET","#
    )?;
    write!(page, r#""path":"/api/v1/items/{item}","status":200,"bytes":{},"ok":true,"values":["#, item * 7)?;
    for index in 0..16 {
        let comma = if index == 0 { "" } else { "," };
        write!(page, "{comma}{}", random.f64() * 100.0)?;
    }
    page.write_str("]}")
}

fn write_wide(random: &mut Rng, id: u32, page: &mut String) -> std::fmt::Result {
    write!(page, r#"{{"id":{id}"#)?;
    for column in 0..119 {
        match column % 3 {
            0 => write!(page, r#","count_{column}":{}"#, random.u32(..10_000))?,
            1 => write!(page, r#","share_{column}":{}"#, f64::from(random.u16(..)) / 64.0)?,
            _ => write!(page, r#","name_{column}":"value-{}""#, random.u8(..50))?,
        }
    }
    page.write_str("}")
}

fn write_strings(random: &mut Rng, id: u32, page: &mut String) -> std::fmt::Result {
    write!(page, r#"{{"id":{id},"message":"line one\nline \"two\"\t{}","#, random.u32(..))?;
    write!(page, r#""path":"C:\\logs\\{id}\\app.log","city":"Zürich, Łódź, 東京","#)?;
    write!(page, r#""emoji":"\ud83d\ude00 ok","agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/{id}"}}"#)
}
