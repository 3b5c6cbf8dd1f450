//! The `Message` derive of klamm-protocol. In comes a plain struct whose fields say in which
//! versions they live, out come `Default`, `Field` and `Nullable`, and for structs that are
//! messages `Message` and `Request` as well.
//!
//! ```text
//! #[derive(Message, Clone, Debug, PartialEq)]
//! #[message(key = 3, response = MetadataResponse, versions = "0-13", flexible = "9+")]
//! pub struct MetadataRequest {
//!     #[field(versions = "0+", nullable = "1+")]
//!     pub topics: Option<Vec<MetadataRequestTopic>>,
//!     #[field(versions = "4+", default = true)]
//!     pub allow_auto_topic_creation: bool,
//!     #[field(versions = "8-10")]
//!     pub include_cluster_authorized_operations: bool,
//! }
//! ```
//!
//! On the struct, `#[message(..)]`:
//!
//! * `versions`: the versions that exist; other ones are refused. Left out for nested structs.
//! * `flexible`: the versions with compact lengths and tagged fields (KIP-482), or `"none"`. A
//!   nested struct follows the message that holds it; its own `flexible` counts only when it is
//!   encoded by itself, and without one it has no `Message`.
//! * `key`, `response`: make it a request.
//!
//! On a field, `#[field(..)]`:
//!
//! * `versions`: where it exists; `"0+"` if left out. Elsewhere it decodes to its default, and
//!   encoding anything else than the default is an error, unless the field is `ignorable`.
//! * `nullable`: where it may be null. The field is an `Option` then, and only then.
//! * `tagged = N`: its tag; it is written only if it differs from its default. `tagged_versions` if
//!   it was an ordinary field before (else as `versions`).
//! * `default = ..`: a literal or another expression; `null` for `None`.
//! * `ignorable`: may be dropped where the version lacks it.
//!
//! **Default.** The derive writes `impl Default` with Kafka's defaults, so the struct must not
//! derive it. Without `default = ..` it is zero, false, empty, and for an `Option` *`Some` of
//! that*: in Kafka's definitions a nullable field is null by default only where they say so (and
//! for `records`, where `default = null` must be written here).
//!
//! Types: integers, `bool`, `f64`, `String`, `Bytes`, `Uuid`, `ErrorCode`, structs that derive
//! `Message`, `Vec` of any of these, and `Option` of `String`, `Bytes`, `Vec` or a struct. Structs
//! need `PartialEq`, to be compared with their default. A struct that contains itself does not
//! compile: hostile bytes could nest it without end.

#![forbid(unsafe_code)]

mod attributes;
mod expand;
mod versions;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives the wire format of a struct; see the crate's documentation for the attributes.
#[proc_macro_derive(Message, attributes(message, field))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    attributes::Container::parse(&input)
        .map(|container| expand::expand(&container))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
