//! A client's certificate: the names it was issued for, and when it ends.
//!
//! The chain was verified when the connection was made; it is kept so that it
//! can be verified again when the trusted certificates change.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::access::CertificateName;
use crate::model::ContentHash;

/// Names that are looked at; more are left out.
const NAMES_MAX: usize = 64;

/// A verified certificate and the chain it came with.
#[derive(Debug)]
pub(super) struct Certificate {
    names: Vec<CertificateName>,
    ends: Option<Timestamp>,
    chain: Vec<CertificateDer<'static>>,
    /// Under which trust it was verified last, and whether it held.
    verified: Mutex<(ContentHash, bool)>,
}

impl Certificate {
    /// Reads a chain, the holder's certificate first, that was verified under
    /// this trust.
    pub(super) fn read(chain: &[CertificateDer<'_>], trust: ContentHash) -> Self {
        let names = chain.first().map(names).unwrap_or_default();
        let ends = chain.iter().filter_map(|one| end_of(one)).min();
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        Self { names, ends, chain, verified: Mutex::new((trust, true)) }
    }

    /// Its alternative names: URIs first, then DNS names.
    pub(super) fn names(&self) -> &[CertificateName] {
        &self.names
    }

    /// When it, or one that it rests on, ends.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// Whether it holds under a trust; `verify` is asked with the holder's
    /// certificate and those behind it, once for all streams.
    pub(super) fn holds(
        &self,
        trust: ContentHash,
        verify: impl FnOnce(&CertificateDer<'static>, &[CertificateDer<'static>]) -> bool,
    ) -> bool {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.0 != trust {
            let holds = self.chain.split_first().is_some_and(|(own, rest)| verify(own, rest));
            *verified = (trust, holds);
        }
        verified.1
    }
}

fn names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok(read) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let uris = read.valid_uri_names().map(|name| CertificateName::Uri(name.to_owned()));
    let hosts = read.valid_dns_names().map(|name| CertificateName::Dns(name.to_owned()));
    uris.chain(hosts).take(NAMES_MAX).collect()
}

/// The `notAfter` of a certificate (RFC 5280, section 4.1): the second moment
/// of the fifth field, or the fourth where no version is given.
fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = field(certificate)?;
    let (_, mut body, _) = field(certificate)?;
    const VERSION: u8 = 0xa0;
    if *body.first()? == VERSION {
        body = field(body)?.2;
    }
    for _serial_algorithm_issuer in 0..3 {
        body = field(body)?.2;
    }
    let (_, validity, _) = field(body)?;
    let (_, _, after) = field(validity)?;
    let (tag, text, _) = field(after)?;
    moment(tag, std::str::from_utf8(text).ok()?)
}

/// The tag and content of the DER field that `bytes` begin with, and the rest.
fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // The length's own length; four bytes are more than a handshake takes.
        0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after.
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    let text = text.strip_suffix('Z').filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let short = tag == UTC_TIME;
    let (year, rest) = text.split_at_checked(if short { 2 } else { 4 })?;
    let century = match year {
        year if !short => {
            let _ = year;
            0
        }
        year if year < "50" => 2000,
        _ => 1900,
    };
    let year = century + year.parse::<i16>().ok()?;
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of DER.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &len, content].concat()
    }

    fn certificate(version: bool, tag: u8, end: &str) -> Vec<u8> {
        let validity = [der(0x17, b"200101000000Z"), der(tag, end.as_bytes())].concat();
        let version = if version { der(0xa0, &der(2, &[2])) } else { Vec::new() };
        let body = [
            version,
            der(2, &[7; 20]),
            der(0x30, b"algorithm"),
            der(0x30, &[0; 300]),
            der(0x30, &validity),
            der(0x30, b"subject"),
        ];
        der(0x30, &[der(0x30, &body.concat()), der(0x30, b"x"), der(3, b"signature")].concat())
    }

    #[test]
    fn a_certificate_tells_when_it_ends() {
        let table = [
            (0x17, "261121074500Z", Some("2026-11-21T07:45:00Z")),
            (0x17, "490101000000Z", Some("2049-01-01T00:00:00Z")),
            (0x17, "500101000000Z", Some("1950-01-01T00:00:00Z")),
            (0x18, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
            (0x17, "261321074500Z", None),
            (0x17, "2611210745Z", None),
            (0x17, "26112107450+Z", None),
        ];
        for (tag, text, expected) in table {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            for version in [true, false] {
                assert_eq!(end_of(&certificate(version, tag, text)), expected, "{text}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_end_and_no_names() {
        let whole = certificate(true, 0x17, "261121074500Z");
        // What is behind the moment is not looked at.
        let needed = whole.len() - 40;
        for cut in 0..needed {
            let damaged = CertificateDer::from(whole[..cut].to_vec());
            let read = Certificate::read(&[damaged], ContentHash::of(b""));
            assert_eq!((read.ends(), read.names()), (None, &[][..]), "{cut}");
        }
    }
}
