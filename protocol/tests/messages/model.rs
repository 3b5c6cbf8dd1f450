//! A second codec, slow and plain, that knows nothing of the derive: it walks Kafka's definitions.
//!
//! [`Model::generate`] draws a random message from a tape of bytes, [`Model::encode`] writes it as
//! the protocol guide says, or tells that the version can't hold it. What the derive does has to be
//! the same, byte by byte, so a fault would have to be made twice to stay unseen.

use crate::facts::{Definition, Field, Kind};

/// A value of some field. A structure holds one value for each field of its definition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Also a float, as the number of its bits.
    Int(i64),
    Uuid([u8; 16]),
    String(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Struct(Vec<Value>),
}

/// Why a version can't hold a message.
#[derive(Debug, PartialEq)]
pub(crate) struct CannotHold(pub(crate) String);

/// Random choices, taken from a tape so that proptest can shrink them; zeros when it has run out.
pub(crate) struct Tape<'a>(pub(crate) &'a [u8]);

impl Tape<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Small numbers as often as large ones, and both signs, so that defaults and edges are met.
    fn int(&mut self, width: usize) -> i64 {
        let bits = 8 * width as u32;
        match self.byte() {
            0..=39 => 0,
            40..=79 => -1,
            80..=99 => i64::MAX >> (64 - bits),
            100..=119 => i64::MIN >> (64 - bits),
            120..=159 => i64::from(self.byte() as i8),
            _ => {
                let wide = (0..8).fold(0, |wide, _| wide << 8 | i64::from(self.byte()));
                wide >> (64 - bits)
            }
        }
    }

    fn string(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '-', '.', '\0', 'ß', '🦀'];
        let len = self.len(20);
        (0..len).map(|_| LETTERS[usize::from(self.byte() % 8)]).collect()
    }

    /// Mostly short, at times long enough that a compact length takes two bytes.
    fn bytes(&mut self) -> Vec<u8> {
        let len = if self.byte() > 240 { 5000 } else { self.len(40) };
        (0..len).map(|at| self.byte() ^ at as u8).collect()
    }

    fn len(&mut self, most: u8) -> usize {
        usize::from(self.byte() % (most + 1))
    }
}

