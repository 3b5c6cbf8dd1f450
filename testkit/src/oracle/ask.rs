//! The frames between us and the Java oracle.
//!
//! In: numbers, flags and byte strings. Out: the same, big-endian, byte strings after their length in
//! four bytes, -1 meaning null. The Java side has the mirror image in `Question` and `Answer`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::outside::Error;

/// A command and its argument, being written.
#[derive(Debug)]
pub(super) struct Question(BytesMut);

impl Question {
    pub(super) fn new(command: u8) -> Self {
        let mut frame = BytesMut::new();
        frame.put_u8(command);
        Self(frame)
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.0.put_u8(value.into());
    }

    pub(super) fn int8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub(super) fn int16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    /// A number of at most 31 bits, which lengths and epochs in tests always are.
    pub(super) fn int32(&mut self, value: impl TryInto<i32>) {
        self.0.put_i32(value.try_into().unwrap_or(i32::MAX));
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(super) fn bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.int32(value.len());
                self.0.put_slice(value);
            }
            None => self.0.put_i32(-1),
        }
    }

    pub(super) fn string(&mut self, value: &str) {
        self.bytes(Some(value.as_bytes()));
    }

    /// A flag, and the string if there is one.
    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            self.string(value);
        }
    }

    pub(super) fn into_frame(self) -> Bytes {
        let mut frame = BytesMut::with_capacity(self.0.len() + 4);
        frame.put_u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        frame.put(self.0);
        frame.freeze()
    }
}

/// A result, being read.
#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    /// Takes the status off: a result, or Java's exception as an error of `what`.
    pub(super) fn new(what: &str, mut frame: Bytes) -> Result<Self, Error> {
        match frame.try_get_u8() {
            Ok(0) => Ok(Self(frame)),
            _ => Err(Error::failed(what, &String::from_utf8_lossy(&frame))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.0.try_get_u8().map_err(short)? != 0)
    }

    pub(super) fn int8(&mut self) -> Result<i8, Error> {
        self.0.try_get_i8().map_err(short)
    }

    pub(super) fn int16(&mut self) -> Result<i16, Error> {
        self.0.try_get_i16().map_err(short)
    }

    pub(super) fn int32(&mut self) -> Result<i32, Error> {
        self.0.try_get_i32().map_err(short)
    }

    pub(super) fn int64(&mut self) -> Result<i64, Error> {
        self.0.try_get_i64().map_err(short)
    }

    pub(super) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, Error> {
        match usize::try_from(self.int32()?) {
            Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
            Ok(_) => Err(malformed()),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Error> {
        self.nullable_bytes()?.ok_or_else(malformed)
    }

    pub(super) fn string(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| malformed())
    }
}

fn short(_: bytes::TryGetError) -> Error {
    malformed()
}

fn malformed() -> Error {
    Error::failed("reading the Java oracle's answer", "the answer is cut short")
}
