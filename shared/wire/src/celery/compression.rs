//! Bodies that kombu has compressed. <https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.compression.html>

/// A compressed body's content, of at most `limit` bytes: what is small when compressed may be anything but.
///
/// # Errors
/// It is not of this format, larger than that, or of a format that this build does not read.
pub(super) fn open(format: &str, bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    #[cfg(feature = "compression")]
    {
        use std::io::Read;

        let reader: Box<dyn Read + '_> = match format {
            // kombu's gzip is zlib's stream (RFC 1950); real gzip (RFC 1952) tells itself by its first bytes.
            "application/x-gzip" | "application/zlib" | "gzip" | "zlib" if bytes.starts_with(&[0x1f, 0x8b]) => {
                Box::new(flate2::read::GzDecoder::new(bytes))
            }
            "application/x-gzip" | "application/zlib" | "gzip" | "zlib" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
            "application/x-bz2" | "bzip2" | "bzip" => Box::new(bzip2::read::BzDecoder::new(bytes)),
            _ => {
                return Err(format!(
                    "is compressed in a way that is not read here: expected gzip, zlib or bzip2, got {}",
                    crate::name::task(format)
                ));
            }
        };
        let mut content = Vec::new();
        reader.take(limit as u64 + 1).read_to_end(&mut content).map_err(|_| "is not what its header compression says".to_owned())?;
        if content.len() > limit { Err(format!("is larger than {limit} bytes when it is decompressed")) } else { Ok(content) }
    }
    #[cfg(not(feature = "compression"))]
    {
        let _ = (format, bytes, limit);
        Err("is compressed: build with the feature compression".to_owned())
    }
}

#[cfg(all(test, feature = "compression"))]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        let read = flate2::read::ZlibEncoder::new(bytes, flate2::Compression::best()).read_to_end(&mut compressed);
        assert!(read.is_ok());
        compressed
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let bomb = zlib(&vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert_eq!(open("application/x-gzip", &bomb, 1000).unwrap_err(), "is larger than 1000 bytes when it is decompressed");
        assert_eq!(open("application/x-gzip", &zlib(&[7; 1000]), 1000).unwrap(), [7; 1000]);
    }

    #[test]
    fn what_is_not_compressed_or_otherwise_is_told() {
        for format in ["application/x-gzip", "application/x-bz2"] {
            assert_eq!(open(format, b"plain", 1000).unwrap_err(), "is not what its header compression says");
        }
        assert!(open("application/x-brotli", b"", 1000).unwrap_err().contains("expected gzip, zlib or bzip2, got application_x-brotli"));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"x").unwrap();
        assert_eq!(open("application/x-gzip", &gzip.finish().unwrap(), 10).unwrap(), b"x");
    }
}
