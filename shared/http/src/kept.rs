use std::future::Future;

use futures_util::lock::Mutex;

/// A connection that is made when it is first needed and shared from then on. While a function is frozen its connections die, and the first that is heard of that is
/// an error: then the work is tried once more over a new one.
pub struct Kept<T>(Mutex<State<T>>);

struct State<T> {
    /// How many were made.
    made: u64,
    connection: Option<T>,
}

impl<T: Clone> Kept<T> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(State { made: 0, connection: None }))
    }

    /// Does `work` over the connection, or over one that `connect` makes: one at a time. When it fails so that the connection has `died`, that is made no more use of,
    /// and if it had been kept from before, `work` is done again over a new one, once.
    ///
    /// # Errors
    /// No connection can be made, or the work fails.
    pub async fn with<R, E, C, W>(
        &self,
        connect: impl Fn() -> C + Send + Sync,
        work: impl Fn(T) -> W + Send + Sync,
        died: impl Fn(&E) -> bool + Send + Sync,
    ) -> Result<R, E>
    where
        C: Future<Output = Result<T, E>> + Send,
        W: Future<Output = Result<R, E>> + Send,
    {
        let (mut number, mut connection, mut is_new) = self.connection(&connect).await?;
        loop {
            match work(connection).await {
                Err(error) if died(&error) => {
                    let mut state = self.0.lock().await;
                    // Another's work may have found that out before, and made a new one.
                    if state.made == number {
                        state.connection = None;
                    }
                    drop(state);
                    if is_new {
                        return Err(error);
                    }
                }
                done => return done,
            }
            (number, connection, _) = self.connection(&connect).await?;
            is_new = true;
        }
    }

    /// The connection with its number, and whether it was made just now.
    async fn connection<E, C>(&self, connect: &impl Fn() -> C) -> Result<(u64, T, bool), E>
    where
        C: Future<Output = Result<T, E>>,
    {
        let mut state = self.0.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((state.made, connection.clone(), false));
        }
        let connection = connect().await?;
        state.made += 1;
        state.connection = Some(connection.clone());
        Ok((state.made, connection, true))
    }
}

impl<T: Clone> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// Connections are numbers; those below `alive` have died.
    #[derive(Default)]
    struct World {
        made: AtomicU32,
        alive: AtomicU32,
        done: AtomicU32,
        kept: Kept<u32>,
    }

    impl World {
        async fn work(&self) -> Result<u32, &'static str> {
            let connect = || async {
                tokio::task::yield_now().await;
                Ok(self.made.fetch_add(1, Ordering::Relaxed))
            };
            let work = |connection: u32| async move {
                self.done.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                if connection < self.alive.load(Ordering::Relaxed) { Err("died") } else { Ok(connection) }
            };
            self.kept.with(connect, work, |error| *error == "died").await
        }

        fn counts(&self) -> (u32, u32) {
            (self.made.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed))
        }
    }

    #[tokio::test]
    async fn one_is_made_for_all_and_made_anew_once_it_has_died() {
        let world = World::default();
        assert_eq!(join_all((0..5).map(|_| world.work())).await, [Ok(0); 5]);
        assert_eq!(world.counts(), (1, 5));
        world.alive.store(1, Ordering::Relaxed);
        assert_eq!(join_all((0..5).map(|_| world.work())).await, [Ok(1); 5], "each once more, over the same new one");
        assert_eq!(world.counts(), (2, 15));
    }

    #[tokio::test]
    async fn a_new_one_that_dies_is_not_tried_again_at_once() {
        let world = World::default();
        world.alive.store(9, Ordering::Relaxed);
        assert_eq!((world.work().await, world.counts()), (Err("died"), (1, 1)));
        world.alive.store(0, Ordering::Relaxed);
        assert_eq!(world.work().await, Ok(1));
        world.alive.store(9, Ordering::Relaxed);
        assert_eq!((world.work().await, world.counts()), (Err("died"), (3, 4)), "once more and no further");
    }

    #[tokio::test]
    async fn what_fails_over_a_live_connection_is_not_done_again() {
        let (kept, tries) = (Kept::<u32>::new(), AtomicU32::new(0));
        for _ in 0..2 {
            let work = |_| async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>("refused")
            };
            assert_eq!(kept.with(|| async { Ok(7) }, work, |error| *error == "died").await, Err("refused"));
        }
        assert_eq!(tries.load(Ordering::Relaxed), 2);
        let nobody = Kept::<u32>::new().with(|| async { Err("nobody") }, |_| async { Ok(()) }, |_| true).await;
        assert_eq!(nobody, Err("nobody"));
    }
}
