//! Why a document could not be rendered, worded for the person who edits templates.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Characters that an error names.
const NAMED: usize = 8;

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

    /// The data is larger than what one document may be made of.
    #[error(
        "the data for template `{template}` has {bytes} bytes, and a document is made of {limit} at most: \
         split it into several documents"
    )]
    TooLarge {
        /// The template asked for.
        template: String,
        /// How large the data is, as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    },

    /// No font has some of the characters.
    #[error(
        "template `{template}`: no font has {}; searched: the fonts of the templates{}. \
         Install a font that has them (Debian: fonts-noto-core, fonts-noto-cjk, fonts-noto-color-emoji) in a \
         folder of `templates.fonts`, or put it into the folder fonts/ of `templates.dir`, and restart",
        list(missing),
        folders.iter().map(|folder| format!(", {}", folder.display())).collect::<String>()
    )]
    MissingGlyphs {
        /// The template asked for.
        template: String,
        /// The characters.
        missing: Vec<Missing>,
        /// Where fonts were searched besides.
        folders: Vec<PathBuf>,
    },
}

/// A character that no font has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The character.
    pub char: char,
    /// Where it stands in the data: JSON pointers, the first few. Empty where it comes from the
    /// template.
    pub places: Vec<String>,
}

/// `U+674E (/customer/name)`. The number and not the character: where the error is shown may lack
/// a font for it as well.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.places.is_empty() { "the template".to_owned() } else { self.places.join(", ") };
        write!(f, "U+{:04X} ({places})", u32::from(self.char))
    }
}

fn list(missing: &[Missing]) -> String {
    let named: Vec<String> = missing.iter().take(NAMED).map(ToString::to_string).collect();
    match missing.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
