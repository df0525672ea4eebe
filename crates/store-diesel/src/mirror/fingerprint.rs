//! Computes one number for many texts as PostgreSQL does, to compare rows without transferring their texts.
//!
//! PostgreSQL does not promise that its hashes stay the same. If they differ, every row differs and is transferred.

/// Returns the same 64 bits as `hash_array_extended(texts, seed)` on little-endian servers.
///
/// Different texts have the same fingerprint for hardly any seed.
pub(super) fn fingerprint<'a>(texts: impl Iterator<Item = Option<&'a [u8]>>, seed: u64) -> u64 {
    texts.fold(1, |sum: u64, text| {
        let hash = text.map_or(0, |text| hash_bytes(text, seed));
        (sum << 5).wrapping_sub(sum).wrapping_add(hash)
    })
}

/// `hash_bytes_extended`: Bob Jenkins's lookup3.
fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    // PostgreSQL also counts the length in 32 bits.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let mut state = [start; 3];
    if seed != 0 {
        let [high, low] = halves(seed);
        add(&mut state, [high, low, 0]);
        mix(&mut state);
    }
    let (blocks, rest) = bytes.as_chunks::<12>();
    for block in blocks {
        add(&mut state, words(block));
        mix(&mut state);
    }
    let mut last = [0; 12];
    // The lowest byte of the last word is reserved for the length.
    let places = (0..8).chain(9..12);
    for (place, byte) in places.zip(rest) {
        if let Some(last) = last.get_mut(place) {
            *last = *byte;
        }
    }
    add(&mut state, words(&last));
    let [_, high, low] = finish(state);
    u64::from(high) << 32 | u64::from(low)
}

fn halves(number: u64) -> [u32; 2] {
    let mut halves = [0; 2];
    for (half, bytes) in halves.iter_mut().zip(number.to_be_bytes().as_chunks().0) {
        *half = u32::from_be_bytes(*bytes);
    }
    halves
}

fn words(block: &[u8; 12]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn add(state: &mut [u32; 3], words: [u32; 3]) {
    for (state, word) in state.iter_mut().zip(words) {
        *state = state.wrapping_add(word);
    }
}

/// Makes every bit of the state depend on the others. The function is reversible.
fn mix(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    let step = |one: &mut u32, by: &mut u32, other: u32, bits: u32| {
        *one = one.wrapping_sub(*by) ^ by.rotate_left(bits);
        *by = by.wrapping_add(other);
    };
    step(&mut a, &mut c, b, 4);
    step(&mut b, &mut a, c, 6);
    step(&mut c, &mut b, a, 8);
    step(&mut a, &mut c, b, 16);
    step(&mut b, &mut a, c, 19);
    step(&mut c, &mut b, a, 4);
    *state = [a, b, c];
}

/// The final mix of the three words.
fn finish([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    let step = |one: &mut u32, by: u32, bits: u32| *one = (*one ^ by).wrapping_sub(by.rotate_left(bits));
    step(&mut c, b, 14);
    step(&mut a, c, 11);
    step(&mut b, a, 25);
    step(&mut c, b, 16);
    step(&mut a, c, 4);
    step(&mut b, a, 14);
    step(&mut c, b, 24);
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::{Array, BigInt, Nullable, Text};
    use diesel::{QueryResult, RunQueryDsl as _};
    use sync_testkit::postgres::test_database;

    use super::*;
    use crate::backend::postgres::{Conn, PostgresStore};

    fn of(texts: &[Option<&str>], seed: u64) -> u64 {
        fingerprint(texts.iter().map(|text| text.map(str::as_bytes)), seed)
    }

    /// On a server that hashes in another way, the program would still be correct, but slower.
    #[tokio::test]
    async fn this_server_computes_the_same() {
        let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
        let store = PostgresStore::connect(&database.url().parse().unwrap()).await.unwrap();
        let compared = store.on_connection(compare).await.unwrap().unwrap();
        assert!(compared > 200, "{compared}");
    }

    /// Compares fingerprints computed here with the server's, and counts the comparisons.
    fn compare(conn: &mut Conn) -> QueryResult<usize> {
        let text = "Grüße, 世界! 0123456789 abcdefghijklmnopqrstuvwxyz";
        let beginnings: Vec<&str> = (0..=text.len()).filter_map(|end| text.get(..end)).collect();
        let mut cases: Vec<Vec<Option<&str>>> = beginnings.iter().map(|text| vec![Some(*text)]).collect();
        cases.extend([vec![], vec![None], vec![None, None], vec![None, Some("a")], vec![Some("a"), None]]);
        cases.push(beginnings.iter().map(|text| Some(*text)).collect());
        let mut compared = 0;
        for case in cases {
            for seed in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
                let asked = diesel::select(
                    diesel::dsl::sql::<BigInt>("hash_array_extended(")
                        .bind::<Array<Nullable<Text>>, _>(&case)
                        .sql(", ")
                        .bind::<BigInt, _>(seed.cast_signed())
                        .sql(")"),
                );
                let theirs: i64 = asked.get_result(conn)?;
                assert_eq!(of(&case, seed), theirs.cast_unsigned(), "{case:?} with {seed}");
                compared += 1;
            }
        }
        Ok(compared)
    }

    #[test]
    fn what_differs_has_another_fingerprint() {
        let different: [&[Option<&str>]; 7] = [
            &[Some("a"), None],
            &[None, Some("a")],
            &[Some("a"), Some("")],
            &[Some(""), Some("a")],
            &[None, None],
            &[Some(""), Some("")],
            &[Some("b"), None],
        ];
        let mut seen: Vec<u64> = different.iter().map(|texts| of(texts, 7)).collect();
        seen.extend(different.iter().map(|texts| of(texts, 8)));
        seen.sort_unstable();
        seen.dedup();
        // If there is no text, the seed has no effect.
        assert_eq!(seen.len(), 2 * different.len() - 1);
    }
}
