//! Models of others.
