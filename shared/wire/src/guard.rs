//! Guards the parsers.

use errand_core::{DEPTH_LIMIT, Problems, json};
use memchr::memchr;

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
    if let Some(place) = lone_surrogate(body) {
        let detail = format!("holds half of a surrogate pair (byte {place}): expected texts in Unicode (RFC 8259, section 8.2)");
        return Err(Problems::whole(detail));
    }
    if json::too_deep(body.as_bytes()) {
        return Err(Problems::whole(format!("is nested more than {DEPTH_LIMIT} levels deep")));
    }
    Ok(())
}

/// Where an escape stands for half of a character: JSON's grammar allows it, no text holds it, and readers of JSON refuse it late or not at all.
fn lone_surrogate(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let escaped = |at: usize| {
        let unit = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u16::from_str_radix(std::str::from_utf8(&unit[2..]).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += found;
        match escaped(at) {
            Some(0xd800..=0xdbff) if matches!(escaped(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => return Some(at),
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_found_and_a_pair_is_not() {
        for whole in [r#""\ud83d\ude80""#, r#""\\ud800""#, r#""\u00e9 \uD83D\uDE80""#, "\"\u{1f680}\"", r#""\u12""#] {
            assert_eq!(lone_surrogate(whole), None, "{whole}");
        }
        for (half, at) in [(r#""\ud800""#, 1), (r#""x\ude80\ud83d""#, 2), (r#""\ud83d\u0041""#, 1), (r#""\\\uD800"#, 3), (r#""\ud83d"#, 1)]
        {
            assert_eq!(lone_surrogate(half), Some(at), "{half}");
        }
    }
}
