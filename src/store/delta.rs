//! Git's deltas: one object's bytes told by another's. Pure. The format:
//! <https://git-scm.com/docs/gitformat-pack#_deltified_representation>.
//!
//! What is equal at both ends is told by copies; what lies between is looked
//! up in blocks. That is cheap where a tree changed in a few entries, which is
//! what commits do to trees.

/// What is looked up at once. Shorter copies are not worth their operation.
const BLOCK: usize = 16;

/// Git's own bound for one copy.
const COPY_MAX: usize = 0x1_0000;
/// The format's bound for one insertion.
const INSERT_MAX: usize = 127;

/// What tells `target` by `base`; `None` where it would not be much shorter.
pub(crate) fn make(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let bytes_max = target.len() / 2;
    let prefix = common_prefix(base, target);
    let suffix = common_suffix(&base[prefix..], &target[prefix..]);
    let mut delta = Delta { bytes: Vec::with_capacity(64), bytes_max };
    delta.size(base.len());
    delta.size(target.len());
    delta.copy(0, prefix)?;
    let (from, to) = (prefix..base.len() - suffix, prefix..target.len() - suffix);
    delta.blocks(&base[from], prefix, &target[to])?;
    delta.copy(base.len() - suffix, suffix)?;
    Some(delta.bytes)
}

/// The bytes that `delta` tells by `base`; `None` if it is malformed, or
/// tells more than `bytes_max`.
pub(crate) fn apply(base: &[u8], delta: &[u8], bytes_max: u64) -> Option<Vec<u8>> {
    let mut rest = delta;
    if take_size(&mut rest)? != base.len() as u64 {
        return None;
    }
    let size = take_size(&mut rest).filter(|size| *size <= bytes_max)?;
    let size = usize::try_from(size).ok()?;
    let mut target = Vec::with_capacity(size);
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        if op & 0x80 != 0 {
            let offset = take_number(&mut rest, *op, 4)?;
            let length = take_number(&mut rest, op >> 4, 3)?;
            let length = if length == 0 { COPY_MAX } else { length };
            target.extend_from_slice(base.get(offset..offset.checked_add(length)?)?);
        } else {
            let (inserted, after) = rest.split_at_checked(usize::from(*op))?;
            // 0 is reserved.
            (*op != 0).then(|| target.extend_from_slice(inserted))?;
            rest = after;
        }
        if target.len() > size {
            return None;
        }
    }
    (target.len() == size).then_some(target)
}

/// The length of what both begin with.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    // Whole pages first: comparing slices is many times faster than bytes.
    const PAGE: usize = 1024;
    let pages = a.chunks_exact(PAGE).zip(b.chunks_exact(PAGE)).take_while(|(a, b)| a == b).count();
    let from = pages * PAGE;
    from + a[from..].iter().zip(&b[from..]).take_while(|(a, b)| a == b).count()
}

/// The length of what both end with.
pub(crate) fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    const PAGE: usize = 1024;
    let pages =
        a.rchunks_exact(PAGE).zip(b.rchunks_exact(PAGE)).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - pages * PAGE], &b[..b.len() - pages * PAGE]);
    let more = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    pages * PAGE + more
}

struct Delta {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Delta {
    fn size(&mut self, mut size: usize) {
        while size > 0x7f {
            self.bytes.push((size & 0x7f) as u8 | 0x80);
            size >>= 7;
        }
        self.bytes.push(size as u8);
    }

    fn bounded(&self) -> Option<()> {
        (self.bytes.len() <= self.bytes_max).then_some(())
    }

    fn copy(&mut self, offset: usize, length: usize) -> Option<()> {
        let (mut offset, mut length) = (offset, length);
        while length > 0 {
            let part = length.min(COPY_MAX);
            let size = if part == COPY_MAX { 0 } else { part };
            let at = self.bytes.len();
            self.bytes.push(0x80);
            let number = (0..4).map(|byte| (byte, (offset >> (8 * byte)) as u8));
            let number = number.chain((0..2).map(|byte| (4 + byte, (size >> (8 * byte)) as u8)));
            for (bit, byte) in number.filter(|(_, byte)| *byte != 0) {
                self.bytes[at] |= 1 << bit;
                self.bytes.push(byte);
            }
            offset += part;
            length -= part;
        }
        self.bounded()
    }

    fn insert(&mut self, bytes: &[u8]) -> Option<()> {
        for part in bytes.chunks(INSERT_MAX) {
            self.bytes.push(part.len() as u8);
            self.bytes.extend_from_slice(part);
            self.bounded()?;
        }
        Some(())
    }

