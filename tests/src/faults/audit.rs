use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use errand_core::Timestamp;

use super::{Dice, POISON};

/// What happened to each message's id, in few bytes for each: there may be a million.
pub struct Audit {
    prefix: String,
    entries: Vec<Entry>,
    totals: [AtomicU64; Fault::COUNT],
}

#[derive(Default)]
struct Entry {
    /// 0 for a task; else the kind of poison, from 1 on.
    poison: u8,
    happened: [AtomicU8; Fault::COUNT],
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
    /// The store did not take a claim.
    Unclaimed,
    /// Its message came once more.
    Duplicated,
    /// It was put on the dead-letter queue.
    Buried,
}

impl Fault {
    const COUNT: usize = 9;
}

impl Audit {
    /// Books for so many messages, some of which are poison.
    #[must_use]
    pub fn new(count: u32, dice: &Dice) -> Self {
        let poison = |_| if dice.falls(POISON) { 1 + u8::try_from(dice.below(4)).unwrap_or_default() } else { 0 };
        let entries = (0..count).map(|number| Entry { poison: poison(number), ..Entry::default() }).collect();
        Self { prefix: format!("f{}-", Timestamp::now().millis()), entries, totals: Default::default() }
    }

    /// The numbers of the messages.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The id of a message's envelope.
    #[must_use]
    pub fn id(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number in a text that holds an id of these books.
    #[must_use]
    pub fn number(&self, text: &str) -> Option<u32> {
        let digits = text.split_once(self.prefix.as_str())?.1;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    }

    /// The kind of poison that a message is, if it is.
    #[must_use]
    pub fn poison(&self, number: u32) -> Option<u8> {
        self.entries[number as usize].poison.checked_sub(1)
    }

    /// Notes what happened to an id.
    pub fn note(&self, number: u32, fault: Fault) {
        self.totals[fault as usize].fetch_add(1, Ordering::Relaxed);
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
        self.numbers().all(|number| self.count(number, if self.poison(number).is_some() { Fault::Buried } else { Fault::Delivered }) > 0)
    }

    fn count(&self, number: u32, fault: Fault) -> u32 {
        self.entries[number as usize].happened[fault as usize].load(Ordering::Relaxed).into()
    }

    /// Closes the books.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report { messages: self.entries.len() as u64, ..Report::default() };
        for number in self.numbers() {
            let count = |fault| self.count(number, fault);
            let (sent, buried) = (count(Fault::Delivered) + count(Fault::Cut), count(Fault::Buried));
            if self.poison(number).is_some() {
                report.poison += 1;
                report.wrong(sent > 0 || buried == 0, || format!("poison {number}: sent {sent} times, buried {buried} times"));
                continue;
            }
            report.wrong(count(Fault::Delivered) == 0, || format!("task {number} was not delivered"));
            report.wrong(buried > 0, || format!("task {number} is a dead letter"));
            let mut left = sent.saturating_sub(1);
            for (fault, name) in
                [(Fault::Cut, "an answer that was cut"), (Fault::Killed, "a kill"), (Fault::Unrecorded, "a delivery that was not recorded")]
            {
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
        for (name, value) in &self.facts {
            line(name, value)?;
        }
        for (name, count) in &self.second {
            line(&format!("second deliveries explained by {name}"), count)?;
        }
        line("second deliveries without a reason", &self.unexplained)
    }
}
