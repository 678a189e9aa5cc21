//! Finds a server's program on this machine, or says exactly how to install it.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;

/// A program that a server needs, and what installs it where.
pub(crate) struct Program {
    /// The server, as people call it.
    pub name: &'static str,
    /// Absolute paths that are right where they exist; looked at first.
    pub places: &'static [&'static str],
    /// The file's name in the folders of `PATH`.
    pub file: &'static str,
    /// The package on Debian and Ubuntu.
    pub debian: &'static str,
    /// The package on Fedora.
    pub fedora: &'static str,
    /// The command on macOS.
    pub macos: &'static str,
}

impl Program {
    /// The program's path: `given` where the caller chose one, else the first
    /// of the known places and the folders of `PATH` that has it.
    pub(crate) fn find(&self, given: Option<&Path>) -> Result<PathBuf, Error> {
        let candidates = match given {
            Some(path) => vec![path.to_owned()],
            None => self.candidates(),
        };
        candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| self.missing(&candidates))
    }

    /// Every path that may hold the program, best first.
    pub(crate) fn candidates(&self) -> Vec<PathBuf> {
        // Debian puts servers into sbin, which is not in every user's PATH.
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(
            ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin", "/opt/homebrew/sbin"]
                .map(PathBuf::from),
        );
        let mut all: Vec<PathBuf> = self.places.iter().map(PathBuf::from).collect();
        for folder in folders {
            let candidate = folder.join(self.file);
            if folder.is_absolute() && !all.contains(&candidate) {
                all.push(candidate);
            }
        }
        all
    }

    /// The error that names what was looked for and what to install.
    pub(crate) fn missing(&self, tried: &[PathBuf]) -> Error {
        let looked_for = tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Error::Missing { program: self.name, looked_for, remedy: self.remedy() }
    }

    fn remedy(&self) -> String {
        let Self { name, debian, fedora, macos, .. } = self;
        format!(
            "To install {name}:\n  Debian, Ubuntu: sudo apt-get install {debian}\n  \
             Fedora:         sudo dnf install {fedora}\n  macOS:          {macos}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Program = Program {
        name: "Nothing",
        places: &["/nonexistent/nothing"],
        file: "no-such-program-anywhere",
        debian: "nothing-server",
        fedora: "nothing",
        macos: "brew install nothing",
    };

    #[test]
    fn a_missing_program_names_the_places_and_every_system() {
        let text = NOWHERE.find(None).unwrap_err().to_string();
        for part in ["Nothing is not installed", "/nonexistent/nothing", "/usr/sbin/no-such-program-anywhere"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        for part in ["apt-get install nothing-server", "dnf install nothing", "brew install nothing"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_given_path_is_the_only_one_tried() {
        let sh = Path::new("/bin/sh");
        assert_eq!(NOWHERE.find(Some(sh)).unwrap(), sh);
        let text = NOWHERE.find(Some(Path::new("/nonexistent/mine"))).unwrap_err().to_string();
        assert!(text.contains("(looked for /nonexistent/mine)"), "{text}");
    }
}
