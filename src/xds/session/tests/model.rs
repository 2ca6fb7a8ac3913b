//! A random walk against a model client follows.
