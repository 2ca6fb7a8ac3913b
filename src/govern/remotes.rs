//! Mirrors and credentials as documents, and the folder of secrets beside
//! them: `DATA/secrets/<project>/<id>`, readable by the owner only.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::draft::write;
use super::names::{check_id, credential_path, mirror_path};
use super::projects::{no_project, no_repository};
use super::registry::Inner;
use super::{CredentialDocument, CredentialKind, GovernError, MirrorDocument, Stamp};
use crate::model::{Origin, Person, Secret};

/// The longest secret, in bytes: an RSA key of 16,384 bits is below it.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Writes a mirror.
pub(super) async fn put_mirror(
    inner: &Inner,
    by: &Origin,
    mirror: MirrorDocument,
    must_be_new: bool,
) -> Result<(), GovernError> {
    check_mirror(inner, &mirror)?;
    let project = mirror.local.project();
    let path = mirror_path(project, &mirror.id);
    write(inner, by, &format!("Write the mirror {project}/{}", mirror.id), |draft| {
        let old = draft.get::<MirrorDocument>(&path)?;
        if must_be_new && old.is_some() {
            let name = mirror.id.clone();
            return Err(GovernError::Exists { what: "mirror", name, removed: false });
        }
        let created = old.map(|old| old.created);
        let created = created.unwrap_or_else(|| Stamp { by: by.name.clone(), at: draft.now });
        draft.put(&path, &MirrorDocument { created, ..mirror.clone() })
    })
    .await
}

fn check_mirror(inner: &Inner, mirror: &MirrorDocument) -> Result<(), GovernError> {
    check_id("mirror", &mirror.id)?;
    let registry = inner.registry();
    if registry.repository(&mirror.local).is_none() {
        return Err(no_repository(&mirror.local));
    }
    let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !plain(&mirror.url) || !plain(&mirror.branch) {
        return Err(GovernError::Invalid(format!(
            "the mirror `{}` needs a url and a branch, each on one line",
            mirror.id
        )));
    }
    let project = mirror.local.project();
    match &mirror.credential {
        Some(id) if !registry.credentials.contains_key(&(project.to_owned(), id.clone())) => {
            Err(no_credential(id))
        }
        _ => Ok(()),
    }
}

/// Removes a mirror.
pub(super) async fn remove_mirror(
    inner: &Inner,
    by: &Origin,
    project: &str,
    id: &str,
) -> Result<(), GovernError> {
    let missing = || GovernError::NotFound { what: "mirror", name: id.into() };
    if !inner.registry().mirrors.contains_key(&(project.to_owned(), id.to_owned())) {
        return Err(missing());
    }
    let path = mirror_path(project, id);
    write(inner, by, &format!("Remove the mirror {project}/{id}"), |draft| {
        draft.get::<MirrorDocument>(&path)?.ok_or_else(missing)?;
        draft.remove(&path)
    })
    .await
}

/// Writes a credential, its secret first: a document whose secret is not there
/// would be of no use.
pub(super) async fn put_credential(
    inner: &Inner,
    by: &Origin,
    credential: CredentialDocument,
    secret: Option<Secret>,
    must_be_new: bool,
) -> Result<(), GovernError> {
    let CredentialDocument { project, id, .. } = &credential;
    check_id("credential", id)?;
    let registry = inner.registry();
    registry.project(project).ok_or_else(|| no_project(project))?;
    if must_be_new && registry.credentials.contains_key(&(project.clone(), id.clone())) {
        return Err(GovernError::Exists { what: "credential", name: id.clone(), removed: false });
    }
    if let Some(secret) = &secret {
        keep(inner, project, id, secret)?;
    } else if credential.kind != CredentialKind::None && !file_of(inner, project, id)?.exists() {
        return Err(GovernError::Invalid(format!("the credential `{id}` needs its secret")));
    }
    let path = credential_path(project, id);
    write(inner, by, &format!("Write the credential {project}/{id}"), |draft| {
        let old = draft.get::<CredentialDocument>(&path)?;
        let created = old.map(|old| old.created);
        let created = created.unwrap_or_else(|| Stamp { by: by.name.clone(), at: draft.now });
        draft.put(&path, &CredentialDocument { created, ..credential.clone() })
    })
    .await
}

/// Removes a credential and its secret.
pub(super) async fn remove_credential(
    inner: &Inner,
    by: &Origin,
    project: &str,
    id: &str,
) -> Result<(), GovernError> {
    let registry = inner.registry();
    if !registry.credentials.contains_key(&(project.to_owned(), id.to_owned())) {
        return Err(no_credential(id));
    }
    let using = |mirror: &&MirrorDocument| {
        mirror.local.project() == project && mirror.credential.as_deref() == Some(id)
    };
    if let Some(mirror) = registry.mirrors.values().find(using) {
        return Err(GovernError::State(format!(
            "the mirror `{}` uses the credential `{id}`; change or remove it first",
            mirror.id
        )));
    }
    let path = credential_path(project, id);
    write(inner, by, &format!("Remove the credential {project}/{id}"), |draft| {
        draft.get::<CredentialDocument>(&path)?.ok_or_else(|| no_credential(id))?;
        draft.remove(&path)
    })
    .await?;
    forget(inner, project, id)
}

/// A credential's secret.
pub(super) fn secret(inner: &Inner, project: &str, id: &str) -> Result<Secret, GovernError> {
    let path = file_of(inner, project, id)?;
    let failed = |source| GovernError::Secret { name: id.to_owned(), source };
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    if length > SECRET_BYTES_MAX {
        return Err(failed(io::Error::other("it is too long")));
    }
    Ok(Secret::new(&std::fs::read_to_string(&path).map_err(failed)?))
}

/// Where a credential's secret lies.
pub(super) fn file_of(inner: &Inner, project: &str, id: &str) -> Result<PathBuf, GovernError> {
    // Names that follow the rule can't lead out of the folder.
    Person::new(project)?;
    Person::new(id)?;
    Ok(inner.settings.secrets.join(project).join(id))
}

/// Removes a secret; no harm if it is not there.
pub(super) fn forget(inner: &Inner, project: &str, id: &str) -> Result<(), GovernError> {
    match std::fs::remove_file(file_of(inner, project, id)?) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(GovernError::Secret { name: id.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn keep(inner: &Inner, project: &str, id: &str, secret: &Secret) -> Result<(), GovernError> {
    if secret.is_empty() || secret.expose().len() as u64 > SECRET_BYTES_MAX {
        return Err(GovernError::Invalid(format!(
            "the secret of `{id}` is empty or longer than 64 KiB"
        )));
    }
    let path = file_of(inner, project, id)?;
    place(&path, secret).map_err(|source| GovernError::Secret { name: id.to_owned(), source })
}

/// Writes the file whole or not at all. SSH wants a key's last line ended.
fn place(path: &Path, secret: &Secret) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("no folder"))?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    writeln!(file, "{}", secret.expose())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

fn no_credential(id: &str) -> GovernError {
    GovernError::NotFound { what: "credential", name: id.into() }
}
