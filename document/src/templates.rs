//! Holds every file a template may read: the built-in ones and the user's, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use typst::foundations::Bytes;
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::Font;
use typst_kit::fonts::{FontStore, embedded};

use crate::builtin::Builtin;
use crate::diagnosis::diagnosis;
use crate::error::Error;
use crate::fallback;

/// Where the data of a render appears to its template.
pub(crate) const DATA: &str = "data.json";

/// The folder of fonts within a templates folder.
const FONTS: &str = "fonts";

/// The files of all templates, parsed once and shared by every render.
pub(crate) struct Templates {
    sources: BTreeMap<String, Source>,
    assets: BTreeMap<String, Bytes>,
    pub(crate) fonts: FontStore,
    /// How many fonts there are.
    faces: usize,
    pub(crate) data_id: FileId,
}

impl Templates {
    /// Loads the built-in files and, over them, those of `folder`.
    ///
    /// Syntax errors are found here, so that a service with a broken template
    /// refuses to start instead of failing at its first invoice.
    pub(crate) fn load(builtin: &[Builtin], folder: Option<&Path>) -> Result<Self, Error> {
        let mut files: BTreeMap<String, Bytes> =
            builtin.iter().map(|file| (file.path.to_owned(), Bytes::new(file.content))).collect();
        if let Some(folder) = folder {
            read_folder(folder, "", &mut files)?;
            if folder.join(FONTS).is_dir() {
                read_folder(&folder.join(FONTS), FONTS, &mut files)?;
            }
        }

        let mut templates = Self {
            sources: BTreeMap::new(),
            assets: BTreeMap::new(),
            fonts: FontStore::new(),
            faces: 0,
            data_id: file_id(DATA),
        };
        for (path, content) in files {
            templates.add(path, content)?;
        }
        // Typst's own fonts come last: they fill in characters that the
        // template's font lacks.
        for font in embedded() {
            templates.fonts.push(font);
            templates.faces += 1;
        }
        Ok(templates)
    }

    /// The parsed source of a template or of a file it includes.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        self.sources.get(path)
    }

    /// The content of any file, as `read` and `image` see it.
    pub(crate) fn file(&self, path: &str) -> Option<Bytes> {
        self.assets
            .get(path)
            .cloned()
            .or_else(|| self.sources.get(path).map(|source| Bytes::from_string(source.text().to_owned())))
    }

    /// The fonts of the templates and of typst, in the order in which they are tried.
    pub(crate) fn all_fonts(&self) -> impl Iterator<Item = Font> {
        (0..self.faces).filter_map(|index| self.fonts.font(index))
    }

    /// The names of the templates, for error messages.
    pub(crate) fn names(&self) -> String {
        self.sources.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn add(&mut self, path: String, content: Bytes) -> Result<(), Error> {
        if is_font(&path) {
            let mut faces = Font::iter(content).peekable();
            if faces.peek().is_none() {
                return Err(Error::NotAFont { path });
            }
            for font in faces {
                let info = font.info().clone();
                self.fonts.push((font, info));
                self.faces += 1;
            }
        } else if path.ends_with(".typ") {
            let text = match content.as_str() {
                Ok(text) => text.to_owned(),
                Err(_) => return Err(Error::NotUtf8 { path }),
            };
            let source = Source::new(file_id(&path), text);
            let (errors, _) = source.root().errors_and_warnings();
            if let Some(error) = errors.into_iter().next() {
                return Err(diagnosis(&path, [error.into()], |_| Some(source.clone())));
            }
            self.sources.insert(path, source);
        } else {
            self.assets.insert(path, content);
        }
        Ok(())
    }
}

/// Reads the files directly in `folder`, under names that start with `prefix`.
///
/// Hidden files are left out: editors and mounted Kubernetes volumes keep their
/// own there.
fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Bytes>) -> Result<(), Error> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Folder { path, source }
    };
    for entry in fs::read_dir(folder).map_err(fail(folder))? {
        let entry = entry.map_err(fail(folder))?;
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Not `entry.file_type()`: a link to a file counts as a file.
        if name.starts_with('.') || !fs::metadata(&path).map_err(fail(&path))?.is_file() {
            continue;
        }
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        files.insert(name, Bytes::new(fs::read(&path).map_err(fail(&path))?));
    }
    Ok(())
}

/// Whether the path is a font by its place and extension (a licence may lie beside it).
fn is_font(path: &str) -> bool {
    path.starts_with("fonts/") && fallback::is_font(Path::new(path))
}

/// The id under which typst knows a file of the templates folder.
fn file_id(path: &str) -> FileId {
    // The names come from a directory listing or from this crate, one segment
    // each, so that they are valid; a name with a backslash is the exception,
    // and no template can refer to it.
    let path = VirtualPath::new(path).or_else(|_| VirtualPath::new("unreachable"));
    #[expect(clippy::expect_used, reason = "the fallback is one plain segment, which is always valid")]
    let path = path.expect("a plain segment is a valid path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}
