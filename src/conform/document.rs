//! Items as JSON, for drivers that are other programs.

use prost_reflect::SerializeOptions;
use serde_json::{Value, json};

use super::item::Item;
use crate::schema::Schema;

/// `item` in protobuf's JSON form with proto field names, as an `Any`; in a
/// `Resource` where it has a time to live.
///
/// # Errors
/// The schema can't read the item; the text says why.
pub fn document(schema: &Schema, item: &Item) -> Result<Value, String> {
    let type_url = item.kind.type_url();
    let message = schema.decode(&type_url, &item.body).map_err(|error| error.to_string())?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    let body = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| error.to_string())?;
    let mut any = json!({ "@type": type_url.to_string() });
    if let (Value::Object(any), Value::Object(body)) = (&mut any, body) {
        any.extend(body);
    }
    Ok(match item.ttl {
        None => any,
        Some(ttl) => json!({
            "@type": "type.googleapis.com/envoy.service.discovery.v3.Resource",
            "name": item.name,
            "ttl": format!("{}s", ttl.as_secs_f64()),
            "resource": any,
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::item::{cluster, item};
    use super::*;
    use crate::model::ResourceKind;

    #[test]
    fn every_kind_reads_as_json() {
        let schema = Schema::load();
        for kind in ResourceKind::ALL {
            let document = document(&schema, &item(kind, "a", 1)).unwrap();
            assert_eq!(document["@type"], kind.type_url().to_string());
            assert_eq!(document[kind.name_field()], "a");
        }
    }

    #[test]
    fn a_time_to_live_wraps_the_resource() {
        let item = cluster("a", 1).with_ttl(Duration::from_millis(1500));
        let document = document(&Schema::load(), &item).unwrap();
        assert_eq!(document["ttl"], "1.5s");
        assert_eq!(document["resource"]["name"], "a");
    }
}