/// The codec of one message.
pub(crate) struct Model(pub(crate) &'static Definition);

impl Model {
    /// A random message that version `version` can hold: what it lacks is left at its default.
    pub(crate) fn generate(&self, tape: &mut Tape<'_>, version: i16) -> Value {
        generate_struct(&self.0.fields, tape, version)
    }

    /// The message with every field at Kafka's default.
    pub(crate) fn default(&self) -> Value {
        default_struct(&self.0.fields)
    }

    /// The message's bytes in `version`, which need not be the one it was drawn for.
    pub(crate) fn encode(&self, value: &Value, version: i16) -> Result<Vec<u8>, CannotHold> {
        self.encode_as(value, version, false)
    }

    /// The same as a newer peer might write it: with a tagged field in every structure that nobody
    /// knows yet. Needs a flexible version.
    pub(crate) fn encode_with_news(&self, value: &Value, version: i16) -> Vec<u8> {
        self.encode_as(value, version, true).expect("drawn for this version")
    }

    fn encode_as(&self, value: &Value, version: i16, news: bool) -> Result<Vec<u8>, CannotHold> {
        let flexible = self.0.flexible.contains(version);
        let mut out = Encoder { version, flexible, news, bytes: Vec::new() };
        out.structure(&self.0.fields, value)?;
        Ok(out.bytes)
    }
}

fn generate_struct(fields: &[Field], tape: &mut Tape<'_>, version: i16) -> Value {
    let generate = |field| generate_field(field, tape, version);
    Value::Struct(fields.iter().map(generate).collect())
}

fn generate_field(field: &Field, tape: &mut Tape<'_>, version: i16) -> Value {
    if !field.versions.contains(version) {
        return default_value(field);
    }
    let choice = tape.byte();
    if field.nullable.contains(version) && choice < 40 {
        return Value::Null;
    }
    let default = default_value(field);
    if field.tag.is_some() && choice < 80 && default != Value::Null {
        return default;
    }
    generate_value(&field.kind, tape, version)
}

fn generate_value(kind: &Kind, tape: &mut Tape<'_>, version: i16) -> Value {
    match kind {
        Kind::Bool => Value::Bool(tape.byte() % 2 == 1),
        Kind::Int(width) => Value::Int(tape.int(*width)),
        Kind::Float => Value::Int(tape.int(8)),
        Kind::Uuid => Value::Uuid(std::array::from_fn(|_| tape.byte())),
        Kind::String => Value::String(tape.string()),
        Kind::Bytes => Value::Bytes(tape.bytes()),
        Kind::Array(element) => {
            let len = tape.len(3);
            Value::List((0..len).map(|_| generate_value(element, tape, version)).collect())
        }
        Kind::Struct(_, fields) => generate_struct(fields, tape, version),
    }
}

fn default_struct(fields: &[Field]) -> Value {
    Value::Struct(fields.iter().map(default_value).collect())
}

fn default_value(field: &Field) -> Value {
    match (field.default.as_deref(), &field.kind) {
        (Some("null"), _) => Value::Null,
        (Some("true"), _) => Value::Bool(true),
        (Some(number), Kind::Int(_)) => Value::Int(number.parse().expect("a number")),
        (Some(other), _) => panic!("default {other:?} of {}", field.name),
        (None, Kind::Bool) => Value::Bool(false),
        (None, Kind::Int(_) | Kind::Float) => Value::Int(0),
        (None, Kind::Uuid) => Value::Uuid([0; 16]),
        (None, Kind::String) => Value::String(String::new()),
        (None, Kind::Bytes) => Value::Bytes(Vec::new()),
        (None, Kind::Array(_)) => Value::List(Vec::new()),
        (None, Kind::Struct(_, fields)) => default_struct(fields),
    }
}

struct Encoder {
    version: i16,
    flexible: bool,
    news: bool,
    bytes: Vec<u8>,
}

impl Encoder {
    fn structure(&mut self, fields: &[Field], value: &Value) -> Result<(), CannotHold> {
        let Value::Struct(values) = value else { panic!("no structure: {value:?}") };
        let mut tagged = Vec::new();
        for (field, value) in fields.iter().zip(values) {
            if !field.versions.contains(self.version) {
                if !field.ignorable && *value != default_value(field) {
                    return Err(CannotHold(field.name.clone()));
                }
            } else if let Some(tag) = field.tag {
                if *value != default_value(field) {
                    tagged.push((tag, self.tagged(field, value)?));
                }
            } else {
                self.field(field, value)?;
            }
        }
        if self.flexible {
            tagged.sort();
            tagged.extend(self.news.then(|| (9_999, b"news".to_vec())));
            self.varint(tagged.len());
            for (tag, bytes) in tagged {
                self.varint(tag as usize);
                self.varint(bytes.len());
                self.bytes.extend(bytes);
            }
        }
        Ok(())
    }

    fn tagged(&self, field: &Field, value: &Value) -> Result<Vec<u8>, CannotHold> {
        let mut inner = Self { bytes: Vec::new(), ..*self };
        inner.field(field, value)?;
        Ok(inner.bytes)
    }

    fn field(&mut self, field: &Field, value: &Value) -> Result<(), CannotHold> {
        let nullable = field.nullable.contains(self.version);
        if *value == Value::Null {
            if !nullable {
                return Err(CannotHold(field.name.clone()));
            }
            self.null(&field.kind);
            return Ok(());
        }
        if nullable && matches!(field.kind, Kind::Struct(..)) {
            self.bytes.push(1);
        }
        self.value(&field.kind, value)
    }

    fn value(&mut self, kind: &Kind, value: &Value) -> Result<(), CannotHold> {
        match (kind, value) {
            (Kind::Bool, Value::Bool(it)) => self.bytes.push(u8::from(*it)),
            (Kind::Int(width), Value::Int(it)) => {
                self.bytes.extend_from_slice(&it.to_be_bytes()[8 - width..]);
            }
            (Kind::Float, Value::Int(it)) => self.bytes.extend_from_slice(&it.to_be_bytes()),
            (Kind::Uuid, Value::Uuid(it)) => self.bytes.extend_from_slice(it),
            (Kind::String, Value::String(it)) => {
                self.len(it.len(), 2);
                self.bytes.extend_from_slice(it.as_bytes());
            }
            (Kind::Bytes, Value::Bytes(it)) => {
                self.len(it.len(), 4);
                self.bytes.extend_from_slice(it);
            }
            (Kind::Array(element), Value::List(list)) => {
                self.len(list.len(), 4);
                for value in list {
                    self.value(element, value)?;
                }
            }
            (Kind::Struct(_, fields), value) => self.structure(fields, value)?,
            (kind, value) => panic!("{value:?} is no {kind:?}"),
        }
        Ok(())
    }

    fn null(&mut self, kind: &Kind) {
        match kind {
            Kind::Struct(..) => self.bytes.push(0xff),
            _ if self.flexible => self.bytes.push(0),
            Kind::String => self.bytes.extend_from_slice(&[0xff; 2]),
            _ => self.bytes.extend_from_slice(&[0xff; 4]),
        }
    }

    fn len(&mut self, len: usize, width: usize) {
        if self.flexible {
            self.varint(len + 1);
        } else {
            self.bytes.extend_from_slice(&(len as u64).to_be_bytes()[8 - width..]);
        }
    }

    fn varint(&mut self, mut rest: usize) {
        while rest > 0x7f {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }
}
