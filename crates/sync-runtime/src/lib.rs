#![doc = include_str!("../README.md")]

pub mod inbox;
pub mod workers;
