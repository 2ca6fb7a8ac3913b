//! Slack: a thin ingress, messages (pure), and a client.
