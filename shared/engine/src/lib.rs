//! One batch of messages in, one verdict per message out.
