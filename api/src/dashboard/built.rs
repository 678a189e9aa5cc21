//! The built files, as they are committed in `dashboard/dist/`.

/// A file of the dashboard.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub plain: &'static [u8],
    /// The same, compressed with Brotli.
    pub brotli: &'static [u8],
}

macro_rules! file {
    ($name:literal, $media:literal) => {
        File {
            name: $name,
            media: $media,
            plain: include_bytes!(concat!("../../../dashboard/dist/", $name)),
            brotli: include_bytes!(concat!("../../../dashboard/dist/", $name, ".br")),
        }
    };
}

/// The page.
pub static PAGE: File = file!("index.html", "text/html; charset=utf-8");

/// All files, the page included.
pub static FILES: [File; 6] = [
    file!("index.html", "text/html; charset=utf-8"),
    file!("app.js", "text/javascript; charset=utf-8"),
    file!("app.css", "text/css; charset=utf-8"),
    file!("progress.js", "text/javascript; charset=utf-8"),
    file!("theme.js", "text/javascript; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
];
