//! Templates and fonts that are part of a program.

/// One file of the templates that a program brings.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The path within the templates folder: `invoice.typ`, `fonts/Inter-Regular.otf`.
    pub path: &'static str,
    /// Its content.
    pub content: &'static [u8],
}

/// Those of the shipped handlers, for tests.
#[cfg(test)]
pub(crate) const SHIPPED: &[Builtin] = &[
    Builtin { path: "invoice.typ", content: include_bytes!("../../handlers/templates/invoice.typ") },
    Builtin {
        path: "fonts/Inter-Regular.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-Regular.otf"),
    },
    Builtin {
        path: "fonts/Inter-SemiBold.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-SemiBold.otf"),
    },
];
