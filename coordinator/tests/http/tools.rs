//! Functions, in requests and answers.
