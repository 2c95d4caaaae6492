//! A store in one DynamoDB table.
