//! Guards the parsers.

use errand_core::{DEPTH_LIMIT, Problems};

/// Checks what no body may be, whatever its format; quick, and before any of it is parsed.
///
/// # Errors
/// The body is larger than `limit` bytes, nested too deep, or begins with a byte order mark.
pub fn check(body: &str, limit: usize) -> Result<(), Problems> {
    if body.len() > limit {
        return Err(Problems::whole(format!("is {} bytes; at most {limit} are accepted", body.len())));
    }
    if body.starts_with('\u{feff}') {
        return Err(Problems::whole("begins with a byte order mark; expected JSON (RFC 8259, section 8.1)"));
    }
    if too_deep(body.as_bytes()) {
        return Err(Problems::whole(format!("is nested more than {DEPTH_LIMIT} levels deep")));
    }
    Ok(())
}

/// Whether objects and arrays are nested deeper than allowed. Most bodies have too few brackets for that, which is quick to count.
fn too_deep(json: &[u8]) -> bool {
    if json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= DEPTH_LIMIT {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        let ok = |body: &str| check(body, 10_000).is_ok();
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(ok(&nested(DEPTH_LIMIT)));
        assert!(!ok(&nested(DEPTH_LIMIT + 1)));
        assert!(ok(&format!(r#"["{}\"{}"]"#, "[".repeat(99), "{".repeat(99))));
        assert!(ok(&"[],".repeat(500)), "wide is not deep");
    }
}
