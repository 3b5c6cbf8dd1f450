//! From attributes to code. In comes a [`Container`], out come the impls. All of the work on bytes
//! is done by the `Field` impls of the fields' types; what is written here only says in which
//! versions each field is there, and in which order.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Expr, Lit};

use crate::attributes::{Container, Field};
use crate::versions::Versions;

/// Every impl of a struct.
pub(crate) fn expand(container: &Container) -> TokenStream {
    let parts = [
        default(container),
        field(container),
        nullable(container),
        message(container),
        request(container),
    ];
    parts.into_iter().collect()
}

fn default(container: &Container) -> TokenStream {
    let name = &container.name;
    let fields = container.fields.iter().map(|field| {
        let (name, value) = (&field.name, default_of(field));
        quote!(#name: #value,)
    });
    quote! {
        #[automatically_derived]
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#fields)* }
            }
        }
    }
}

fn field(container: &Container) -> TokenStream {
    let name = &container.name;
    let kinds = container.fields.iter().map(|field| &field.kind);
    let (put, take, smallest) = (put(container), take(container), smallest(container));
    quote! {
        #[automatically_derived]
        impl ::klamm_protocol::wire::Field for #name {
            const DEPTH: usize = 1 + ::klamm_protocol::wire::deepest(
                &[#(<#kinds as ::klamm_protocol::wire::Field>::DEPTH,)*]
            );
            #put
            #take
            #smallest
        }

        // Using the depth is what makes the compiler compute it, and refuse a struct inside itself.
        const _: () = ::core::assert!(
            <#name as ::klamm_protocol::wire::Field>::DEPTH <= ::klamm_protocol::wire::MAX_DEPTH
        );
    }
}

fn put(container: &Container) -> TokenStream {
    let steps = container.fields.iter().map(|field| put_field(container, field));
    let tagged = put_tagged(container);
    quote! {
        fn put(
            &self,
            w: &mut ::klamm_protocol::wire::Writer,
            layout: ::klamm_protocol::wire::Layout,
        ) -> ::core::result::Result<(), ::klamm_protocol::error::EncodeError> {
            let version = layout.version;
            #(#steps)*
            if layout.flexible {
                #tagged
            }
            ::core::result::Result::Ok(())
        }
    }
}

