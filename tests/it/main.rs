//! The one integration binary: the real thing, over real parts.
mod store;
