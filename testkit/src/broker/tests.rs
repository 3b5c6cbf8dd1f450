//! The machine driven with frames: what goes in as bytes has to come out as bytes.

mod admin;
mod consumer_groups;
mod control;
mod epochs;
mod fetch;
mod followers;
mod groups;
mod harness;
mod login;
mod produce;
mod sessions;
mod transactions;
mod versions;
