//! What one render can see: the shared library, fonts and templates, and its own data.

use std::sync::LazyLock;

use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, Source, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt as _, World};
use typst_kit::fonts::FontStore;

use crate::diagnosis::diagnosis;
use crate::error::Error;
use crate::templates::Templates;

/// The standard library is the same for every renderer of the process.
static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));

/// The closed world of one render.
pub(crate) struct RenderWorld<'a> {
    pub(crate) templates: &'a Templates,
    pub(crate) fonts: &'a FontStore,
    pub(crate) main: FileId,
    pub(crate) data: Bytes,
}

impl RenderWorld<'_> {
    /// Turns typst's diagnostics into an error that names the place.
    pub(crate) fn diagnosis(
        &self,
        template: &str,
        diagnostics: impl IntoIterator<Item = SourceDiagnostic>,
    ) -> Error {
        diagnosis(template, diagnostics, |id| self.source(id).ok())
    }
}

impl World for RenderWorld<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        self.fonts.book()
    }

    fn main(&self) -> FileId {
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        match id.root() {
            VirtualRoot::Project => {
                self.templates.source(id.vpath().get_without_slash()).cloned().ok_or_else(|| refusal(id))
            }
            VirtualRoot::Package(_) => Err(refusal(id)),
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.templates.data_id {
            return Ok(self.data.clone());
        }
        match id.root() {
            VirtualRoot::Project => {
                self.templates.file(id.vpath().get_without_slash()).ok_or_else(|| refusal(id))
            }
            VirtualRoot::Package(_) => Err(refusal(id)),
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.font(index)
    }

    /// There is no clock, because the same data must give the same document.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

/// Why a path is not served, in words that say what would be.
fn refusal(id: FileId) -> FileError {
    let message = match id.root() {
        VirtualRoot::Project => format!(
            "`{}` is not among the templates; a template can read `data.json` and the files that lie \
             directly in its folder",
            id.vpath().get_without_slash()
        ),
        VirtualRoot::Package(package) => {
            format!(
                "`{package}` is a package; packages are not available, copy the file into the templates folder"
            )
        }
    };
    FileError::Other(Some(message.into()))
}
