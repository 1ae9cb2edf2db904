use super::*;

mod real;
