//! The templates and fonts that are part of the binary.

/// One file of the built-in templates folder.
pub(crate) struct Builtin {
    /// The path within the templates folder.
    pub(crate) path: &'static str,
    pub(crate) content: &'static [u8],
}

/// Every built-in file. A file of the same path in the user's folder replaces it.
pub(crate) const FILES: &[Builtin] = &[
    Builtin { path: "invoice.typ", content: include_bytes!("../../templates/invoice.typ") },
    Builtin {
        path: "fonts/Inter-Regular.otf",
        content: include_bytes!("../../templates/fonts/Inter-Regular.otf"),
    },
    Builtin {
        path: "fonts/Inter-SemiBold.otf",
        content: include_bytes!("../../templates/fonts/Inter-SemiBold.otf"),
    },
];
