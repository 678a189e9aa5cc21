//! System fonts, for characters that the fonts of the templates lack.
//!
//! They are read when the first document needs one, so that a document whose characters the
//! templates' fonts have is the same on every machine and costs nothing more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use typst::text::{Font, FontInfo};
use typst_kit::fonts::{FontPath, FontStore};

/// How deep folders are searched. Links may lead in a circle.
const DEPTH: usize = 8;
/// Faces that one file may hold.
const FACES: u32 = 64;

/// The fonts of the templates, and behind them those of some folders.
pub(crate) struct Fallback {
    folders: Vec<PathBuf>,
    store: OnceLock<FontStore>,
}

impl Fallback {
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, store: OnceLock::new() }
    }

    /// Where fonts are searched.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// All fonts, `first` before those of the folders. `None` without a folder.
    pub(crate) fn store(&self, first: impl Iterator<Item = Font>) -> Option<&FontStore> {
        if self.folders.is_empty() {
            return None;
        }
        Some(self.store.get_or_init(|| {
            let started = Instant::now();
            let mut store = FontStore::new();
            store.extend(first.map(|font| {
                let info = font.info().clone();
                (font, info)
            }));
            let mut files = Vec::new();
            for folder in &self.folders {
                search(folder, DEPTH, &mut files);
            }
            let mut faces = 0_u32;
            for file in &files {
                for face in read(file) {
                    store.push(face);
                    faces += 1;
                }
            }
            tracing::info!(files = files.len(), faces, took = ?started.elapsed(), "read the fonts of templates.fonts");
            store
        }))
    }
}

/// Adds the font files below `folder`, in the order of their names: which of several fonts is
/// used must not depend on the file system.
fn search(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "fonts in this folder are not used");
            return;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    for path in paths {
        if path.is_dir() {
            if depth > 0 {
                search(&path, depth - 1, files);
            }
        } else if is_font(&path) {
            files.push(path);
        }
    }
}

/// The faces of a file. The file itself is read again when one of them is used.
fn read(path: &Path) -> Vec<(FontPath, FontInfo)> {
    let Ok(data) = fs::read(path) else { return Vec::new() };
    let face = |index| Some((FontPath { path: path.to_owned(), index }, FontInfo::new(&data, index)?));
    (0..FACES).map_while(face).collect()
}

/// Whether a file is a font by its name.
pub(crate) fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["otf", "ttf", "otc", "ttc"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}
