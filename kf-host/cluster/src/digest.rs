//! SHA-256 as lower case hex.

use aws_lc_rs::digest::{Context, SHA256};

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&[bytes])
}

/// The digest of several parts, each with its length before it, so that no two lists of parts
/// run together to the same bytes.
pub(crate) fn sha256_hex_of_parts(parts: &[&[u8]]) -> String {
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let pieces: Vec<&[u8]> =
        lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), *part]).collect();
    hex(&pieces)
}

fn hex(pieces: &[&[u8]]) -> String {
    use std::fmt::Write as _;

    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(piece);
    }
    context.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
