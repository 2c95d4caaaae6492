//! Messages to Slack channels.
