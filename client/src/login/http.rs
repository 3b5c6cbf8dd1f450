//! One question by HTTP/1.1, as far as a token server needs it (RFC 9112). In: a URL, a form, bytes of
//! an answer; out: its status and body. Every length is bounded before it is believed; redirects are
//! not followed, since what is sent is for that server alone.

use std::fmt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::dial::Stream;

/// Where a question goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub secure: bool,
    /// A name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Reads `http://host:port/path` or the same with `https`; `None` for anything else, such as one
    /// with a user's name inside.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return None;
        }
        let default = if secure { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!host.is_empty() && port > 0).then(|| Self { secure, host: host.to_owned(), port, path })
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The stream failed.
    Io(std::io::Error),
    /// The other side ended it too early.
    Ended,
    /// It is no HTTP, or of a form that is not read here.
    Malformed(&'static str),
    /// It is larger than [`LARGEST`].
    TooLarge,
}

/// Posts a form over a stream that has just been opened, and awaits the answer. The caller bounds
/// the time.
///
/// # Errors
///
/// The stream's, and answers that are no good HTTP.
///
/// # Cancel safety
///
/// Not cancel safe: the stream is of no more use.
pub async fn post(
    stream: &mut impl Stream,
    url: &Url,
    authorization: &str,
    form: &str,
) -> Result<Response, HttpError> {
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{}\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Accept: application/json\r\nConnection: close\r\n\r\n",
        url.path,
        url.port,
        form.len()
    );
    let request = zeroize::Zeroizing::new(head + form);
    stream.write_all(request.as_bytes()).await.map_err(HttpError::Io)?;
    stream.flush().await.map_err(HttpError::Io)?;
    let mut reader = ResponseReader::default();
    let mut buffer = vec![0; 8 << 10];
    loop {
        let count = stream.read(&mut buffer).await.map_err(HttpError::Io)?;
        if count == 0 {
            return reader.end();
        }
        if let Some(response) = reader.push(&buffer[..count])? {
            return Ok(response);
        }
    }
}

/// Reads an answer from bytes that come cut anywhere.
#[derive(Debug, Default)]
pub struct ResponseReader {
    buffer: Vec<u8>,
    /// How much of the buffer was looked at in vain for the end of the head.
    seen: usize,
    head: Option<Head>,
    /// Chunks without their lengths.
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    length: Length,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
    UntilTheEnd,
}

impl ResponseReader {
    /// Takes bytes; the answer, once it is whole. What comes after it is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        if self.buffer.len() + bytes.len() > LARGEST {
            return Err(HttpError::TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        let head = match self.head {
            Some(head) => head,
            None => match self.take_head()? {
                Some(head) => *self.head.insert(head),
                None => return Ok(None),
            },
        };
        let whole = match head.length {
            Length::Known(length) if self.buffer.len() >= length => {
                self.buffer.truncate(length);
                std::mem::take(&mut self.buffer)
            }
            Length::Chunked if self.take_chunks()? => std::mem::take(&mut self.body),
            _ => return Ok(None),
        };
        Ok(Some(Response { status: head.status, body: whole }))
    }

    /// The stream has ended.
    pub fn end(&mut self) -> Result<Response, HttpError> {
        match self.head {
            Some(Head { status, length: Length::UntilTheEnd }) => {
                Ok(Response { status, body: std::mem::take(&mut self.buffer) })
            }
            _ => Err(HttpError::Ended),
        }
    }

    /// Cuts the head off, once it is whole. Heads of preliminary answers are skipped.
    fn take_head(&mut self) -> Result<Option<Head>, HttpError> {
        loop {
            let from = self.seen.saturating_sub(HEAD_END.len() - 1);
            let end = self.buffer[from..].windows(HEAD_END.len()).position(|at| at == HEAD_END);
            let Some(end) = end.map(|end| from + end) else {
                self.seen = self.buffer.len();
                if self.seen > LARGEST_HEAD {
                    return Err(HttpError::Malformed("its head has no end"));
                }
                return Ok(None);
            };
            let head = parse_head(&self.buffer[..end])?;
            self.buffer.drain(..end + HEAD_END.len());
            self.seen = 0;
            if head.status >= 200 {
                return Ok(Some(head));
            }
        }
    }

