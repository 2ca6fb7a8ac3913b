//! The one integration binary: the real thing, over real parts.

#[cfg(test)]
mod lint;
#[cfg(test)]
mod sample;
