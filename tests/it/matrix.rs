//! The sample passes its own matrix: every stage on the oldest and the newest
//! Envoy that the tests have.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use convoy::app::PrivateListeners;
use convoy::model::{
    Cell, ContentHash, FilePath, Manifest, Outcome, RepoName, SnapshotKey, SourceTree, StageSpec,
};
use convoy::render::Renderer;
use convoy::schema::Schema;
use convoy::smoke::{Plan, Smoke, SmokeOptions, Suite};
use convoy::snapshot;

const VERSIONS: [&str; 2] = ["1.36.4", "1.40.0"];

/// Reads a folder as if it were a commit.
fn read(folder: &Path) -> SourceTree {
    let mut tree = SourceTree::default();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let name = FilePath::new(name).unwrap();
            if path.metadata().unwrap().permissions().mode() & 0o111 != 0 {
                tree.executables.insert(name.clone());
            }
            tree.files.insert(name, Bytes::from(std::fs::read(&path).unwrap()));
        }
    }
    tree
}

/// The sample, rendered once for all cells.
struct Sample {
    tree: SourceTree,
    manifest: Manifest,
    renderer: Renderer,
    suite: Arc<Suite>,
}

impl Sample {
    fn load() -> Self {
        let tree = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/envoy/sample"));
        let renderer = Renderer::new(Schema::load());
        let manifest = renderer.manifest(&tree).expect("no mistakes").expect("a manifest");
        let (suite, problems) = Suite::read(&tree);
        assert_eq!(problems, []);
        Self { tree, manifest, renderer, suite: Arc::new(suite) }
    }

    fn plan(&self, spec: &StageSpec, version: &str) -> Plan {
        let output = self.renderer.render(&self.tree, &self.manifest, &spec.name);
        assert_eq!(output.problems, [], "{}", spec.name);
        let repo = RepoName::new("mesh/config").unwrap();
        let groups = output.resources.groups.iter().map(|(group, resources)| {
            let (repo, stage) = (repo.clone(), spec.name.clone());
            let key = SnapshotKey { repo, stage, group: group.clone() };
            Arc::new(snapshot::build(key, resources))
        });
        Plan {
            cell: Cell { stage: spec.name.clone(), version: version.into() },
            render: ContentHash::of(spec.name.as_str().as_bytes()),
            snapshots: groups.collect(),
            suite: Arc::clone(&self.suite),
            policy: spec.smoke.clone(),
            bundle: String::new(),
            fresh: false,
        }
    }
}

#[tokio::test]
async fn the_sample_passes_its_own_matrix() {
    let sample = Sample::load();
    let work = tempfile::tempdir().unwrap();
    let options = SmokeOptions {
        envoys: std::env::var_os("CONVOY_ENVOYS").expect("CONVOY_ENVOYS names a folder").into(),
        work: work.path().to_owned(),
        parallel: 2,
        warden: Some(env!("CARGO_BIN_EXE_convoy").into()),
        ..SmokeOptions::default()
    };
    let smoke = Smoke::new(Schema::load(), options, Arc::new(PrivateListeners), None);
    for spec in &sample.manifest.stages {
        for version in VERSIONS {
            let result = smoke.run(sample.plan(spec, version)).await;
            assert_eq!(result.outcome, Outcome::Passed, "{result:#?}");
            assert!(result.checks > 0, "{result:#?}");
        }
    }
}
