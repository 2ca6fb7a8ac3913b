//! The bootstrap of an Envoy under test: pure, and nothing but the way to the
//! private xDS listener.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A cluster name that no configuration repository would use.
const XDS_CLUSTER: &str = "convoy-smoke-xds";

/// Who the Envoy says it is, and where it gets its configuration.
#[derive(Debug)]
pub(super) struct Bootstrap<'a> {
    /// `node.id`.
    pub(super) node: &'a str,
    /// `node.cluster`: the node group.
    pub(super) group: &'a str,
    /// `node.metadata.stage`.
    pub(super) stage: &'a str,
    /// The private xDS listener.
    pub(super) xds: SocketAddr,
    /// The names of the runtime resources; each becomes a layer.
    pub(super) runtime: &'a [String],
}

impl Bootstrap<'_> {
    /// As JSON: YAML reads `y` and `no` as truth values, and some of the
    /// texts are users' names.
    pub(super) fn to_json(&self) -> String {
        json!({
            "node": {
                "id": self.node,
                "cluster": self.group,
                "metadata": {"stage": self.stage, "group": self.group},
            },
            "admin": {"address": socket(([127, 0, 0, 1], 0).into())},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
                },
                "cds_config": ads(),
                "lds_config": ads(),
            },
            "static_resources": {"clusters": [self.xds_cluster()]},
            "layered_runtime": {"layers": self.layers()},
            "stats_flush_interval": "1s",
        })
        .to_string()
    }

    fn layers(&self) -> Vec<Value> {
        let layer = |name: &String| json!({"name": name, "rtds_layer": {"name": name, "rtds_config": ads()}});
        let admin = json!({"name": "convoy-smoke-admin", "admin_layer": {}});
        self.runtime.iter().map(layer).chain([admin]).collect()
    }

    fn xds_cluster(&self) -> Value {
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        json!({
            "name": XDS_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "5s",
            "typed_extension_protocol_options": {
                options: {
                    "@type": format!("type.googleapis.com/{options}"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
            "load_assignment": {
                "cluster_name": XDS_CLUSTER,
                "endpoints": [{
                    "lb_endpoints": [{"endpoint": {"address": socket(self.xds)}}],
                }],
            },
        })
    }
}

fn ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3"})
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
