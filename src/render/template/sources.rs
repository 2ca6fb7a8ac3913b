//! The files under `templates/`, as templates find them by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scan::Source;
use crate::model::{ContentHash, FilePath, SourceTree};

/// The longest template.
const BYTES_MAX: usize = 1 << 20;
const FOLDER: &str = "templates";

/// The files under `templates/`; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    files: Arc<BTreeMap<FilePath, String>>,
    hash: Option<ContentHash>,
}

impl Sources {
    /// Takes the templates of `tree`. Files that are not UTF-8, or that the
    /// engine can't take, are no templates; naming one is a mistake like
    /// naming a missing one.
    pub(crate) fn of(tree: &SourceTree) -> Self {
        let files: BTreeMap<FilePath, String> = tree
            .under(FOLDER)
            .filter_map(|(path, content)| {
                let text = std::str::from_utf8(content).ok()?;
                let fits = content.len() <= BYTES_MAX
                    && super::refused(text, &Source::scan(text)).is_none();
                fits.then(|| (path.clone(), text.to_owned()))
            })
            .collect();
        let parts =
            files.iter().flat_map(|(path, text)| [path.as_str().as_bytes(), text.as_bytes()]);
        let hash = Some(ContentHash::of_parts(parts));
        Self { files: Arc::new(files), hash }
    }

    /// Hash over every name and text.
    pub(crate) fn hash(&self) -> ContentHash {
        self.hash.unwrap_or(ContentHash::of_parts([]))
    }

    /// Whether a tag in any of them holds `word`.
    pub(crate) fn mention(&self, word: &str) -> bool {
        self.files.values().any(|text| Source::scan(text).mentions(&[word]))
    }

    /// The path that a template means by `name`: `x.yaml` and
    /// `templates/x.yaml` are the same file.
    pub(super) fn full_name(name: &str) -> String {
        let name = name.trim_start_matches('/');
        match name.strip_prefix(FOLDER) {
            Some(rest) if rest.starts_with('/') => name.to_owned(),
            _ => format!("{FOLDER}/{name}"),
        }
    }

    /// The names of all templates.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(FilePath::as_str)
    }

    /// The text of the template `name` as it is run.
    pub(super) fn plain(&self, name: &str) -> Option<String> {
        self.text(name).map(|text| Source::scan(text).plain())
    }

    /// The text of the template `name` with marks.
    pub(super) fn marked(&self, name: &str) -> Option<String> {
        let path = FilePath::new(name).ok()?;
        let number = self.files.keys().position(|known| *known == path)?;
        let number = u32::try_from(number).ok()?.checked_add(1)?;
        self.text(name).map(|text| Source::scan(text).marked(number))
    }

    /// The template's text as committed.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.files.get(&FilePath::new(name).ok()?).map(String::as_str)
    }

    /// The path behind the `number`-th mark, from 1.
    pub(super) fn path(&self, number: u32) -> Option<&FilePath> {
        self.files.keys().nth((number as usize).checked_sub(1)?)
    }
}
