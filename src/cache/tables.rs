//! All tables as the hot thread holds them: readers in the order of the settings, and counters.

use std::cell::Cell;

use super::table::Reader;

/// What lookups in one table came to, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// The key was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

/// The hot thread's side of every table.
#[derive(Debug, Default)]
pub struct Tables {
    readers: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    reader: Reader,
    lookups: Cell<Lookups>,
}

impl Tables {
    /// Tables in this order; a table's index is its place here.
    pub fn new(readers: Vec<Reader>) -> Tables {
        let counted = |reader| Counted { reader, lookups: Cell::default() };
        Tables { readers: readers.into_iter().map(counted).collect() }
    }

    /// Once a turn, also an idle one: takes what was published, lets old memory go. What `get`
    /// returned cannot be kept over it.
    #[inline]
    pub fn quiesce(&mut self) {
        for counted in &mut self.readers {
            counted.reader.quiesce();
        }
    }

    /// The value of that key, and counts the lookup.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    #[inline]
    pub fn get(&self, table: usize, key: &[u8]) -> Option<&[u8]> {
        let Counted { reader, lookups } = &self.readers[table];
        let value = reader.get(key);
        let mut count = lookups.get();
        match value {
            Some(_) => count.hits += 1,
            None => count.misses += 1,
        }
        lookups.set(count);
        value
    }

    /// One table, to prefetch from. Its lookups are not counted.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    #[inline]
    pub fn reader(&self, table: usize) -> &Reader {
        &self.readers[table].reader
    }

    /// What lookups in a table came to.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    pub fn lookups(&self, table: usize) -> Lookups {
        self.readers[table].lookups.get()
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::table::table;

    #[test]
    fn lookups_are_counted_table_by_table() {
        let (mut users, users_reader) = table(4, 1);
        let (_countries, countries_reader) = table(4, 2);
        users.insert(b"user1", b"gold", 0);
        users.publish();
        let mut tables = Tables::new(vec![users_reader, countries_reader]);
        tables.quiesce();
        assert_eq!(tables.get(0, b"user1"), Some(&b"gold"[..]));
        assert_eq!(tables.get(0, b"user2"), None);
        assert_eq!(tables.get(1, b"user1"), None);
        assert_eq!(tables.lookups(0), Lookups { hits: 1, misses: 1 });
        assert_eq!(tables.lookups(1), Lookups { hits: 0, misses: 1 });
    }
}
