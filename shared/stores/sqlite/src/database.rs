use std::{path::Path, sync::mpsc, thread, time::Duration};

use errand_core::{StorageError, Timestamp};
use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::{migrations, queue, store};

/// The most writes that are kept together: none waits for more.
const MOST: usize = 100;

/// One SQLite file. All access goes through one connection on a thread of its own, so that there is one writer. Clones share it; the thread ends with the last.
///
/// Writes that wait for the thread are kept together: what costs is not to write but to have the disk say that it is kept, and it says so once for all.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
}

/// What the thread is asked for.
enum Job {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Write(Write),
}

/// A write among others.
type Write = Box<dyn FnOnce(&mut Transaction<'_>) -> Written + Send>;

/// A write that is done, and not yet kept.
struct Written {
    failed: Option<StorageError>,
    /// Tells who waits for it, once it is known whether what is done is kept.
    tell: Box<dyn FnOnce(Result<(), StorageError>)>,
}

impl Database {
    /// Opens a file, and creates or updates what is in it.
    ///
    /// # Errors
    /// The file cannot be opened, is no database, or is of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StorageError> {
        let ((jobs, asked), (tell, told), path) = (mpsc::channel(), oneshot::channel(), path.to_owned());
        let work = move || {
            let connection = connect(&path);
            let failed = connection.as_ref().err().cloned();
            let _ = tell.send(failed.map_or(Ok(()), Err));
            if let Ok(connection) = connection {
                run(connection, &asked);
            }
        };
        thread::Builder::new().name("sqlite".to_owned()).spawn(work).map_err(|error| StorageError(format!("SQLite: {error}")))?;
        told.await.map_err(|_| no_answer())??;
        Ok(Self { jobs })
    }

    /// Reads what is kept.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.ask(|tell| Job::Read(Box::new(move |connection| drop(tell.send(work(connection).map_err(|error| failed(&error))))))).await
    }

    /// Writes, all that `work` does or nothing of it, together with others that write now. One that fails does not fail those.
    ///
    /// # Errors
    /// What `work` says, or the file cannot be written; nothing is kept then.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let write = |tell: oneshot::Sender<_>| -> Write {
            Box::new(move |transaction| {
                let done = apart(transaction, work).map_err(|error| failed(&error));
                Written { failed: done.as_ref().err().cloned(), tell: Box::new(move |kept| drop(tell.send(kept.and(done)))) }
            })
        };
        self.ask(|tell| Job::Write(write(tell))).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StorageError>>) -> Job) -> Result<T, StorageError> {
        let (tell, told) = oneshot::channel();
        self.jobs.send(job(tell)).map_err(|_| no_answer())?;
        told.await.map_err(|_| no_answer())?
    }

    /// Whether the file can be written, as is seen by writing; not more than once a second, since anyone may ask.
    ///
    /// # Errors
    /// Why not, such as a full disk.
    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        let now = Timestamp::now().millis();
        let write = "UPDATE written SET at = ?1 WHERE at NOT BETWEEN ?1 - 1000 AND ?1";
        self.write(move |connection| connection.execute(write, [now])).await.map(drop)
    }

    /// Takes up what a process that died left: its messages can be received, and its claims hold no more. Only for a process that knows to be the
    /// only one on the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn release_all(&self) -> Result<(), StorageError> {
        let now = Timestamp::now();
        self.write(move |connection| {
            queue::release_all(connection, now)?;
            store::release_all(connection, now)
        })
        .await
    }
}

/// Does what is asked for, in order, until nobody can ask.
fn run(mut connection: Connection, asked: &mpsc::Receiver<Job>) {
    let mut next = asked.recv().ok();
    while let Some(job) = next {
        let after = match job {
            Job::Read(read) => {
                read(&connection);
                None
            }
            Job::Write(write) => keep(&mut connection, write, asked),
        };
        next = after.or_else(|| asked.recv().ok());
    }
}

/// Does a write and those that wait behind it, and tells them once they are kept; answers the read that waits behind those, if one does.
fn keep(connection: &mut Connection, first: Write, asked: &mpsc::Receiver<Job>) -> Option<Job> {
    let (mut waiting, mut after, mut done) = (Some(first), None, Vec::new());
    let kept = connection.transaction().map_err(|error| failed(&error)).and_then(|mut transaction| {
        while let Some(write) = waiting.take() {
            let written = write(&mut transaction);
            done.push(written.tell);
            // What is not this write's fault, as a full disk, can end the transaction: nothing is left of all, and no more may be written apart from it.
            if let Some(error) = written.failed.filter(|_| transaction.is_autocommit()) {
                return Err(error);
            }
            if done.len() < MOST {
                match asked.try_recv() {
                    Ok(Job::Write(write)) => waiting = Some(write),
                    other => after = other.ok(),
                }
            }
        }
        transaction.commit().map_err(|error| failed(&error))
    });
    done.into_iter().for_each(|tell| tell(kept.clone()));
    after
}

/// Does one write so that nothing is left of it when it fails, and all of the others.
fn apart<T>(transaction: &mut Transaction<'_>, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let savepoint = transaction.savepoint()?;
    let done = work(&savepoint)?;
    savepoint.commit()?;
    Ok(done)
}

fn connect(path: &Path) -> Result<Connection, StorageError> {
    let mut connection = Connection::open(path).map_err(|error| failed(&error))?;
    let known = prepare(&mut connection).map_err(|error| failed(&error))?;
    if known { Ok(connection) } else { Err(StorageError("SQLite: the file is of a newer version of Errand".to_owned())) }
}

/// Makes a file ready, if it is of a version that is known.
fn prepare(connection: &mut Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::from_secs(5))?;
    let transaction = connection.transaction()?;
    if !migrations::run(&transaction)? {
        return Ok(false);
    }
    store::forget_old(&transaction, Timestamp::now())?;
    transaction.commit()?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(true)
}

fn no_answer() -> StorageError {
    StorageError("SQLite: its thread does not answer".to_owned())
}

fn failed(error: &rusqlite::Error) -> StorageError {
    StorageError(format!("SQLite: {error}"))
}
