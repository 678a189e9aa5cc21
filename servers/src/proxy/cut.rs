//! Cutting a connection in the middle of a reply.

use std::fmt;

/// From what was asked and a piece of the reply: after how many bytes of that the
/// connection is cut.
type Decide = dyn FnMut(&[u8], &[u8]) -> Option<usize> + Send;

/// Decides which replies are cut.
pub(super) struct Rule(Box<Decide>);

impl Rule {
    pub(super) fn new(rule: impl FnMut(&[u8], &[u8]) -> Option<usize> + Send + 'static) -> Self {
        Self(Box::new(rule))
    }

    pub(super) fn cut_of(&mut self, request: &[u8], reply: &[u8]) -> Option<usize> {
        (self.0)(request, reply)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}
