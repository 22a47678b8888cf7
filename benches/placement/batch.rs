//! x
pub fn print() {}
