use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use errand_core::Timestamp;

use super::{BULK_SIZE, BULKS, Dice, LISTS, POISON};

/// What happened to each message's id, and in a bulk to each payload's, in few bytes for each: there may be a million.
pub struct Audit {
    prefix: String,
    entries: Vec<Entry>,
    totals: [AtomicU64; Fault::COUNT],
}

struct Entry {
    kind: Kind,
    happened: [AtomicU8; Fault::COUNT],
}

/// What an entry of the books is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A task.
    Task {
        /// Whether a list does it.
        listed: bool,
    },
    /// The first payload of a bulk, whose message it names; the others follow.
    Bulk {
        /// Whether a list does it.
        listed: bool,
    },
    /// Another payload of a bulk.
    Payload,
    /// A message that is no envelope, of one of four kinds.
    Poison(u8),
}

/// What can happen to an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sink read the request and answered 200.
    Delivered,
    /// The sink read the request and hung up.
    Cut,
    /// The sink asked for later.
    RateLimited,
    /// A process that had it in hand was killed.
    Killed,
    /// The store did not take that an attempt delivered.
    Unrecorded,
    /// The store did not take that an attempt failed.
    Unsettled,
    /// The store did not take how far a bulk came.
    Forgotten,
    /// The first of a list did not do it.
    Declined,
    /// The store did not take a claim.
    Unclaimed,
    /// Its message came once more.
    Duplicated,
    /// It was put on the dead-letter queue.
    Buried,
}

impl Fault {
    const COUNT: usize = 11;
}

impl Audit {
    /// Books for so many messages, some of which are poison and some bulks; where there is a list, it does some.
    #[must_use]
    pub fn new(count: u32, dice: &Dice, list: bool) -> Self {
        let entry = |kind| Entry { kind, happened: Default::default() };
        let mut entries = Vec::new();
        for _ in 0..count {
            let listed = list && dice.falls(LISTS);
            if dice.falls(POISON) {
                entries.push(entry(Kind::Poison(u8::try_from(dice.below(4)).unwrap_or_default())));
            } else if dice.falls(BULKS) {
                entries.push(entry(Kind::Bulk { listed }));
                entries.extend((1..BULK_SIZE).map(|_| entry(Kind::Payload)));
            } else {
                entries.push(entry(Kind::Task { listed }));
            }
        }
        Self { prefix: format!("f{}-", Timestamp::now().millis()), entries, totals: Default::default() }
    }

    /// The numbers of all that is to be delivered or buried.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The numbers of the messages.
    pub fn messages(&self) -> impl Iterator<Item = u32> {
        self.numbers().filter(|number| self.kind(*number) != Kind::Payload)
    }

    /// The id of a message's envelope.
    #[must_use]
    pub fn id(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number in a text that holds an id of these books, or the key of a payload.
    #[must_use]
    pub fn number(&self, text: &str) -> Option<u32> {
        let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse::<u32>().ok();
        let rest = text.split_once(self.prefix.as_str())?.1;
        let number = digits(rest)?;
        let place = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('-').and_then(digits);
        Some(number + place.unwrap_or_default())
    }

    /// What an entry is of.
    #[must_use]
    pub fn kind(&self, number: u32) -> Kind {
        self.entries[number as usize].kind
    }

    /// Notes what happened to one that is to be delivered.
    pub fn note(&self, number: u32, fault: Fault) {
        self.totals[fault as usize].fetch_add(1, Ordering::Relaxed);
        self.count_one(number, fault);
    }

    /// Notes what happened to a message, and so to all that is in it.
    pub fn note_message(&self, number: u32, fault: Fault) {
        self.totals[fault as usize].fetch_add(1, Ordering::Relaxed);
        let size = if matches!(self.kind(number), Kind::Bulk { .. }) { BULK_SIZE } else { 1 };
        (number..number + size).for_each(|number| self.count_one(number, fault));
    }

    fn count_one(&self, number: u32, fault: Fault) {
        let count = &self.entries[number as usize].happened[fault as usize];
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_add(1)).ok();
    }

    /// How often something happened, to all.
    #[must_use]
    pub fn total(&self, fault: Fault) -> u64 {
        self.totals[fault as usize].load(Ordering::Relaxed)
    }

    /// Whether every task was delivered and all poison buried.
    #[must_use]
    pub fn complete(&self) -> bool {
        let end = |number| if matches!(self.kind(number), Kind::Poison(_)) { Fault::Buried } else { Fault::Delivered };
        self.numbers().all(|number| self.count(number, end(number)) > 0)
    }

    fn count(&self, number: u32, fault: Fault) -> u32 {
        self.entries[number as usize].happened[fault as usize].load(Ordering::Relaxed).into()
    }

    /// Closes the books.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report { messages: self.messages().count() as u64, ..Report::default() };
        for number in self.messages() {
            match self.kind(number) {
                Kind::Bulk { listed } => (report.bulks, report.listed) = (report.bulks + 1, report.listed + u64::from(listed)),
                Kind::Task { listed } => report.listed += u64::from(listed),
                Kind::Poison(_) => report.poison += 1,
                Kind::Payload => {}
            }
        }
        for number in self.numbers() {
            let count = |fault| self.count(number, fault);
            let (sent, buried) = (count(Fault::Delivered) + count(Fault::Cut), count(Fault::Buried));
            if matches!(self.kind(number), Kind::Poison(_)) {
                report.wrong(sent > 0 || buried == 0, || format!("poison {number}: sent {sent} times, buried {buried} times"));
                continue;
            }
            report.wrong(count(Fault::Delivered) == 0, || format!("task {number} was not delivered"));
            report.wrong(buried > 0, || format!("task {number} is a dead letter"));
            let mut left = sent.saturating_sub(1);
            for (fault, name) in [
                (Fault::Cut, "an answer that was cut"),
                (Fault::Killed, "a kill"),
                (Fault::Unrecorded, "a delivery that was not recorded"),
                (Fault::Forgotten, "a bulk whose progress was not recorded"),
            ] {
                let explained = left.min(count(fault));
                *report.second.entry(name).or_default() += u64::from(explained);
                left -= explained;
            }
            report.unexplained += u64::from(left);
            report.wrong(left > 0, || format!("task {number} was sent {sent} times, {left} of them without a reason"));
        }
        report
    }
}

/// What the books say.
#[derive(Default)]
pub struct Report {
    messages: u64,
    poison: u64,
    bulks: u64,
    listed: u64,
    /// Second deliveries by what explains them.
    second: BTreeMap<&'static str, u64>,
    unexplained: u64,
    /// What must not be; the first few.
    pub problems: Vec<String>,
    /// What else there is to say.
    pub facts: Vec<(String, String)>,
}

impl Report {
    fn wrong(&mut self, is: bool, problem: impl FnOnce() -> String) {
        if is && self.problems.len() < 20 {
            self.problems.push(problem());
        }
    }

    /// Adds a fact.
    pub fn say(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    /// Adds how often something happened.
    pub fn count(&mut self, audit: &Audit, names: &[(&str, Fault)]) {
        for (name, fault) in names {
            self.say(name, audit.total(*fault));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "  {name:<60} {value:>10}");
        line("messages", &self.messages)?;
        line("of them poison", &self.poison)?;
        line(&format!("of them bulks of {BULK_SIZE}"), &self.bulks)?;
        line("of them done by a list", &self.listed)?;
        for (name, value) in &self.facts {
            line(name, value)?;
        }
        for (name, count) in &self.second {
            line(&format!("second deliveries explained by {name}"), count)?;
        }
        line("second deliveries without a reason", &self.unexplained)
    }
}
