//! Get, list, commit and watch over gRPC: `proto/convoy/v1`, with reflection
//! and health, beside xDS on its port. Thin: it parses, checks rights, asks
//! `store`, and shapes the answer; the rules are those of the HTTP API.
