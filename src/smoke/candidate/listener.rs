//! Listeners on loopback, on ports of the system's choice.

use std::path::Path;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::edit::{any_parts, child, children, number, renew, set, text, to_loopback};

/// How a listener is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::smoke) enum Transport {
    /// A TCP port.
    Tcp,
    /// A UDP port.
    Udp,
    /// A socket file.
    Pipe,
    /// Only from inside: an internal listener, or one that doesn't bind.
    Inside,
}

/// What is known of a listener before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::smoke) struct Listener {
    /// How it is reached.
    pub(in crate::smoke) transport: Transport,
    /// Whether all of its filter chains speak TLS.
    pub(in crate::smoke) tls: bool,
}

/// Rebinds a listener. Port 0 leaves the choice to the system at the moment
/// of binding, so no two processes ever race for a port.
pub(super) fn rewrite(message: &mut DynamicMessage, folder: &Path, index: usize) -> Listener {
    let tls = speaks_tls(message);
    let transport = transport(message);
    let pipe = |part: usize| folder.join(format!("listener-{index}-{part}.sock"));
    if transport != Transport::Inside {
        if let Some(address) = child(message, "address") {
            rebind(address, &pipe(0));
        }
        for (part, additional) in children(message, "additional_addresses").enumerate() {
            if let Some(address) = child(additional, "address") {
                rebind(address, &pipe(part + 1));
            }
        }
    }
    // It asks for a right that a smoke run doesn't have.
    message.clear_field_by_name("transparent");
    Listener { transport, tls }
}

fn transport(message: &mut DynamicMessage) -> Transport {
    let binds = child(message, "bind_to_port")
        .and_then(|wrapper| wrapper.get_field_by_name("value")?.as_bool())
        .unwrap_or(true);
    let Some(address) = child(message, "address").filter(|_| binds) else {
        return Transport::Inside;
    };
    if address.has_field_by_name("pipe") {
        return Transport::Pipe;
    }
    match child(address, "socket_address").map(|socket| number(socket, "protocol")) {
        Some(Some(1)) => Transport::Udp,
        Some(_) => Transport::Tcp,
        None => Transport::Inside,
    }
}

fn rebind(address: &mut DynamicMessage, pipe: &Path) {
    if address.has_field_by_name("socket_address") {
        to_loopback(address, 0);
    } else if address.has_field_by_name("pipe")
        && let Some(target) = renew(address, "pipe")
    {
        set(target, "path", Value::String(pipe.to_string_lossy().into_owned()));
    }
}

fn speaks_tls(message: &mut DynamicMessage) -> bool {
    let mut chains: Vec<bool> = children(message, "filter_chains").map(chain_has_tls).collect();
    chains.extend(child(message, "default_filter_chain").map(chain_has_tls));
    !chains.is_empty() && chains.iter().all(|tls| *tls)
}

fn chain_has_tls(chain: &mut DynamicMessage) -> bool {
    let config = child(chain, "transport_socket").and_then(|s| child(s, "typed_config"));
    config.is_some_and(|any| {
        debug_assert!(any_parts(any).is_some(), "{}", any.descriptor().full_name());
        text(any, "type_url").ends_with(".DownstreamTlsContext")
    })
}
