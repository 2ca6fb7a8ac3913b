//! The files that some revisions changed, as bytes for the index. Paths stand
//! once in a batch, however many revisions changed them.
//!
//! ```text
//! batch = paths u32 | revisions u32 | path × paths | revision × revisions
//! path = length u16 | bytes        revision = count u32 | number u32 × count
//! ```
//!
//! A count of `u32::MAX` stands for more files than can be compared.

use std::collections::HashMap;
use std::sync::Arc;

use super::touched::Files;
use crate::model::FilePath;

const ANY: u32 = u32::MAX;

/// The batch as bytes.
pub(crate) fn encode(lists: &[Files]) -> Vec<u8> {
    let mut numbers: HashMap<&FilePath, u32> = HashMap::new();
    let (mut paths, mut revisions) = (Vec::new(), Vec::new());
    let put = |out: &mut Vec<u8>, number: u32| out.extend(number.to_le_bytes());
    for list in lists {
        let Some(list) = list else {
            put(&mut revisions, ANY);
            continue;
        };
        put(&mut revisions, u32::try_from(list.len()).unwrap_or(ANY));
        for path in list.iter() {
            let next = u32::try_from(numbers.len()).unwrap_or(ANY);
            let number = *numbers.entry(path).or_insert_with(|| {
                let text = path.as_str().as_bytes();
                // A path has 4,096 bytes at most.
                paths.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
                paths.extend_from_slice(text);
                next
            });
            put(&mut revisions, number);
        }
    }
    let mut batch = Vec::with_capacity(8 + paths.len() + revisions.len());
    put(&mut batch, u32::try_from(numbers.len()).unwrap_or(ANY));
    put(&mut batch, u32::try_from(lists.len()).unwrap_or(ANY));
    batch.append(&mut paths);
    batch.append(&mut revisions);
    batch
}

/// The batch that `bytes` hold; `None` if they hold none.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Files>> {
    let mut rest = bytes;
    let (paths, revisions) = (number(&mut rest)?, number(&mut rest)?);
    let mut known = Vec::new();
    for _ in 0..paths {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (text, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        known.push(FilePath::new(std::str::from_utf8(text).ok()?).ok()?);
        rest = after;
    }
    let mut lists = Vec::new();
    for _ in 0..revisions {
        let count = number(&mut rest)?;
        if count == ANY {
            lists.push(None);
            continue;
        }
        let path = |_| Some(known.get(usize::try_from(number(&mut rest)?).ok()?)?.clone());
        let list: Option<Arc<[FilePath]>> = (0..count).map(path).collect();
        lists.push(Some(list?));
    }
    rest.is_empty().then_some(lists)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_round_trip_and_damage_is_no_batch() {
        let path = |text: &str| FilePath::new(text).unwrap();
        let lists: Vec<Files> = vec![
            Some([path("a"), path("b/ü \\:")].into()),
            None,
            Some([].into()),
            Some([path("b/ü \\:"), path(&"x".repeat(4096))].into()),
        ];
        let bytes = encode(&lists);
        assert_eq!(decode(&bytes), Some(lists));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(decode(&[0xff; 64]), None);
    }
}
