//! Reads `convoy.yaml`.
