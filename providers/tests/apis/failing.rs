//! Answers that go wrong.
