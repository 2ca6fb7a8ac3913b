//! Mirrors that are documents, both ways, against real Git servers.

mod accounts;
mod bed;
mod both;
mod inward;
mod outward;
mod running;
mod served;