    /// Tells `target` by blocks of `base`, which begins at `offset`.
    fn blocks(&mut self, base: &[u8], offset: usize, target: &[u8]) -> Option<()> {
        if base.len() < BLOCK || target.len() <= 4 * BLOCK {
            return self.insert(target);
        }
        let table = Blocks::of(base);
        let (mut at, mut told) = (0, 0);
        while at + BLOCK <= target.len() {
            let Some(found) = table.find(base, &target[at..at + BLOCK]) else {
                at += 1;
                continue;
            };
            let back = common_suffix(&base[..found], &target[told..at]);
            let length = back + common_prefix(&base[found..], &target[at..]);
            self.insert(&target[told..at - back])?;
            self.copy(offset + found - back, length)?;
            at = at - back + length;
            told = at;
        }
        self.insert(&target[told..])
    }
}

/// Where blocks stand in a base: a table without chains; a later block takes
/// the place of an earlier one.
struct Blocks {
    places: Vec<u32>,
    shift: u32,
}

impl Blocks {
    fn of(base: &[u8]) -> Self {
        let blocks = base.chunks_exact(BLOCK);
        let bits = (blocks.len() * 2).next_power_of_two().trailing_zeros().clamp(4, 22);
        let mut table = Self { places: vec![u32::MAX; 1 << bits], shift: 64 - bits };
        for (number, block) in (0_u32..).zip(blocks) {
            let slot = table.slot(block);
            table.places[slot] = number;
        }
        table
    }

    fn slot(&self, block: &[u8]) -> usize {
        let (low, high) = block.split_at(BLOCK / 2);
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let mixed = (word(low) ^ word(high).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> self.shift) as usize
    }

    fn find(&self, base: &[u8], block: &[u8]) -> Option<usize> {
        let number = self.places[self.slot(block)];
        let at = (number as usize).checked_mul(BLOCK)?;
        (base.get(at..at + BLOCK)? == block).then_some(at)
    }
}

fn take_size(rest: &mut &[u8]) -> Option<u64> {
    let (mut size, mut shift) = (0_u64, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(size);
        }
        shift += 7;
    }
}

fn take_number(rest: &mut &[u8], bits: u8, bytes: u32) -> Option<usize> {
    let mut number = 0;
    for byte in 0..bytes {
        if bits & (1 << byte) != 0 {
            let (value, after) = rest.split_first()?;
            *rest = after;
            number |= usize::from(*value) << (8 * byte);
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that a failure can be had again.
    fn random(seed: &mut u64) -> u64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    fn bytes(seed: &mut u64, length: usize) -> Vec<u8> {
        (0..length).map(|_| random(seed) as u8).collect()
    }

    #[test]
    fn what_was_made_is_applied_to_the_same() {
        for start in 0..300_u64 {
            let mut seed = start;
            let length = (random(&mut seed) % 200_000) as usize;
            let base = bytes(&mut seed, length);
            let mut target = base.clone();
            for _ in 0..random(&mut seed) % 12 {
                let at = (random(&mut seed) as usize) % (target.len() + 1);
                let cut = (random(&mut seed) as usize % 60).min(target.len() - at);
                let count = random(&mut seed) as usize % 60;
                let inserted = bytes(&mut seed, count);
                target.splice(at..at + cut, inserted);
            }
            if let Some(delta) = make(&base, &target) {
                assert!(delta.len() <= target.len() / 2);
                assert_eq!(apply(&base, &delta, u64::MAX).as_ref(), Some(&target), "seed {start}");
            } else {
                assert!(target.len() < 4000, "seed {start}: {} bytes", target.len());
            }
        }
    }

    #[test]
    fn a_changed_entry_costs_a_few_bytes() {
        let base = bytes(&mut 7, 350_000);
        let mut target = base.clone();
        target[200_000..200_020].copy_from_slice(&bytes(&mut 8, 20));
        assert!(make(&base, &target).unwrap().len() < 100);
    }

    #[test]
    fn a_malformed_delta_is_refused() {
        let base = bytes(&mut 7, 1000);
        let mut target = base.clone();
        target.insert(500, 9);
        let delta = make(&base, &target).unwrap();
        assert!(apply(&base, &delta, 1000).is_none(), "more than is allowed");
        assert!(apply(&base[1..], &delta, u64::MAX).is_none(), "another base");
        for length in 0..delta.len() {
            assert!(apply(&base, &delta[..length], u64::MAX).is_none(), "{length}");
        }
    }
}
