//! Buffers the body of a response.
//!
//! A small body is kept in one piece. A large one is kept in blocks that are freed during parsing, so that it is never
//! in memory twice, raw and parsed.

use std::collections::VecDeque;
use std::io;

use kf_core::json::{self, JsonError, List, ListLimits};
use serde_json::Value;

/// The maximum size of a body in one piece, in bytes, which is faster to parse.
const MAX_WHOLE_BYTES: usize = 4 << 20;

const BLOCK_BYTES: usize = 256 << 10;

/// The bytes received so far.
#[derive(Debug, Default)]
pub(super) struct Received {
    whole: Vec<u8>,
    blocks: VecDeque<Vec<u8>>,
    len: usize,
    /// How many bytes of the first block were read.
    read: usize,
}

impl Received {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies the data, as a connection's chunks may be small parts of large buffers.
    pub(super) fn push(&mut self, mut data: &[u8]) {
        self.len += data.len();
        if self.blocks.is_empty() && self.len <= MAX_WHOLE_BYTES {
            self.whole.extend_from_slice(data);
            return;
        }
        if self.blocks.is_empty() {
            let whole = std::mem::take(&mut self.whole);
            self.blocks.extend(whole.chunks(BLOCK_BYTES).map(<[u8]>::to_vec));
        }
        while !data.is_empty() {
            let room = self.blocks.back().map_or(0, |block| BLOCK_BYTES.saturating_sub(block.len()));
            if room == 0 {
                self.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
            }
            let (now, later) = data.split_at(data.len().min(if room == 0 { BLOCK_BYTES } else { room }));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(now);
            }
            data = later;
        }
    }

    pub(super) fn object(self) -> Result<Value, JsonError> {
        if self.blocks.is_empty() { json::parse_object(&self.whole) } else { json::read_object(self) }
    }

    /// Like [`Self::object`], but keeps `metadata.managedFields`.
    pub(super) fn object_with_managers(self) -> Result<Value, JsonError> {
        if self.blocks.is_empty() { json::parse(&self.whole) } else { json::read(self) }
    }

    pub(super) fn list(self, limits: ListLimits, prepare: impl FnMut(&mut Value)) -> Result<List, JsonError> {
        if self.blocks.is_empty() {
            json::parse_list(&self.whole, limits, prepare)
        } else {
            json::read_list(io::BufReader::new(self), limits, prepare)
        }
    }
}

impl io::Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(block) = self.blocks.front() {
            let rest = block.get(self.read..).unwrap_or_default();
            if rest.is_empty() {
                self.blocks.pop_front();
                self.read = 0;
                continue;
            }
            let taken = rest.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(rest) {
                *to = *from;
            }
            self.read += taken;
            return Ok(taken);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn bytes_are_read_as_they_arrived(lengths in prop::collection::vec(1..900_000usize, 0..12)) {
            let mut received = Received::default();
            let mut expected = Vec::new();
            for (at, length) in lengths.iter().enumerate() {
                let data = vec![u8::try_from(at).unwrap(); *length];
                received.push(&data);
                expected.extend(data);
            }
            prop_assert_eq!(received.len(), expected.len());
            let mut read = std::mem::take(&mut received.whole);
            received.read_to_end(&mut read).unwrap();
            prop_assert!(read == expected);
        }
    }

    #[test]
    fn large_list_is_parsed_like_small_one() {
        for count in [1, 500] {
            let item = format!("{{\"a\":\"{}\"}}", "x".repeat(20_000));
            let mut received = Received::default();
            received.push(format!("{{\"items\":[{}]}}", vec![item.clone(); count].join(",")).as_bytes());
            let list = received.list(ListLimits { items: 500, bytes: 16 << 20 }, |_| ()).unwrap();
            assert_eq!(list.items.len(), count);
            assert!(list.items.iter().all(|found| found.as_str() == item));
        }
    }
}
