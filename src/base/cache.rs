//! A bounded cache of recently used values that can be rebuilt at any time. Room: base.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, PoisonError},
};

/// Values by key, bounded by their total weight. An entry that is not used while half the capacity is replaced is
/// dropped.
///
/// Two generations: a used entry moves to the young one. When the young generation is full it becomes the old one,
/// and the previous old one is dropped. No bookkeeping per use, so a hit costs one lookup. The crate `quick_cache`
/// (0.7.0) keeps an entry that is never used again as long as no other entry is used twice. Documents may hold
/// personal values, so we keep our own cache.
#[derive(Debug)]
pub struct Cache<K, V> {
    half: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Weight of the young generation.
    weight: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// A cache for a total weight of `capacity`; a single value may weigh half of that.
    pub fn new(capacity: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new(), weight: 0 };
        Self { half: capacity / 2, generations: Mutex::new(generations) }
    }

    /// The value of `key`, if it is still cached.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, _)) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = generations.old.remove_entry(key)?;
        let found = value.clone();
        generations.add(key, value, weight, self.half);
        Some(found)
    }

    /// Stores `value` with its weight; a value that weighs more than half the capacity is not stored.
    pub fn insert(&self, key: K, value: V, weight: usize) {
        if weight > self.half {
            return;
        }
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.old.remove(&key);
        generations.add(key, value, weight, self.half);
    }

    /// Total weight of both generations.
    pub fn weight(&self) -> usize {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.weight + generations.old.values().map(|(_, weight)| weight).sum::<usize>()
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn add(&mut self, key: K, value: V, weight: usize, half: usize) {
        if self.weight + weight > half {
            self.old = mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        if let Some((_, before)) = self.young.insert(key, (value, weight)) {
            self.weight -= before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_weighs_more_than_it_may() {
        let recent = Cache::new(20);
        for number in 0..1_000_u32 {
            recent.insert(number, number, usize::try_from(number % 7).unwrap());
            assert!(recent.weight() <= 20);
            assert_eq!(recent.get(&number), Some(number));
        }
    }

    #[test]
    fn what_is_used_stays() {
        let recent = Cache::new(20);
        recent.insert("used".to_owned(), 1, 1);
        for number in 0..1_000 {
            recent.insert(number.to_string(), number, 1);
            assert_eq!(recent.get("used"), Some(1));
        }
        assert_eq!((recent.get("0"), recent.get("999")), (None, Some(999)));
    }

    #[test]
    fn what_is_too_heavy_is_not_kept_and_a_key_is_kept_once() {
        let recent = Cache::new(20);
        recent.insert("heavy", 1, 11);
        assert_eq!((recent.get("heavy"), recent.weight()), (None, 0));
        recent.insert("key", 1, 3);
        recent.insert("key", 2, 4);
        assert_eq!((recent.get("key"), recent.weight()), (Some(2), 4));
    }
}
