use crate::stable_hash::stable_hash;

const BUCKETS: usize = 1 << 16;

/// A summary of a set of ids, in one megabyte for any number of ids. Each of 65,536 buckets contains the number of its
/// ids and the XOR of their hashes.
///
/// Two different sets differ in at least one bucket, unless a bucket has the same number of ids in both and the hashes
/// XOR to the same value. The ids of a bucket share the 16 bits that select it, so 48 bits remain. The probability is
/// therefore one in 280 million million for a bucket with different ids, but the same number of them. An additional id
/// changes the number and is never missed.
pub(super) struct Sketch {
    buckets: Vec<(u32, u64)>,
}

impl Sketch {
    pub(super) fn new() -> Self {
        Self { buckets: vec![(0, 0); BUCKETS] }
    }

    pub(super) fn add(&mut self, id: &str) {
        let hash = stable_hash(id, "");
        if let Some((count, sum)) = self.buckets.get_mut(bucket(hash)) {
            *count = count.wrapping_add(1);
            *sum ^= hash;
        }
    }

    /// Whether `other` has the same ids in the bucket of `id`.
    pub(super) fn agrees_on(&self, other: &Self, id: &str) -> bool {
        let bucket = bucket(stable_hash(id, ""));
        self.buckets.get(bucket) == other.buckets.get(bucket)
    }

    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.buckets == other.buckets
    }
}

fn bucket(hash: u64) -> usize {
    usize::try_from(hash).unwrap_or(0) % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(ids: impl Iterator<Item = u32>) -> Sketch {
        let mut sketch = Sketch::new();
        ids.for_each(|id| sketch.add(&format!("id{id}")));
        sketch
    }

    #[test]
    fn the_order_of_ids_does_not_matter() {
        assert!(sketch(0..1_000).agrees(&sketch((0..1_000).rev())));
    }

    #[test]
    fn what_is_missing_is_narrowed_down_to_few() {
        let shown = sketch((0..500_000).filter(|id| id % 50_000 != 7));
        let stored = sketch(0..500_000);
        let suspects: Vec<u32> = (0..500_000).filter(|id| !shown.agrees_on(&stored, &format!("id{id}"))).collect();
        assert!((0..10).all(|ten| suspects.contains(&(ten * 50_000 + 7))));
        assert!(suspects.len() < 200, "{} ids share a bucket with the ten", suspects.len());
    }

    #[test]
    fn an_id_shown_twice_does_not_hide_one_that_is_not_shown() {
        let shown = sketch((0..1_000).chain([5]).filter(|id| *id != 6));
        let stored = sketch(0..1_000);
        assert!(!shown.agrees_on(&stored, "id6"));
    }
}
