//! From a struct's syntax to what its attributes say. In comes the parsed struct, out comes a
//! [`Container`] whose parts fit together, or an error at the place that is wrong.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Expr, Fields, GenericArgument, LitInt, LitStr, PathArguments, Result,
    Type,
};

use crate::versions::Versions;

/// A struct with its attributes.
pub(crate) struct Container {
    pub(crate) name: Ident,
    pub(crate) versions: Option<Versions>,
    pub(crate) flexible: Option<Versions>,
    pub(crate) request: Option<(LitInt, Type)>,
    pub(crate) fields: Vec<Field>,
}

impl Container {
    /// Reads the struct's attributes and those of its fields.
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let mut container = Self {
            name: input.ident.clone(),
            versions: None,
            flexible: None,
            request: None,
            fields: fields(input)?,
        };
        let (mut key, mut response) = (None, None);
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("message"))
        {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("versions") {
                    container.versions = Some(range(&meta)?);
                } else if meta.path.is_ident("flexible") {
                    container.flexible = Some(range(&meta)?);
                } else if meta.path.is_ident("key") {
                    key = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("response") {
                    response = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("known are versions, flexible, key and response"));
                }
                Ok(())
            })?;
        }
        container.request = key.zip(response);
        container.check()?;
        Ok(container)
    }

    /// The fields that lie in order in a version, and those with a tag.
    pub(crate) fn tagged(&self) -> Vec<(u32, &Field)> {
        let mut tagged: Vec<_> =
            self.fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
        tagged.sort_by_key(|(tag, _)| *tag);
        tagged
    }

    fn check(&self) -> Result<()> {
        let fail = |text| Err(Error::new(self.name.span(), text));
        if self.request.is_some() && (self.versions.is_none() || self.flexible.is_none()) {
            return fail("a request needs versions and flexible");
        }
        if self.versions.is_some() && self.flexible.is_none() {
            return fail("a message needs flexible; \"none\" if no version is");
        }
        let tagged = self.tagged();
        if tagged.iter().zip(tagged.iter().skip(1)).any(|((tag, _), (next, _))| tag == next) {
            return fail("two fields have the same tag");
        }
        Ok(())
    }
}

/// A field with its attributes.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) kind: Type,
    /// Where it exists as an ordinary field.
    pub(crate) plain: Versions,
    pub(crate) tag: Option<u32>,
    /// Where it exists as a tagged field.
    pub(crate) tagged: Versions,
    pub(crate) nullable: Versions,
    pub(crate) ignorable: bool,
    pub(crate) default: Option<Expr>,
}

impl Field {
    fn parse(field: &syn::Field) -> Result<Self> {
        let name =
            field.ident.clone().ok_or_else(|| Error::new(field.span(), "fields need names"))?;
        let mut parsed = Self {
            name,
            kind: field.ty.clone(),
            plain: Versions::ALL,
            tag: None,
            tagged: Versions::NONE,
            nullable: Versions::NONE,
            ignorable: false,
            default: None,
        };
        let mut tagged = None;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| parsed.set(&mut tagged, &meta))?;
        }
        parsed.split(tagged)?;
        if parsed.optional().is_some() != (parsed.nullable != Versions::NONE) {
            return Err(Error::new(field.span(), "nullable and Option belong together"));
        }
        if parsed.default_is_null() && parsed.optional().is_none() {
            return Err(Error::new(field.span(), "only an Option can be null"));
        }
        Ok(parsed)
    }

    /// The type inside, if the field is an `Option`.
    pub(crate) fn optional(&self) -> Option<&Type> {
        let Type::Path(path) = &self.kind else { return None };
        let last = path.path.segments.last()?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        match arguments.args.first() {
            Some(GenericArgument::Type(inner)) if last.ident == "Option" => Some(inner),
            _ => None,
        }
    }

    /// Whether the default was given as `null`.
    pub(crate) fn default_is_null(&self) -> bool {
        matches!(&self.default, Some(Expr::Path(path)) if path.path.is_ident("null"))
    }

    fn set(&mut self, tagged: &mut Option<Versions>, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("versions") {
            self.plain = range(meta)?;
        } else if meta.path.is_ident("nullable") {
            self.nullable = range(meta)?;
        } else if meta.path.is_ident("tagged") {
            self.tag = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("tagged_versions") {
            *tagged = Some(range(meta)?);
        } else if meta.path.is_ident("default") {
            self.default = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("ignorable") {
            self.ignorable = true;
        } else {
            return Err(meta.error(
                "known are versions, nullable, tagged, tagged_versions, default and ignorable",
            ));
        }
        Ok(())
    }

    /// Splits the versions into those of an ordinary field and those of a tagged one.
    fn split(&mut self, tagged: Option<Versions>) -> Result<()> {
        let wrong = |text| Err(Error::new(self.name.span(), text));
        match (self.tag, tagged) {
            (None, None) => Ok(()),
            (None, Some(_)) => wrong("tagged_versions needs tagged"),
            (Some(_), None) => {
                self.tagged = std::mem::replace(&mut self.plain, Versions::NONE);
                Ok(())
            }
            (Some(_), Some(tagged))
                if tagged.min > self.plain.min && tagged.max == self.plain.max =>
            {
                self.tagged = tagged;
                self.plain.max = tagged.min - 1;
                Ok(())
            }
            (Some(_), Some(_)) => wrong("tagged_versions must be the newer part of versions"),
        }
    }
}

fn fields(input: &DeriveInput) -> Result<Vec<Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) if input.generics.params.is_empty() => {
                named.named.iter().map(Field::parse).collect()
            }
            Fields::Unit => Ok(Vec::new()),
            _ => Err(Error::new(input.span(), "a message has named fields and no parameters")),
        },
        _ => Err(Error::new(input.span(), "a message is a struct")),
    }
}

fn range(meta: &ParseNestedMeta<'_>) -> Result<Versions> {
    Versions::parse(&meta.value()?.parse::<LitStr>()?)
}
