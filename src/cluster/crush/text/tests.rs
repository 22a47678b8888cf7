//! Text maps that are read, and those that are refused.
