use std::error::Error;

use clap::{Parser, Subcommand};
use errand_core::Environment;

use crate::{
    client,
    decode::Decode,
    outbox::Outbox,
    serve::{self, Options},
};

const EXAMPLES: &str = r#"Examples:
  errand                                   # serve, on http://127.0.0.1:3000
  errand send email '{"to":["you@example.com"],"subject":"Hello","body":"It works."}' --wait
  errand schedules create pulse --rate '5 minutes' console '{"text":"alive"}'
  ERRAND_URL=https://… ERRAND_API_KEY=… errand tail --status FAILED"#;

/// Notifications and background tasks on one machine: HTTP API, queue, scheduler and store in one process.
///
/// Without a command it serves; the others speak to a server, on this machine or deployed. Mail is caught and shown at /mail unless ERRAND_SES_FROM names a sender. Settings are environment variables;
/// the README lists them.
#[derive(Parser)]
#[command(name = "errand", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Answer HTTP calls and run what they ask for (the default)
    Serve(Options),
    /// Send a task
    Send(client::Send),
    /// Tell how a task stands
    Status(client::Status),
    /// Do not run a task that waits
    Cancel(client::Cancel),
    /// Run a task that waits at another time
    #[command(visible_alias = "reschedule")]
    Move(client::Move),
    /// Tell of tasks as they come and change
    Tail(client::Tail),
    /// Tell a user something on several channels
    Notify(client::Notify),
    /// Keep what notifications say
    Templates(client::Templates),
    /// Run tasks again and again
    Schedules(client::Schedules),
    /// Look at what was given up; run it again, or forget it
    DeadLetters(client::DeadLetters),
    /// Say who may call
    Keys(client::Keys),
    /// Publish the events that an application writes into a table
    Outbox(Outbox),
    /// Tell what a message on the queue is read as
    Decode(Decode),
}

impl Cli {
    /// Does what the command line says, until it is done or told to stop.
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let env: Environment = std::env::vars().collect();
        errand_runtime::start_logs(&env);
        errand_runtime::hide_panics();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match self.command {
            Some(Command::Send(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Status(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Cancel(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Move(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Notify(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Templates(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Schedules(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Tail(command)) => runtime.block_on(command.run(&env)),
            Some(Command::DeadLetters(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Keys(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Outbox(command)) => runtime.block_on(command.run(&env)),
            Some(Command::Decode(command)) => command.run(),
            Some(Command::Serve(options)) => runtime.block_on(serve::serve(&options, &env)),
            None => runtime.block_on(serve::serve(&self.serve, &env)),
        }
    }
}

/// Tells the user why it stopped.
#[expect(clippy::print_stderr, reason = "a command's complaint belongs on standard error, in any log format")]
pub(crate) fn complain(error: &dyn Error) {
    eprintln!("errand: {error}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_page_of_the_command_line_has_every_word() {
        let page = include_str!("../../../docs/cli.md");
        // Serving is what it does without a word.
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "serve") {
            let word = format!("errand {} ", command.get_name());
            assert!(page.contains(&word), "docs/cli.md does not tell of {word}");
        }
    }
}
