//! Compiles the `.proto` tree that the `envoy-types` crate ships, and our own
//! `proto/` for what it lacks and for files in which a newer Envoy has more,
//! into one descriptor set: `$OUT_DIR/envoy.fds`. `src/schema.rs` embeds it; no
//! code is made of it.
//!
//! `proto/convoy` is our own API and no part of that set: authors must not
//! find its messages among Envoy's. It becomes code and a descriptor set of
//! its own (`$OUT_DIR/convoy.v1.rs`, `convoy.fds`), which `src/rpc.rs`
//! includes. Nothing is fetched.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The folders below envoy-types' `proto/` from which imports are named.
const ENVOY_ROOTS: [&str; 8] = [
    "xds",
    "data-plane-api",
    "googleapis",
    "opentelemetry-proto",
    "protoc-gen-validate",
    "client_model",
    "cel-spec/proto",
    "ratelimit/api",
];

/// Our own API, which Envoy's descriptor set must not know.
const OURS: &str = "convoy";

/// Protobuf's own types that authors may put in an `Any` though no message of
/// Envoy's imports their file.
const WELL_KNOWN: [&str; 7] = [
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=Cargo.lock");
    let protoc_include = protoc_bin_vendored::include_path()?;
    let envoy = envoy_protos(&protoc_include)?;
    let mut roots = vec![PathBuf::from("proto")];
    roots.extend(ENVOY_ROOTS.iter().map(|root| envoy.join(root)));
    let output = PathBuf::from(env::var("OUT_DIR")?).join("envoy.fds");
    compile(&roots, &protoc_include, &output)?;
    generate(&protoc_include)
}

/// Makes the gRPC service's code, and the descriptor set that its reflection
/// answers from.
fn generate(include: &Path) -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    proto_files(&Path::new("proto").join(OURS), &mut files)?;
    files.sort();
    let mut config = tonic_prost_build::Config::new();
    config.protoc_executable(protoc_bin_vendored::protoc_bin_path()?);
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".convoy.v1")
        .emit_rerun_if_changed(false)
        .file_descriptor_set_path(PathBuf::from(env::var("OUT_DIR")?).join("convoy.fds"))
        .compile_with_config(config, &files, &[PathBuf::from("proto"), include.to_path_buf()])?;
    Ok(())
}

/// Envoy's protos lie beside protoc's: both come as crates from one registry
/// (`NAME-VERSION` folders) or one vendor folder (with or without versions).
/// Cargo has no other way to tell a build script where a crate's source is
/// that works offline and does not need every platform's packages.
fn envoy_protos(protoc_include: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let lock = fs::read_to_string("Cargo.lock")?;
    let version = locked_version(&lock, "envoy-types").ok_or("Cargo.lock has no envoy-types")?;
    let sources = protoc_include.ancestors().nth(2).ok_or("protoc has no parent folder")?;
    let names = [format!("envoy-types-{version}"), "envoy-types".into()];
    names.iter().map(|name| sources.join(name).join("proto")).find(|path| path.is_dir()).ok_or_else(
        || format!("no {} with a proto folder in {}", names[0], sources.display()).into(),
    )
}

fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let mut lines = lock.lines();
    lines.find(|line| *line == format!("name = \"{package}\""))?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

fn compile(roots: &[PathBuf], include: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    let mut protoc = Command::new(protoc_bin_vendored::protoc_bin_path()?);
    protoc.arg("--include_imports").arg("-o").arg(output);
    for root in roots {
        protoc.arg("-I").arg(root);
    }
    protoc.arg("-I").arg(include).args(WELL_KNOWN);
    // The first root that has a file is the one it is read from.
    let mut given = BTreeSet::new();
    for root in roots {
        let mut files = Vec::new();
        proto_files(root, &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(root)?;
            if !name.starts_with(OURS) && given.insert(name.to_owned()) {
                protoc.arg(name);
            }
        }
    }
    let run = protoc.output()?;
    if run.status.success() {
        return Ok(());
    }
    Err(format!("protoc failed: {}", String::from_utf8_lossy(&run.stderr)).into())
}

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}
