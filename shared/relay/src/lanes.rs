//! Which events of a batch may go, so that none of a key overtakes another.

use std::collections::{BTreeMap, BTreeSet};

/// The events of a batch by their places, each behind the one before it of the same key. One without a key is behind nobody.
pub(crate) struct Lanes {
    /// Of each place the next one of the same key.
    next: Vec<Option<usize>>,
    /// Places with nobody before them who has not ended, and that have not gone yet.
    ready: BTreeSet<usize>,
    /// Whether the first of all is still to go, alone.
    first: bool,
}

impl Lanes {
    /// `first_alone`: nothing goes beside the first of all. Where it is what failed before, nothing that had gone beside it goes again then.
    pub(crate) fn of<'a>(keys: impl IntoIterator<Item = Option<&'a str>>, first_alone: bool) -> Self {
        let (mut next, mut ready, mut last) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        for (place, key) in keys.into_iter().enumerate() {
            next.push(None);
            match key.and_then(|key| last.insert(key, place)) {
                Some(before) => next[before] = Some(place),
                None => {
                    ready.insert(place);
                }
            }
        }
        Self { next, ready, first: first_alone }
    }

    /// The places that go now, together: at most one of each key.
    pub(crate) fn round(&mut self) -> Vec<usize> {
        if std::mem::take(&mut self.first) {
            return self.ready.pop_first().into_iter().collect();
        }
        std::mem::take(&mut self.ready).into_iter().collect()
    }

    /// Notes that a place has ended: who is behind it may go. A place of which this is never said holds its key.
    pub(crate) fn ended(&mut self, place: usize) {
        self.ready.extend(self.next.get(place).copied().flatten());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    /// Whether this place never ends: those of some keys, from some place on, and none of the others.
    fn sticks(place: usize, stuck: &[bool]) -> bool {
        stuck.get(place).copied().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn none_overtakes_another_of_its_key_and_all_go_that_can(keys in vec(option::of(0..6_u8), 0..60), stuck in vec(any::<bool>(), 0..60), alone: bool) {
            let names: Vec<Option<String>> = keys.iter().map(|key| key.map(|key| key.to_string())).collect();
            let mut lanes = Lanes::of(names.iter().map(Option::as_deref), alone);
            let (mut went, mut first) = (Vec::new(), alone);
            loop {
                let round = lanes.round();
                if round.is_empty() {
                    break;
                }
                prop_assert_eq!(if first { round.len() } else { 1 }, 1, "the first goes alone");
                first = false;
                let mut of_round: Vec<u8> = round.iter().filter_map(|place| keys[*place]).collect();
                let all = of_round.len();
                of_round.sort_unstable();
                of_round.dedup();
                prop_assert_eq!(of_round.len(), all, "one of a key at a time");
                for place in round {
                    went.push(place);
                    if !sticks(place, &stuck) {
                        lanes.ended(place);
                    }
                }
            }
            for key in 0..6 {
                let of_key: Vec<usize> = (0..keys.len()).filter(|place| keys[*place] == Some(key)).collect();
                let until = of_key.iter().position(|place| sticks(*place, &stuck)).map_or(of_key.len(), |stuck| stuck + 1);
                let gone: Vec<usize> = went.iter().copied().filter(|place| keys[*place] == Some(key)).collect();
                prop_assert_eq!(&gone[..], &of_key[..until], "all of a key in order, up to the first that does not end");
            }
            let without = (0..keys.len()).filter(|place| keys[*place].is_none());
            prop_assert!(without.into_iter().all(|place| went.iter().filter(|gone| **gone == place).count() == 1));
        }
    }
}
