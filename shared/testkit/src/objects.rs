//! What every object store must do.

use errand_core::Objects;

/// Runs all checks.
///
/// # Panics
/// The object store breaks the contract; the message says how.
pub async fn conformance<O: Objects>(objects: &O) {
    let (key, other) = ("soon/1-a", "late/1-a");
    assert_eq!(objects.get(key).await, Ok(None), "what nobody put is not there");
    let content = format!(r#"{{"kwargs":{{"text":"é\u0000{}"}}}}"#, "x".repeat(3 * 1024 * 1024));
    objects.put(key, content.clone()).await.expect("the object store answers");
    assert_eq!(
        objects.get(key).await.expect("the object store answers").as_deref(),
        Some(content.as_str()),
        "what was put comes back whole"
    );
    assert_eq!(objects.get(other).await, Ok(None), "each key is its own");
    for _ in 0..2 {
        assert_eq!(objects.delete(key).await, Ok(()), "what is gone is no error");
    }
    assert_eq!(objects.get(key).await, Ok(None));
}
