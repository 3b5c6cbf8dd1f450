//! Our own message files read as source text, so that what is written there can be compared with
//! Kafka's definitions field by field: names and defaults leave no trace in the bytes.

use std::collections::HashMap;
use std::path::Path;

use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Expr, Fields, Item, ItemStruct, Lit, Meta, Token, Type};

use crate::facts::{Definition, Field, Kind, Versions};

/// Reads the messages of one API's file.
pub(crate) fn definitions(path: &Path) -> Vec<Definition> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let file = syn::parse_file(&text).expect("a file of Rust");
    let structs: HashMap<String, ItemStruct> = file
        .items
        .into_iter()
        .filter_map(|item| if let Item::Struct(it) = item { Some(it) } else { None })
        .map(|it| (it.ident.to_string(), it))
        .collect();
    let top = |it: &&ItemStruct| arguments(it, "message").contains_key("versions");
    structs.values().filter(top).map(|it| definition(it, &structs)).collect()
}

fn definition(item: &ItemStruct, structs: &HashMap<String, ItemStruct>) -> Definition {
    let arguments = arguments(item, "message");
    Definition {
        name: item.ident.to_string(),
        key: arguments.get("key").map(|key| key.parse().expect("a key")),
        versions: Versions::parse(&arguments["versions"]),
        flexible: Versions::parse(&arguments["flexible"]),
        fields: fields(item, structs),
    }
}

fn fields(item: &ItemStruct, structs: &HashMap<String, ItemStruct>) -> Vec<Field> {
    let Fields::Named(fields) = &item.fields else { panic!("{} has no fields", item.ident) };
    fields.named.iter().map(|it| field(it, structs)).collect()
}

fn field(it: &syn::Field, structs: &HashMap<String, ItemStruct>) -> Field {
    let mut arguments = parse_arguments(&it.attrs, "field");
    let mut take = |name: &str| arguments.remove(name);
    let (inner, optional) = match generic(&it.ty, "Option") {
        Some(inner) => (inner, true),
        None => (&it.ty, false),
    };
    let nullable = take("nullable").map_or(Versions::NONE, |range| Versions::parse(&range));
    let name = it.ident.as_ref().expect("a name").unraw().to_string();
    let is_secret = SECRETS.contains(&name.as_str());
    assert_eq!(last_segment(inner) == "Secret", is_secret, "{name} is a Secret if it is secret");
    assert_eq!(optional, nullable != Versions::NONE, "{name} is an Option if it can be null");
    let made = Field {
        kind: kind(inner, structs),
        versions: Versions::parse(&take("versions").expect("versions")),
        nullable,
        tag: take("tagged").map(|tag| tag.parse().expect("a tag")),
        default: take("default").map(|text| plain_default(&text)),
        ignorable: take("ignorable").is_some(),
        name,
    };
    assert!(arguments.is_empty(), "unknown arguments {arguments:?} of {}", made.name);
    made
}

fn kind(ty: &Type, structs: &HashMap<String, ItemStruct>) -> Kind {
    if let Some(element) = generic(ty, "Vec") {
        return Kind::Array(Box::new(kind(element, structs)));
    }
    let name = last_segment(ty);
    match name.as_str() {
        "bool" => Kind::Bool,
        "i8" => Kind::Int(1),
        "i16" | "ErrorCode" => Kind::Int(2),
        "i32" => Kind::Int(4),
        "i64" => Kind::Int(8),
        "f64" => Kind::Float,
        "Uuid" => Kind::Uuid,
        "String" => Kind::String,
        "Bytes" | "Secret" => Kind::Bytes,
        _ => Kind::Struct(name.clone(), fields(&structs[&name], structs)),
    }
}

fn last_segment(ty: &Type) -> String {
    let Type::Path(path) = ty else { panic!("no path") };
    path.path.segments.last().expect("a name").ident.to_string()
}

/// `T` of `Outer<T>`.
fn generic<'a>(ty: &'a Type, outer: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(inner) if segment.ident == outer => Some(inner),
        _ => None,
    }
}

fn arguments(item: &ItemStruct, attribute: &str) -> HashMap<String, String> {
    parse_arguments(&item.attrs, attribute)
}

fn parse_arguments(attributes: &[syn::Attribute], name: &str) -> HashMap<String, String> {
    let Some(found) = attributes.iter().find(|it| it.path().is_ident(name)) else {
        return HashMap::new();
    };
    let metas = found
        .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
        .expect("name = value, ..");
    let name_of = |meta: &Meta| meta.path().get_ident().expect("a name").to_string();
    metas.iter().map(|meta| (name_of(meta), argument(meta))).collect()
}

/// A string literal's text, any other expression as written without blanks, nothing for a flag.
fn argument(meta: &Meta) -> String {
    let Meta::NameValue(pair) = meta else { return String::new() };
    if let Expr::Lit(literal) = &pair.value
        && let Lit::Str(text) = &literal.lit
    {
        return text.value();
    }
    quote::ToTokens::to_token_stream(&pair.value).to_string().replace(' ', "")
}

fn plain_default(text: &str) -> String {
    match text {
        "i32::MIN" => i32::MIN.to_string(),
        "i32::MAX" => i32::MAX.to_string(),
        "i64::MAX" => i64::MAX.to_string(),
        _ => text.replace('_', ""),
    }
}

/// Fields that `Debug` must not tell.
const SECRETS: &[&str] = &["auth_bytes", "hmac", "salted_password"];
