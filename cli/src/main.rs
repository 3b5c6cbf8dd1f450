//! The `klamm` command: words in, rows on stdout, everything else on stderr, and an exit status that scripts can
//! rely on. It joins the layers and holds no logic that a library user would miss.
#![forbid(unsafe_code)]

mod args;
mod broker;
mod checkpoint;
mod cluster;
mod demo;
mod failure;
mod generate;
mod offsets;
mod output;
mod pairs;
mod pipeline;
mod progress;
mod read;
mod signals;
mod sinks;
mod stream;
mod token;
mod topics;
mod write;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tracing_subscriber::filter::LevelFilter;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => return refuse(&refusal),
    };
    let verbose = cli.verbose;
    log(verbose);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => say(&failure, verbose),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Completions(args) => {
            generate::completions(args.shell);
            Ok(())
        }
        Command::Man(args) => generate::man(&args.dir),
        Command::Checkpoint(args) => checkpoint::run(&args),
        Command::Read(args) => block_on(read::run(args)),
        Command::Write(args) => block_on(write::run(args)),
        Command::Stream(args) => block_on(stream::run(args)),
        Command::Broker(args) => block_on(broker::run(args)),
        Command::Offsets(args) => block_on(offsets::run(args)),
        Command::Token(args) => block_on(token::run(args.verb)),
        Command::Topics(args) => block_on(topics::run(args.verb)),
        Command::Demo(args) => block_on(demo::run(args)),
    }
}

/// Runs a command that talks to the network.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A blocked reader of stdin must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Warnings of the layers below go to stderr, a line each; with `-v` also what happens on the way.
fn log(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::WARN };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(verbose)
        .without_time()
        .init();
}

/// Help and version are answers; anything else is one line and the status for a wrong command line.
fn refuse(refusal: &clap::Error) -> ExitCode {
    match refusal.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that went away has read enough.
            let _ = refusal.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = refusal.print();
            ExitCode::from(failure::Status::Usage as u8)
        }
        _ => say(&Failure::usage(refusal_line(refusal)), false),
    }
}

/// Clap's message without its usage block: the first paragraph, and its tips.
fn refusal_line(refusal: &clap::Error) -> String {
    let text = refusal.render().to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let line = lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}

#[expect(clippy::print_stderr, reason = "the one place where a failure is said")]
fn say(failure: &Failure, verbose: bool) -> ExitCode {
    eprintln!("{}", failure.render(verbose));
    failure.exit_code()
}
