//! `errand`: all of Errand in one process on one SQLite file.

mod aws;
mod backends;
mod cli;
mod client;
mod decode;
mod guard;
mod listen;
mod lock;
mod mail;
mod objects;
mod outbox;
mod providers;
mod queues;
mod schedules;
mod serve;
mod settings;
mod smtp;
mod sqs;
mod system;
mod web;
mod worker;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
