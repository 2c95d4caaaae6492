//! Runs a batch of messages: decode, claim, deliver, answer.
