//! Kafka's message definitions as data: `tests/data/messages.txt` in, [`Definition`]s out.
//!
//! The file is the yardstick of these tests, so this reader panics at anything it does not know.

use std::sync::LazyLock;

/// One request or response as Kafka defines it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// The API key; responses have none.
    pub(crate) key: Option<i16>,
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
    pub(crate) fields: Vec<Field>,
}

/// One field; a structure's or an array of structures' own fields are in `fields`.
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tag: Option<u32>,
    pub(crate) default: Option<String>,
    pub(crate) ignorable: bool,
}

/// The shape of a field's value.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int(usize),
    Float,
    Uuid,
    String,
    Bytes,
    Array(Box<Kind>),
    Struct(String, Vec<Field>),
}

/// Versions from first to last, both included; empty if the first is above the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Versions(pub(crate) i16, pub(crate) i16);

impl Versions {
    pub(crate) const NONE: Self = Self(1, 0);

    pub(crate) fn contains(self, version: i16) -> bool {
        self.0 <= version && version <= self.1
    }

    pub(crate) fn all(self) -> impl Iterator<Item = i16> {
        self.0..=self.1
    }

    /// Reads `3`, `3+`, `3-5` or `none`.
    pub(crate) fn parse(text: &str) -> Self {
        if text == "none" {
            return Self::NONE;
        }
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("no version: {text:?}"));
        if let Some(first) = text.strip_suffix('+') {
            return Self(number(first), i16::MAX);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self(number(first), number(last))
    }
}

/// All definitions of the data file, in its order.
pub(crate) static DEFINITIONS: LazyLock<Vec<Definition>> =
    LazyLock::new(|| parse(include_str!("../data/messages.txt")));

/// The definition of that name.
pub(crate) fn definition(name: &str) -> &'static Definition {
    DEFINITIONS.iter().find(|d| d.name == name).unwrap_or_else(|| panic!("no facts about {name}"))
}

fn parse(text: &str) -> Vec<Definition> {
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let text = line.trim_start();
            ((line.len() - text.len()) / 2, text)
        })
        .peekable();
    let mut all = Vec::new();
    while let Some((depth, line)) = lines.next() {
        assert_eq!(depth, 0, "a definition begins at the margin: {line}");
        all.push(parse_definition(line, &mut lines));
    }
    all
}

fn parse_definition<'a>(
    line: &str,
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Definition {
    let mut words = line.split(' ').skip(1);
    let name = words.next().expect("a name").to_owned();
    let mut made = Definition {
        name,
        key: None,
        versions: Versions::NONE,
        flexible: Versions::NONE,
        fields: parse_fields(1, lines),
    };
    for word in words {
        match word.split_once('=') {
            Some(("key", key)) => made.key = Some(key.parse().expect("a key")),
            Some(("versions", range)) => made.versions = Versions::parse(range),
            Some(("flexible", range)) => made.flexible = Versions::parse(range),
            _ => panic!("unknown word {word:?} in {line:?}"),
        }
    }
    made
}

fn parse_fields<'a>(
    depth: usize,
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((_, line)) = lines.next_if(|line| line.0 == depth) {
        let below = parse_fields(depth + 1, lines);
        fields.push(parse_field(line, below));
    }
    fields
}

fn parse_field(line: &str, below: Vec<Field>) -> Field {
    let words: Vec<&str> = line.split(' ').collect();
    let mut field = Field {
        name: words[0].to_owned(),
        kind: parse_kind(words[1], below),
        versions: Versions::parse(words[2]),
        nullable: Versions::NONE,
        tag: None,
        default: None,
        ignorable: false,
    };
    for word in &words[3..] {
        match word.split_once('=') {
            Some(("null", range)) => field.nullable = Versions::parse(range),
            Some(("tag", tag)) => field.tag = Some(tag.parse().expect("a tag")),
            Some(("default", default)) => field.default = Some(default.to_owned()),
            None if *word == "ignorable" => field.ignorable = true,
            _ => panic!("unknown word {word:?} in {line:?}"),
        }
    }
    field
}

fn parse_kind(name: &str, below: Vec<Field>) -> Kind {
    if let Some(element) = name.strip_prefix("[]") {
        return Kind::Array(Box::new(parse_kind(element, below)));
    }
    match name {
        "bool" => Kind::Bool,
        "int8" => Kind::Int(1),
        "int16" => Kind::Int(2),
        "int32" => Kind::Int(4),
        "int64" => Kind::Int(8),
        "float64" => Kind::Float,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" | "records" => Kind::Bytes,
        _ => Kind::Struct(name.to_owned(), below),
    }
}