    /// Moves whole chunks to the body; `true` after the last.
    fn take_chunks(&mut self) -> Result<bool, HttpError> {
        let malformed = || HttpError::Malformed("a chunk is cut wrongly");
        let mut at = 0;
        let done = loop {
            let rest = &self.buffer[at..];
            let Some(line) = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
                if rest.len() > LONGEST_LINE {
                    return Err(malformed());
                }
                break false;
            };
            let words = std::str::from_utf8(&rest[..line]).unwrap_or_default();
            let size = words.split(';').next().unwrap_or_default().trim();
            let digits = size.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = usize::from_str_radix(size, 16).ok().filter(|_| digits);
            let size = size.ok_or_else(malformed)?;
            if size > LARGEST {
                return Err(HttpError::TooLarge);
            }
            if size == 0 {
                break true;
            }
            let (begin, end) = (line + 1, line + 1 + size);
            if rest.len() < end + 2 {
                break false;
            }
            if &rest[end..end + 2] != b"\r\n" {
                return Err(malformed());
            }
            self.body.extend_from_slice(&rest[begin..end]);
            at += end + 2;
            // The buffer shrinks as the body grows, so both together are bounded here.
            if self.body.len() > LARGEST {
                return Err(HttpError::TooLarge);
            }
        };
        self.buffer.drain(..at);
        Ok(done)
    }
}

fn parse_head(bytes: &[u8]) -> Result<Head, HttpError> {
    let malformed = |what| HttpError::Malformed(what);
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("its head is no text"))?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    let status = status.and_then(|code| code.parse().ok());
    let status = status.filter(|status| *status >= 100).ok_or(malformed("it has no status"))?;
    let (mut known, mut chunked) = (None, false);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(malformed("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse::<usize>().ok().filter(|_| !value.starts_with('+'));
            let length = length.ok_or(malformed("its length is no number"))?;
            if length > LARGEST {
                return Err(HttpError::TooLarge);
            }
            if known.is_some_and(|known| known != length) {
                return Err(malformed("it has two lengths"));
            }
            known = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(malformed("its encoding is not known here"));
            }
            chunked = true;
        }
    }
    let length = match (known, chunked, status) {
        (_, _, ..200 | 204 | 304) => Length::Known(0),
        (Some(_), true, _) => return Err(malformed("it has two lengths")),
        (None, true, _) => Length::Chunked,
        (Some(length), false, _) => Length::Known(length),
        (None, false, _) => Length::UntilTheEnd,
    };
    Ok(Head { status, length })
}

/// Percent-encodes a value of a form.
pub fn form_encode(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Ended => f.write_str("it hung up before its answer was whole"),
            Self::Malformed(what) => write!(f, "its answer is no good HTTP: {what}"),
            Self::TooLarge => f.write_str("its answer is larger than a megabyte"),
        }
    }
}

impl std::error::Error for HttpError {}

/// The largest answer taken; a token has a few kilobytes.
pub const LARGEST: usize = 1 << 20;

const LARGEST_HEAD: usize = 64 << 10;
const LONGEST_LINE: usize = 1 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The answer in these bytes, given in pieces of `step`.
    fn read(bytes: &[u8], step: usize) -> Result<Response, HttpError> {
        let mut reader = ResponseReader::default();
        for piece in bytes.chunks(step) {
            if let Some(response) = reader.push(piece)? {
                return Ok(response);
            }
        }
        reader.end()
    }

    #[test]
    fn bodies_are_read_in_all_three_forms_however_they_are_cut() {
        let forms = [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length:5\r\n\r\nhello",
        ];
        for form in forms {
            for step in 1..form.len() {
                let response = read(form.as_bytes(), step).expect(form);
                assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]), "{form}");
            }
        }
    }

    #[test]
    fn what_is_no_good_http_is_refused() {
        let refused = [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 20x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        ];
        for text in refused {
            assert!(read(text.as_bytes(), 7).is_err(), "{text}");
        }
        let endless = vec![b'x'; LARGEST_HEAD + 2];
        assert!(matches!(read(&endless, 1000), Err(HttpError::Malformed(_))));
    }

    #[test]
    fn urls_are_read_and_those_with_users_are_not() {
        let url = Url::parse("https://idp.example/realms/x/token?y=z#frag").expect("a url");
        assert!(url.secure && url.port == 443 && url.host == "idp.example");
        assert_eq!(url.path, "/realms/x/token?y=z");
        let url = Url::parse("http://[::1]:8080").expect("a url");
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8080, "/"));
        assert_eq!(Url::parse("http://[::1]/x").map(|url| url.port), Some(80));
        for wrong in
            ["", "idp", "ftp://a/", "http://", "http://a:x/", "http://u:p@a/", "http://a/ b"]
        {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_of_a_form_are_encoded() {
        assert_eq!(form_encode("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_nothing_panics(
            bytes in "HTTP/1.1 [12]00 X\r\n(Content-Length: [0-9]{1,3}|Transfer-Encoding: chunked|X: y)\r\n\r\n([0-9a-f]{1,2}\r\n[a-z\r\n]{0,40}){0,4}",
            step in 1..50_usize,
        ) {
            let whole = read(bytes.as_bytes(), bytes.len()).ok();
            let cut = read(bytes.as_bytes(), step).ok();
            prop_assert_eq!(whole, cut);
        }
    }
}
