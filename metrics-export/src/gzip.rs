//! Compressed bodies: DEFLATE by `miniz_oxide`, in gzip's frame (RFC 1952).
//!
//! Not by `flate2`: one backend of it serves a whole build, so choosing another one here would change what the
//! application itself compresses.

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output};

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As fast as possible: for bodies that are sent once.
    Fast,
    /// As small as possible: for bodies that are compressed once and sent often.
    Best,
}

/// Magic number, DEFLATE, no flags, no time, no extra flags, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Appends these bytes to `packed`, compressed, as one gzip member. Allocates the compressor, about 300 KiB, each time.
pub fn gzip(bytes: &[u8], level: Level, packed: &mut Vec<u8>) {
    packed.extend_from_slice(&HEADER);
    let mut compressor = CompressorOxide::default();
    compressor.set_format_and_level(DataFormat::Raw, if level == Level::Fast { 1 } else { 9 });
    // A callback that takes everything lets it compress all of the input in one call.
    compress_to_output(&mut compressor, bytes, TDEFLFlush::Finish, |part| {
        packed.extend_from_slice(part);
        true
    });
    packed.extend_from_slice(&crc32(bytes).to_le_bytes());
    // The length modulo 2^32, as RFC 1952 says.
    packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
}

/// These bytes, compressed at the fastest level.
#[cfg(any(feature = "otlp", feature = "elasticsearch", feature = "sentry"))]
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    gzip(bytes, Level::Fast, &mut packed);
    packed
}

/// The checksum of each byte, by the polynomial of RFC 1952, with its bits reversed.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| CRC[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        // Checks the checksum and the length, too.
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
        unpacked
    }

    #[test]
    fn what_is_compressed_is_a_gzip_file_with_the_same_content() {
        let noise = (0..300_000_u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8);
        for bytes in [
            Vec::new(),
            b"a".to_vec(),
            b"as it was ".repeat(1_000),
            // More than a window, and than the compressor's buffers.
            "http_requests_total{method=\"GET\"} 1\n".repeat(40_000).into_bytes(),
            noise.collect(),
        ] {
            for level in [Level::Fast, Level::Best] {
                let mut packed = b"kept".to_vec();
                gzip(&bytes, level, &mut packed);
                assert!(packed.starts_with(b"kept"));
                assert!(unpacked(&packed[4..]) == bytes, "{} bytes, {level:?}", bytes.len());
            }
        }
    }

    #[test]
    fn the_best_level_is_smaller_than_the_fast_one_and_both_are_small() {
        let bytes =
            (0..5_000).map(|i| format!("route=\"/orders/{i}\" calls={}\n", i * i)).collect::<String>();
        let size = |level| {
            let mut packed = Vec::new();
            gzip(bytes.as_bytes(), level, &mut packed);
            packed.len()
        };
        assert!(size(Level::Best) < size(Level::Fast) && size(Level::Fast) < bytes.len() / 3);
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1952() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