/// Writes an ordinary field where the version has it, and refuses to lose it where the version does
/// not.
fn put_field(container: &Container, field: &Field) -> TokenStream {
    let version = version();
    let (name, path, layout) = (&field.name, path_of(container, field), layout_of(field));
    let write = quote! {
        ::klamm_protocol::wire::Field::put(&self.#name, w, #layout)
            .map_err(|error| error.in_field(#path))?;
    };
    let plain = field.plain.contains(&version);
    let lost = match (field.tag, differs(field)) {
        (None, differs) => differs,
        (Some(_), differs) => {
            let tagged = field.tagged.contains(&version);
            quote!(!(#tagged && layout.flexible) && #differs)
        }
    };
    let refuse = if field.ignorable || field.plain == Versions::ALL {
        TokenStream::new()
    } else {
        quote! {
            if #lost {
                return ::core::result::Result::Err(::klamm_protocol::error::EncodeError::new(
                    ::klamm_protocol::error::EncodeErrorKind::NotInVersion { version },
                ).in_field(#path));
            }
        }
    };
    match (field.plain, refuse.is_empty()) {
        (Versions::ALL, _) => write,
        (Versions::NONE, _) => refuse,
        (_, true) => quote!(if #plain { #write }),
        (_, false) => quote!(if #plain { #write } else { #refuse }),
    }
}

/// Writes the tagged fields that differ from their defaults, after their count.
fn put_tagged(container: &Container) -> TokenStream {
    let tagged = container.tagged();
    let version = version();
    let flags: Vec<_> = tagged
        .iter()
        .map(|(tag, _)| Ident::new(&format!("tag_{tag}"), Span::call_site()))
        .collect();
    let present = tagged.iter().map(|(_, field)| {
        let (inside, differs) = (field.tagged.contains(&version), differs(field));
        quote!(#inside && #differs)
    });
    let writes = tagged.iter().zip(&flags).map(|((tag, field), flag)| {
        let (name, path, layout) = (&field.name, path_of(container, field), layout_of(field));
        quote! {
            if #flag {
                w.put_tagged_field(#tag, |w| {
                    ::klamm_protocol::wire::Field::put(&self.#name, w, #layout)
                }).map_err(|error| error.in_field(#path))?;
            }
        }
    });
    quote! {
        #(let #flags = #present;)*
        w.put_unsigned_varint(0 #(+ u32::from(#flags))*);
        #(#writes)*
    }
}

fn take(container: &Container) -> TokenStream {
    let version = version();
    let names = container.fields.iter().map(|field| &field.name);
    let steps = container.fields.iter().map(|field| {
        let (name, kind, default) = (&field.name, &field.kind, default_of(field));
        let mutable = field.tag.map(|_| quote!(mut));
        let read = read_of(container, field);
        let value = match (field.plain, field.plain.contains(&version)) {
            (Versions::ALL, _) => quote!(#read?),
            (Versions::NONE, _) => default,
            (_, inside) => quote!(if #inside { #read? } else { #default }),
        };
        quote!(let #mutable #name: #kind = #value;)
    });
    let tagged = take_tagged(container);
    quote! {
        fn take(
            r: &mut ::klamm_protocol::wire::Reader,
            layout: ::klamm_protocol::wire::Layout,
        ) -> ::core::result::Result<Self, ::klamm_protocol::error::DecodeError> {
            let version = layout.version;
            #(#steps)*
            if layout.flexible {
                #tagged
            }
            ::core::result::Result::Ok(Self { #(#names,)* })
        }
    }
}

/// Reads the tagged fields that this version knows, and skips the others.
fn take_tagged(container: &Container) -> TokenStream {
    let version = version();
    let path = container.name.to_string();
    let tagged = container.tagged();
    if tagged.is_empty() {
        return quote!(r.skip_tagged_fields().map_err(|error| error.in_field(#path))?;);
    }
    let arms = tagged.iter().map(|(tag, field)| {
        let (name, inside) = (&field.name, field.tagged.contains(&version));
        let read = read_of(container, field);
        quote!(#tag if #inside => #name = #read?,)
    });
    quote! {
        r.tagged_fields(|tag, r| {
            match tag {
                #(#arms)*
                _ => return ::core::result::Result::Ok(false),
            }
            ::core::result::Result::Ok(true)
        }).map_err(|error| error.in_field(#path))?;
    }
}

/// The fewest bytes: the ordinary fields of the version, and the count of tagged ones.
fn smallest(container: &Container) -> TokenStream {
    let version = version();
    let sizes =
        container.fields.iter().filter(|field| field.plain != Versions::NONE).map(|field| {
            let (kind, layout, inside) =
                (&field.kind, layout_of(field), field.plain.contains(&version));
            let size = quote!(<#kind as ::klamm_protocol::wire::Field>::smallest(#layout));
            if field.plain == Versions::ALL {
                quote!(+ #size)
            } else {
                quote!(+ if #inside { #size } else { 0 })
            }
        });
    quote! {
        fn smallest(layout: ::klamm_protocol::wire::Layout) -> usize {
            let version = layout.version;
            let _ = version;
            usize::from(layout.flexible) #(#sizes)*
        }
    }
}

/// A struct that may be null has a byte before it that says so.
fn nullable(container: &Container) -> TokenStream {
    let name = &container.name;
    quote! {
        #[automatically_derived]
        impl ::klamm_protocol::wire::Nullable for #name {
            fn put_present(
                &self,
                w: &mut ::klamm_protocol::wire::Writer,
                layout: ::klamm_protocol::wire::Layout,
            ) -> ::core::result::Result<(), ::klamm_protocol::error::EncodeError> {
                w.put_i8(1);
                ::klamm_protocol::wire::Field::put(self, w, layout)
            }

            fn put_null(
                w: &mut ::klamm_protocol::wire::Writer,
                _: ::klamm_protocol::wire::Layout,
            ) -> ::core::result::Result<(), ::klamm_protocol::error::EncodeError> {
                w.put_i8(-1);
                ::core::result::Result::Ok(())
            }

            fn take_nullable(
                r: &mut ::klamm_protocol::wire::Reader,
                layout: ::klamm_protocol::wire::Layout,
            ) -> ::core::result::Result<
                ::core::option::Option<Self>,
                ::klamm_protocol::error::DecodeError,
            > {
                if r.i8()? < 0 {
                    return ::core::result::Result::Ok(::core::option::Option::None);
                }
                ::klamm_protocol::wire::Field::take(r, layout).map(::core::option::Option::Some)
            }

            fn smallest_nullable(_: ::klamm_protocol::wire::Layout) -> usize {
                1
            }
        }
    }
}

fn message(container: &Container) -> TokenStream {
    let Some(flexible) = container.flexible else { return TokenStream::new() };
    let name = &container.name;
    let version = version();
    let flexible = flexible.contains(&version);
    let (mut check_encode, mut check_decode) = (TokenStream::new(), TokenStream::new());
    if let Some(Versions { min, max }) = container.versions {
        let path = name.to_string();
        let outside =
            quote!(!::klamm_protocol::api::VersionRange::new(#min, #max).contains(version));
        check_encode = quote! {
            if #outside {
                return ::core::result::Result::Err(::klamm_protocol::error::EncodeError::new(
                    ::klamm_protocol::error::EncodeErrorKind::UnsupportedVersion { version },
                ).in_field(#path));
            }
        };
        check_decode = quote! {
            if #outside {
                return ::core::result::Result::Err(r.error(
                    ::klamm_protocol::error::DecodeErrorKind::UnsupportedVersion { version },
                ).in_field(#path));
            }
        };
    }
    let throttle = throttle(container);
    quote! {
        #[automatically_derived]
        impl ::klamm_protocol::api::Message for #name {
            fn encode(
                &self,
                w: &mut ::klamm_protocol::wire::Writer,
                version: i16,
            ) -> ::core::result::Result<(), ::klamm_protocol::error::EncodeError> {
                #check_encode
                let layout = ::klamm_protocol::wire::Layout::new(version, #flexible);
                ::klamm_protocol::wire::Field::put(self, w, layout)
            }

            fn decode(
                r: &mut ::klamm_protocol::wire::Reader,
                version: i16,
            ) -> ::core::result::Result<Self, ::klamm_protocol::error::DecodeError> {
                #check_decode
                let layout = ::klamm_protocol::wire::Layout::new(version, #flexible);
                ::klamm_protocol::wire::Field::take(r, layout)
            }

            #throttle
        }
    }
}

/// Every response has the time of a quota under the same name, wherever it stands.
fn throttle(container: &Container) -> TokenStream {
    if container.fields.iter().all(|field| field.name != "throttle_time_ms") {
        return TokenStream::new();
    }
    quote! {
        fn throttle_time_ms(&self) -> i32 {
            self.throttle_time_ms
        }
    }
}

fn request(container: &Container) -> TokenStream {
    let (Some((key, response)), Some(versions), Some(flexible)) =
        (&container.request, container.versions, container.flexible)
    else {
        return TokenStream::new();
    };
    let name = &container.name;
    let (min, max, from) = (versions.min, versions.max, flexible.min);
    quote! {
        #[automatically_derived]
        impl ::klamm_protocol::api::Request for #name {
            type Response = #response;
            const KEY: ::klamm_protocol::api::ApiKey =
                ::klamm_protocol::api::ApiKey::from_code(#key);
            const VERSIONS: ::klamm_protocol::api::VersionRange =
                ::klamm_protocol::api::VersionRange::new(#min, #max);
            const FLEXIBLE_FROM: i16 = #from;
        }

        const _: () = ::core::assert!(
            ::klamm_protocol::api::ApiKey::from_code(#key).flexible_from() == #from,
            "flexible differs from the table of APIs, by which headers are chosen"
        );
    }
}

/// The expression of a field's default.
fn default_of(field: &Field) -> TokenStream {
    if field.default_is_null() {
        return quote!(::core::option::Option::None);
    }
    let value = match &field.default {
        None => quote!(::core::default::Default::default()),
        Some(Expr::Lit(literal)) if matches!(literal.lit, Lit::Str(_)) => {
            quote!(::std::string::String::from(#literal))
        }
        Some(value) => quote!(#value),
    };
    if field.optional().is_some() { quote!(::core::option::Option::Some(#value)) } else { value }
}

/// Code that is true if a field holds something else than its default.
fn differs(field: &Field) -> TokenStream {
    let (name, kind, default) = (&field.name, &field.kind, default_of(field));
    if field.default_is_null() {
        return quote!(self.#name.is_some());
    }
    quote!({
        let default: #kind = #default;
        self.#name != default
    })
}

fn read_of(container: &Container, field: &Field) -> TokenStream {
    let (kind, path, layout) = (&field.kind, path_of(container, field), layout_of(field));
    quote! {
        <#kind as ::klamm_protocol::wire::Field>::take(r, #layout)
            .map_err(|error| error.in_field(#path))
    }
}

fn layout_of(field: &Field) -> TokenStream {
    let nullable = field.nullable.contains(&version());
    quote!(layout.nullable(#nullable))
}

fn path_of(container: &Container, field: &Field) -> String {
    format!("{}.{}", container.name, field.name.unraw())
}

/// The variable that every generated function has.
fn version() -> Ident {
    Ident::new("version", Span::call_site())
}
