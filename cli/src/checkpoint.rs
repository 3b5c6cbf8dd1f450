//! `klamm checkpoint DIR`: what a checkpoint says, klamm's or Spark's, and what a restart would do. Nothing is changed.

use klamm_connector::checkpoint::Contents;
use klamm_connector::checkpoint::recovery::Resume;
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::offsets::json::write_offsets;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::CheckpointArgs;
use crate::failure::{Failure, Status};
use crate::output::{print_line, print_table};

pub(crate) fn run(args: &CheckpointArgs) -> Result<(), Failure> {
    if !args.dir.is_dir() {
        let line = format!("{} is no folder", args.dir.display());
        return Err(Failure::new(Status::Checkpoint, line));
    }
    let contents = Contents::read(&args.dir)?;
    if args.json { print_json(&contents) } else { print(&contents) }
}

fn print(contents: &Contents) -> Result<(), Failure> {
    print_line(&format!("query id: {}", contents.id.as_deref().unwrap_or("none yet")))?;
    if let Some(initial) = &contents.initial {
        print_line(&format!("started at: {}", write_offsets(initial)))?;
    }
    print_line(&format!("on restart: {}", plan(contents.resume)))?;
    let row = |batch: &Batch<'_>| {
        let state = if batch.committed { "committed" } else { "planned" };
        let ends = batch.ends.map_or_else(|| "-".to_owned(), write_offsets);
        vec![batch.id.to_string(), state.to_owned(), ends]
    };
    print_table(
        &["batch", "state", "ends at"],
        &batches(contents).map(|b| row(&b)).collect::<Vec<_>>(),
    )
}

/// What a restart would do, in words.
fn plan(resume: Resume) -> String {
    match resume {
        Resume::Fresh => "starts from the source's starting offsets with batch 0".to_owned(),
        Resume::Rerun { first, last } if first == last => {
            format!("runs batch {first} again to its planned end, then goes on")
        }
        Resume::Rerun { first, last } => {
            format!("runs batches {first} to {last} again to their planned ends, then goes on")
        }
        Resume::Next { committed } => {
            format!("goes on with batch {} where batch {committed} ended", committed + 1)
        }
    }
}

struct Batch<'a> {
    id: i64,
    committed: bool,
    ends: Option<&'a PartitionOffsets>,
}

fn batches(contents: &Contents) -> impl Iterator<Item = Batch<'_>> {
    contents.batches.iter().map(|(id, entry, committed)| Batch {
        id: *id,
        committed: *committed,
        ends: entry.offsets.as_ref(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    id: Option<&'a str>,
    initial_offsets: Option<Box<RawValue>>,
    next_batch: i64,
    on_restart: String,
    batches: Vec<BatchReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchReport {
    batch_id: i64,
    committed: bool,
    end_offsets: Option<Box<RawValue>>,
}

fn print_json(contents: &Contents) -> Result<(), Failure> {
    let raw = |offsets: Option<&PartitionOffsets>| {
        offsets.map(|offsets| RawValue::from_string(write_offsets(offsets))).transpose()
    };
    let batch = |batch: Batch<'_>| {
        Ok(BatchReport {
            batch_id: batch.id,
            committed: batch.committed,
            end_offsets: raw(batch.ends)?,
        })
    };
    let report = || -> Result<String, serde_json::Error> {
        serde_json::to_string(&Report {
            id: contents.id.as_deref(),
            initial_offsets: raw(contents.initial.as_ref())?,
            next_batch: contents.resume.batch(),
            on_restart: plan(contents.resume),
            batches: batches(contents).map(batch).collect::<Result<_, serde_json::Error>>()?,
        })
    };
    print_line(&report().map_err(|error| Failure::failed("no JSON").because(error))?)
}
