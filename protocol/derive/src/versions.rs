//! Version ranges as Kafka's definitions write them: `"0-13"`, `"3+"`, `"5"`, `"none"`. In comes
//! the text, out comes a range and the code that asks whether a version is inside.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::LitStr;

/// Versions from `min` to `max`, both included; `min > max` is none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl Versions {
    /// Every version.
    pub(crate) const ALL: Self = Self { min: 0, max: i16::MAX };
    /// No version.
    pub(crate) const NONE: Self = Self { min: i16::MAX, max: 0 };

    /// Reads a range from an attribute.
    pub(crate) fn parse(text: &LitStr) -> syn::Result<Self> {
        Self::from_text(&text.value()).ok_or_else(|| {
            syn::Error::new(text.span(), "versions are \"0-13\", \"3+\", \"5\" or \"none\"")
        })
    }

    /// Code that is true if the variable `version` is inside; `true` and `false` themselves where
    /// it always or never is.
    pub(crate) fn contains(self, version: &Ident) -> TokenStream {
        let Self { min, max } = self;
        match (min > 0, max < i16::MAX) {
            _ if min > max => quote!(false),
            (false, false) => quote!(true),
            (true, false) => quote!((#version >= #min)),
            (false, true) => quote!((#version <= #max)),
            (true, true) if min == max => quote!((#version == #min)),
            (true, true) => quote!((#min..=#max).contains(&#version)),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        let number = |text: &str| text.parse::<i16>().ok().filter(|number| *number >= 0);
        if let Some(min) = text.strip_suffix('+') {
            return Some(Self { min: number(min)?, max: i16::MAX });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let (min, max) = (number(min)?, number(max)?);
        (min <= max).then_some(Self { min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::Versions;

    #[test]
    fn ranges_are_read_as_kafka_writes_them() {
        assert_eq!(Versions::from_text("0-13"), Some(Versions { min: 0, max: 13 }));
        assert_eq!(Versions::from_text("3+"), Some(Versions { min: 3, max: i16::MAX }));
        assert_eq!(Versions::from_text("5"), Some(Versions { min: 5, max: 5 }));
        assert_eq!(Versions::from_text("none"), Some(Versions::NONE));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "+", "-", "3-", "-3", "5-3", "0 - 3", "all"] {
            assert_eq!(Versions::from_text(text), None, "{text}");
        }
    }
}
