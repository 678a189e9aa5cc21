//! Renders PDF documents from typst templates and JSON data.
//!
//! A template is a text file that a person edits without a compiler. It finds
//! its data in the virtual file `data.json`:
//!
//! ```typst
//! #let data = json("data.json")
//! Dear #data.customer.name,
//! ```
//!
//! What a template may read is `data.json` and the files of the templates
//! folder, which are held in memory from the start: there is no way from a
//! template to the file system, to a package or to the network.
//!
//! The same template and data give the same bytes, so that a document rendered
//! twice has one SHA-256 and a retry can compare instead of guess. That is why
//! a template has no clock either: `datetime.today()` is an error.
//!
//! A character that no font has is never drawn as a black box: the document is refused, and the
//! error names the character and the field where it stands.
//!
//! This crate is on its own because building typst takes long and this code
//! rarely changes.

mod builtin;
mod diagnosis;
mod error;
mod fallback;
mod glyphs;
#[cfg(test)]
mod pages;
mod renderer;
mod standards;
mod templates;
mod world;

pub use builtin::Builtin;
pub use error::{Error, Missing};
pub use renderer::{MAX_DATA, Renderer};
