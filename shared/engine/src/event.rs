use std::time::Duration;

use errand_core::{DeliveryError, Envelope, Message, PublishError, Status, StorageError, Timestamp};

use crate::Engine;

/// What happens to a message or to its envelope. Each happens once, is told when it has happened, and holds what a line of log, a count or a notice needs.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "fields are named for what they are, and each event says what is not plain")]
pub enum Event<'a> {
    /// The message could not be read, for a reason that may pass: it stays.
    Unread { message: &'a Message, error: &'a DeliveryError },
    /// The message was given up without its id being claimed.
    Refused { message: &'a Message, error: &'a DeliveryError },
    /// The dead-letter queue did not take it: it stays.
    NotBuried { message: &'a Message, error: &'a StorageError },
    /// The queue did not hide it: it comes back with the queue's own timeout.
    NotHidden { message: &'a Message, error: &'a StorageError },
    /// No invocation of this length has the time to begin it.
    NotBegun { message: &'a Message, whole: Duration, needed: Duration },
    /// What it holds was sent on as messages of their own.
    SentOn { message: &'a Message, count: usize },
    /// Not all of that could be sent: it stays.
    NotSentOn { message: &'a Message, count: usize, failed: usize, error: &'a PublishError },
    /// There is nothing to send it with: it stays.
    CannotSendOn { message: &'a Message },

    /// It comes before its time, or all that could do it is left alone: it waits, unclaimed.
    PutOff { envelope: &'a Envelope, delay: Duration, why: &'a str },
    /// It came for a time that it was moved away from.
    Moved { envelope: &'a Envelope, until: Timestamp },
    /// Its id has ended.
    NothingLeft { envelope: &'a Envelope, status: Status },
    /// Its id is that of other content.
    LeftOut { envelope: &'a Envelope, status: Status },
    /// The store did not answer a claim.
    NotClaimed { envelope: &'a Envelope, error: &'a StorageError },
    /// It was too late to run.
    Expired { envelope: &'a Envelope },

    /// An attempt at it has begun.
    Begun { envelope: &'a Envelope, attempt: u32 },
    /// A provider was called; in a bulk, for one payload.
    Called { envelope: &'a Envelope, provider: &'static str, attempt: u32, took: Duration, error: Option<&'a DeliveryError> },
    /// A provider of a list did not do it, and leaves it to the next.
    LeftToNext { envelope: &'a Envelope, provider: &'static str, error: &'a DeliveryError },
    /// A provider said stop, and is left alone for so long.
    Stopped { provider: &'static str, wait: Option<Duration> },
    /// The attempt delivered it.
    Delivered { envelope: &'a Envelope, attempt: u32 },
    /// The attempt handed it to a remote worker, which has this long to report.
    HandedOver { envelope: &'a Envelope, attempt: u32, within: Duration },
    /// The attempt handed it to other people's workers, who are asked how it ended.
    HandedOn { envelope: &'a Envelope, attempt: u32, transport: &'a str },
    /// What they left of it could not be asked for: it will be again.
    NotTold { id: &'a str, transport: &'a str, error: &'a PublishError },
    /// Its follow-up could not be sent, and will be when its message comes again.
    FollowUpWaits { envelope: &'a Envelope, error: &'a PublishError },
    /// The attempt failed, or a part of it: it is gone on with after the delay.
    Failed { envelope: &'a Envelope, attempt: u32, error: &'a DeliveryError, delay: Duration },
    /// The attempt is gone on with after the delay.
    GoesOn { envelope: &'a Envelope, attempt: u32, delay: Duration },
    /// The attempt was the last one.
    GivenUp { envelope: &'a Envelope, attempt: u32, error: &'a DeliveryError },
    /// How the attempt ended is not recorded, since a newer one has the id.
    Overtaken { envelope: &'a Envelope, attempt: u32 },
    /// How the attempt ended is not recorded, since the store did not answer.
    NotRecorded { envelope: &'a Envelope, attempt: u32, error: &'a StorageError },
    /// It is delivered, and its arguments could not be deleted.
    NotDiscarded { envelope: &'a Envelope, error: &'a StorageError },

    /// Its callback could not be sent, and will be when its message comes again.
    CallbackWaits { envelope: &'a Envelope, why: &'a str },
    /// Its callback could not be sent, and never will be: without an error for lack of something to send it with.
    NoCallback { envelope: &'a Envelope, error: Option<&'a PublishError> },
    /// What follows on it could not be sent, and will be when its message comes again.
    SequelWaits { envelope: &'a Envelope, error: &'a PublishError },
    /// What follows on it could not be sent, and never will be: without an error for lack of something to send it with.
    NoSequel { envelope: &'a Envelope, error: Option<&'a PublishError> },
}

/// Is told what happens, as it happens: it holds nobody up and does no input or output that waits.
pub trait Watch: Send + Sync {
    /// This has happened.
    fn saw(&self, event: &Event<'_>);
}

impl Engine {
    /// Tells all that watch.
    pub(crate) fn saw(&self, event: &Event<'_>) {
        self.watchers.iter().for_each(|watcher| watcher.saw(event));
    }
}
