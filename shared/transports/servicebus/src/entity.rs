//! What messages are sent to.

use errand_core::percent_encode;

/// The longest path of a queue or topic, in characters.
/// <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas#common-limits-for-all-tiers>
const LONGEST: usize = 260;

/// A kind of entity.
pub trait Kind: Send + Sync + 'static {
    /// The kind of transport that sends to it.
    const BACKEND: &'static str;
    /// What it is called in messages.
    const NAME: &'static str;
    /// Whether there is any in the tier Basic.
    const IN_BASIC: bool;
}

/// Queues.
pub struct Queue;

/// Topics.
pub struct Topic;

impl Kind for Queue {
    const BACKEND: &'static str = "servicebus-queue";
    const NAME: &'static str = "queue";
    const IN_BASIC: bool = true;
}

impl Kind for Topic {
    const BACKEND: &'static str = "servicebus-topic";
    const NAME: &'static str = "topic";
    const IN_BASIC: bool = false;
}

/// Whether there can be an entity of this name: letters, digits, periods, hyphens, underscores and slashes, a letter or digit at either end.
/// <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftservicebus>
pub(crate) fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= LONGEST && name.chars().all(is_inner) && is_end(name.chars().next()) && is_end(name.chars().next_back())
}

/// Its path in a URL.
pub(crate) fn path(name: &str) -> String {
    name.split('/').map(percent_encode).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_called_as_service_bus_allows() {
        for name in ["tasks", "a", "shop/orders.v-1_x"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a/", "a b", "é", "a?b", &"x".repeat(261)] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(path("shop/or ders"), "shop/or%20ders");
    }
}
