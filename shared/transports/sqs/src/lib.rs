//! Amazon SQS: publish envelopes; hide and bury what a consumer received.
