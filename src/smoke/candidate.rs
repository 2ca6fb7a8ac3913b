//! From a snapshot to its candidate: the same resources, made to run alone on
//! this machine.
//!
//! Listeners move to loopback ports of the system's choice, endpoints become
//! the echo upstream, nothing resolves a name or speaks TLS upstream, and
//! certificates that aren't here become the run's own. All else
//! stays as it is, because it is what gets judged. Pure: ports and folder are
//! arguments. Called by `cell`.
//!
//! Left as they are: clusters that find their hosts from requests (original
//! destination, dynamic forward proxy) or from other clusters (aggregate),
//! and configuration sources other than ADS.

mod cluster;
mod edit;
mod listener;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost_reflect::DynamicMessage;

pub(super) use listener::{Listener, Transport};
pub(super) use tls::Papers;

use crate::model::{FilePath, Place, Resource, ResourceKind, ResourceName, SnapshotKey, TypeUrl};
use crate::schema::{Schema, SchemaError};
use crate::snapshot::{self, Snapshot};

/// Why a snapshot can't be made a candidate: it isn't what it says.
#[derive(Debug, thiserror::Error)]
pub(super) enum CandidateError {
    /// A resource doesn't decode.
    #[error("resource `{name}` can't be read: {source}")]
    Resource {
        /// Which.
        name: ResourceName,
        /// Why.
        source: SchemaError,
    },
    /// A resource's wrapper lacks a field.
    #[error("resource `{0}` has no content")]
    Empty(ResourceName),
}

/// What the candidate is, and what to expect of an Envoy that runs it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// What is served.
    pub(super) snapshot: Snapshot,
    /// Every listener, by name.
    pub(super) listeners: BTreeMap<String, Listener>,
    /// Every cluster's name.
    pub(super) clusters: BTreeSet<String>,
    /// The clusters that must come to have a healthy host.
    pub(super) health_checked: BTreeSet<String>,
    /// Every runtime layer's name.
    pub(super) runtime: Vec<String>,
    /// What must not be shown to anybody.
    pub(super) secrets: Vec<String>,
}

/// The decoded parts of a snapshot that get changed.
#[derive(Debug)]
pub(super) struct Draft {
    key: SnapshotKey,
    clusters: Vec<(ResourceName, DynamicMessage)>,
    assignments: BTreeMap<String, DynamicMessage>,
    listeners: Vec<(ResourceName, DynamicMessage)>,
    extensions: Vec<(ResourceName, DynamicMessage)>,
    secrets: Vec<(ResourceName, DynamicMessage)>,
    rest: Vec<Arc<Resource>>,
    runtime: Vec<String>,
}

/// Where the candidate's surroundings are.
pub(super) struct Surroundings<'a> {
    /// The cell's folder as Envoy sees it, for pipes and files.
    pub(super) folder: &'a Path,
    /// The port of a cluster's n-th endpoint.
    pub(super) port: &'a dyn Fn(&str, usize) -> u16,
    /// The run's certificates.
    pub(super) papers: Papers<'a>,
}

impl Draft {
    /// Decodes what has to change.
    pub(super) fn read(schema: &Schema, snapshot: &Snapshot) -> Result<Self, CandidateError> {
        let mut draft = Self {
            key: snapshot.key.clone(),
            clusters: Vec::new(),
            assignments: BTreeMap::new(),
            listeners: Vec::new(),
            extensions: Vec::new(),
            secrets: Vec::new(),
            rest: Vec::new(),
            runtime: Vec::new(),
        };
        for (type_url, resources) in &snapshot.types {
            for (name, served) in &resources.resources {
                let body = body(schema, name, &served.any)?;
                draft.add(schema, type_url, name, body)?;
            }
        }
        Ok(draft)
    }

    fn add(
        &mut self,
        schema: &Schema,
        type_url: &TypeUrl,
        name: &ResourceName,
        body: Bytes,
    ) -> Result<(), CandidateError> {
        let decode = || {
            let failed = |source| CandidateError::Resource { name: name.clone(), source };
            schema.decode(type_url, &body).map_err(failed)
        };
        match type_url.kind() {
            Some(ResourceKind::Clusters) => self.clusters.push((name.clone(), decode()?)),
            Some(ResourceKind::Listeners) => self.listeners.push((name.clone(), decode()?)),
            Some(ResourceKind::Secrets) => self.secrets.push((name.clone(), decode()?)),
            Some(ResourceKind::ExtensionConfigs) => {
                self.extensions.push((name.clone(), decode()?));
            }
            Some(ResourceKind::Endpoints) => {
                self.assignments.insert(name.0.as_ref().into(), decode()?);
            }
            kind => {
                if kind == Some(ResourceKind::Runtime) {
                    self.runtime.push(name.0.as_ref().into());
                }
                self.rest.push(Arc::new(resource(type_url.clone(), name.clone(), body)));
            }
        }
        Ok(())
    }

