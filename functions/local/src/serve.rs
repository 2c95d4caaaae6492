use std::{error::Error, net::SocketAddr, path::PathBuf};

use clap::Args;
use errand_api::Access;
use errand_core::Environment;
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch, task::JoinSet};

use crate::{
    guard,
    listen::{self, Patience, Places},
    lock::Lock,
    settings, smtp, sqs,
    system::System,
};

/// Where to serve.
#[derive(Args)]
pub(crate) struct Options {
    /// The address to listen on; other machines can only reach it when ERRAND_API_KEYS is set
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The folder for what must survive: the queue, results, caught mail
    #[arg(long, value_name = "FOLDER", default_value = ".errand")]
    data: PathBuf,
    /// The address to take mail on by SMTP, so that it is caught; other machines can only reach it when ERRAND_API_KEYS is set, and a key is then the password
    #[arg(long, value_name = "ADDRESS:PORT")]
    smtp: Option<SocketAddr>,
    #[command(flatten)]
    patience: Patience,
}

/// Serves until SIGTERM or SIGINT; then finishes what runs.
pub(crate) async fn serve(options: &Options, env: &Environment) -> Result<(), Box<dyn Error>> {
    let env = &guard::with_this_machine(&settings::whole(env).await?, options.listen);
    let open = Access::new(env, None)?.open_without_keys().is_open();
    for address in [Some(options.listen), options.smtp].into_iter().flatten() {
        guard::check_address(address, open)?;
    }
    let _lock = Lock::take(&options.data)?;
    let (listener, address) = listen(options.listen).await?;
    let smtp = match options.smtp {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let smtp_address = smtp.as_ref().map(|(_, address)| *address);
    let (connections, smtp_connections) = (Places::share("connections", 2, 1000), Places::share("smtp_connections", 8, 100));
    let system = System::open(env, &options.data, address, [connections.clone(), smtp_connections.clone()]).await?;
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    system.work(&mut workers, &stopped);
    if let Some((listener, _)) = smtp {
        let (door, until) = (system.door(), stopped.clone());
        workers.spawn(listen::accept(listener, smtp_connections, stopped.clone(), move |stream, place| {
            smtp::serve(stream, place, door.clone(), until.clone())
        }));
    }
    let (router, patience, until) = (system.router(open, &stopped), options.patience, stopped.clone());
    let server = tokio::spawn(listen::accept(listener, connections, stopped, move |stream, place| {
        listen::http::serve(stream, place, router.clone(), patience, until.clone())
    }));
    greet(address, smtp_address, open);
    told_to_stop().await?;
    tracing::info!("stopping: finishing what runs");
    stop.send_replace(true);
    workers.join_all().await;
    server.await?;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[expect(clippy::print_stdout, reason = "the one thing that is for the person who started it")]
fn greet(address: SocketAddr, smtp: Option<SocketAddr>, open: bool) {
    if let Some(smtp) = smtp {
        println!("errand takes mail by SMTP on {smtp}");
    }
    let key = if open { "" } else { "-H 'authorization: Bearer YOUR-KEY' " };
    println!("errand is ready on http://{address}, mail is shown at http://{address}/mail; send one:");
    println!(
        r#"curl {key}-H 'content-type: application/json' -d '{{"task":"email","kwargs":{{"to":["you@example.com"],"subject":"Hello","body":"It works."}}}}' http://{address}/v1/tasks"#
    );
    if open {
        println!("clients of SQS send to http://{address}/{}/default with AWS_ENDPOINT_URL_SQS=http://{address} and any key", sqs::ACCOUNT);
    } else {
        println!("clients of SQS cannot send: {}", sqs::OFF);
    }
}

/// Ends when this process is told to end, by SIGTERM or SIGINT.
pub(crate) async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        told = tokio::signal::ctrl_c() => told,
    }
}
