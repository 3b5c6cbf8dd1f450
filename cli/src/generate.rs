//! Completion scripts and manual pages, generated from the command line's own definition.

use std::fs::{File, create_dir_all};
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::args::Cli;
use crate::failure::Failure;

/// Prints the completion script of a shell to stdout.
pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "klamm", &mut io::stdout());
}

/// Writes one page per command into `dir`.
pub(crate) fn man(dir: &Path) -> Result<(), Failure> {
    create_dir_all(dir)?;
    let mut root = Cli::command();
    root.build();
    pages(&root, "klamm", dir)
}

fn pages(command: &Command, name: &str, dir: &Path) -> Result<(), Failure> {
    let mut page = File::create(dir.join(format!("{name}.1")))?;
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages(sub, &format!("{name}-{}", sub.get_name()), dir)?;
    }
    Ok(())
}