    /// Every cluster that needs an upstream, with how many endpoints it has.
    pub(super) fn upstreams(&mut self) -> BTreeMap<String, usize> {
        let mut upstreams = BTreeMap::new();
        for (name, message) in &mut self.clusters {
            let name = name.0.as_ref();
            let endpoints = match cluster::eds_service(message, name) {
                Some(service) => self.assignments.get(&service).map_or(0, cluster::endpoints),
                None => cluster::inline_endpoints(message),
            };
            if endpoints > 0 {
                upstreams.insert(name.to_owned(), endpoints);
            }
        }
        upstreams
    }

    /// Makes the candidate.
    pub(super) fn finish(mut self, schema: &Schema, around: &Surroundings<'_>) -> Candidate {
        let with_endpoints: BTreeSet<_> = self.upstreams().into_keys().collect();
        let clusters = self.clusters.iter().map(|(name, _)| name.0.as_ref().into()).collect();
        let health_checked = self.rewrite_clusters(schema, around, &with_endpoints);
        let mut files = edit::Files::new(around.folder);
        let mut listeners = BTreeMap::new();
        for (name, message) in &mut self.listeners {
            let listener = listener::rewrite(message, around.folder, listeners.len());
            listeners.insert(name.0.as_ref().into(), listener);
        }
        self.equip(schema, around.papers);
        let deep = [&mut self.clusters, &mut self.listeners, &mut self.extensions];
        for (_, message) in deep.into_iter().flatten() {
            edit::confine(schema, message, &mut files);
        }
        let runtime = std::mem::take(&mut self.runtime);
        let secrets = self.secrets.iter().flat_map(|(_, secret)| tls::secret_texts(secret));
        let secrets = secrets.collect();
        let snapshot = self.build(schema);
        Candidate { snapshot, listeners, clusters, health_checked, runtime, secrets }
    }

    fn equip(&mut self, schema: &Schema, papers: Papers<'_>) {
        let served = self.secrets.iter().map(|(name, _)| name.0.as_ref().into()).collect();
        for (_, listener) in &mut self.listeners {
            tls::equip(schema, listener, &served, papers);
        }
        for (_, secret) in &mut self.secrets {
            tls::equip_secret(secret, papers);
        }
    }

    /// Gives the clusters whose health is to be watched.
    fn rewrite_clusters(
        &mut self,
        schema: &Schema,
        around: &Surroundings<'_>,
        with_endpoints: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let originals = self.assignments.clone();
        let mut taken = BTreeSet::new();
        let mut watched = BTreeSet::new();
        for (name, message) in &mut self.clusters {
            let name = name.0.as_ref();
            let port = |endpoint| (around.port)(name, endpoint);
            cluster::rewrite(schema, message, &port);
            if cluster::is_health_checked(message) && with_endpoints.contains(name) {
                watched.insert(name.to_owned());
            }
            let Some(service) = cluster::eds_service(message, name) else { continue };
            let Some(original) = originals.get(&service) else { continue };
            let mut assignment = original.clone();
            cluster::rewrite_assignment(&mut assignment, &port);
            // Clusters that share endpoints would be one upstream: the second
            // gets a copy under a name of its own.
            let own = if taken.insert(service.clone()) {
                service
            } else {
                let own = format!("{service} for {name}");
                cluster::set_service(message, &mut assignment, &own);
                own
            };
            self.assignments.insert(own, assignment);
        }
        watched
    }

    fn build(self, schema: &Schema) -> Snapshot {
        let assignments = self
            .assignments
            .into_iter()
            .map(|(name, message)| (ResourceName(name.into()), message));
        let kinds: [(ResourceKind, Vec<(ResourceName, DynamicMessage)>); 5] = [
            (ResourceKind::Clusters, self.clusters),
            (ResourceKind::Endpoints, assignments.collect()),
            (ResourceKind::Listeners, self.listeners),
            (ResourceKind::ExtensionConfigs, self.extensions),
            (ResourceKind::Secrets, self.secrets),
        ];
        let mut resources = self.rest;
        for (kind, messages) in kinds {
            for (name, message) in messages {
                let body = schema.encode(&message);
                resources.push(Arc::new(resource(kind.type_url(), name, body)));
            }
        }
        resources.sort_by(|a, b| (&a.type_url, &a.name).cmp(&(&b.type_url, &b.name)));
        snapshot::build(self.key, &resources)
    }
}

/// The message inside a resource's `Any`.
fn body(schema: &Schema, name: &ResourceName, any: &Bytes) -> Result<Bytes, CandidateError> {
    let wrapper = TypeUrl("type.googleapis.com/google.protobuf.Any".into());
    let failed = |source| CandidateError::Resource { name: name.clone(), source };
    let any = schema.decode(&wrapper, any).map_err(failed)?;
    edit::any_parts(&any).map(|(_, body)| body).ok_or_else(|| CandidateError::Empty(name.clone()))
}

fn resource(type_url: TypeUrl, name: ResourceName, body: Bytes) -> Resource {
    // Nobody asks a candidate's resource where it was written.
    let place = Place { file: candidate_file(), line: 0, column: 0 };
    Resource::new(type_url, name, body, place)
}

#[allow(clippy::expect_used, reason = "a constant that is a path")]
fn candidate_file() -> FilePath {
    FilePath::new("candidate").expect("`candidate` is a path")
}

#[cfg(test)]
mod tests;
