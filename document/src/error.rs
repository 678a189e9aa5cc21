//! Why a document could not be rendered, worded for the person who edits templates.

use std::io;
use std::path::PathBuf;

/// Why templates could not be loaded or a document could not be rendered.
///
/// None of these goes away by trying again: the template, the folder or the
/// data must change first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No template has this name.
    #[error("there is no template `{name}`; the templates are {known}")]
    UnknownTemplate {
        /// The name asked for.
        name: String,
        /// The names there are, comma separated.
        known: String,
    },

    /// The templates folder, or a file in it, cannot be read.
    #[error("cannot read `{path}` of the templates folder")]
    Folder {
        /// The folder or the file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A template file is not text.
    #[error("the template `{path}` is not valid UTF-8; save it as UTF-8 text")]
    NotUtf8 {
        /// The file.
        path: String,
    },

    /// A file in `fonts/` is not a font.
    #[error("`{path}` is not a font that can be used; give a TrueType or OpenType file, or remove it")]
    NotAFont {
        /// The file.
        path: String,
    },

    /// The template cannot be compiled, or failed with this data.
    #[error("template `{template}`, line {line}, column {column}: {message}")]
    Template {
        /// The file with the mistake: the template itself or a file it includes.
        template: String,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What is wrong, with hints.
        message: String,
    },

    /// The template failed at no particular place.
    #[error("template `{template}`: {message}")]
    Document {
        /// The template asked for.
        template: String,
        /// What is wrong, with hints.
        message: String,
    },
}
