//! Half-written files of a local store.
//!
//! The store writes `name#1` (or another number) and renames the file when it is complete. A
//! process that dies in between leaves a file that no key leads to.

use std::{
    fs::{self, ReadDir},
    io,
    path::Path,
    time::SystemTime,
};

/// A walk through a store's folder, in parts.
pub(super) struct Walk {
    /// The folders that are being read, the outermost first.
    open: Vec<ReadDir>,
}

impl Walk {
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        Ok(Self { open: vec![fs::read_dir(root)?] })
    }

    /// Examines this many entries and removes half-written files that were last written before
    /// `limit`. Returns the rest of the walk, if any, and the number of removed files.
    pub(super) fn sweep(mut self, entries: usize, limit: SystemTime) -> io::Result<(Option<Self>, u64)> {
        let mut swept = 0;
        for _ in 0..entries {
            let Some(folder) = self.open.last_mut() else { return Ok((None, swept)) };
            let Some(entry) = folder.next() else {
                self.open.pop();
                continue;
            };
            let entry = entry?;
            // Files appear and disappear during the walk.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                self.open.extend(fs::read_dir(entry.path()));
            } else if found.is_file()
                && is_staging(&entry.file_name().to_string_lossy())
                && found.modified()? <= limit
                && fs::remove_file(entry.path()).is_ok()
            {
                tracing::info!(path = %entry.path().display(), "a half-written file was removed");
                swept += 1;
            }
        }
        Ok((Some(self), swept))
    }
}

/// The store's own rule: a key has no `#`, because it is written `%23`.
fn is_staging(name: &str) -> bool {
    name.split_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_in_parts_removes_old_half_written_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let kept = ["a.pdf", "b/a#.pdf", "b/c/a#x1", "b/c/a%231", "new#1"];
        let gone = ["a.pdf#1", "b/c/d/INV-1.pdf#23"];
        for name in kept.iter().chain(&gone) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "half").unwrap();
        }
        let limit = SystemTime::now() - std::time::Duration::from_secs(60);
        for name in gone.iter().chain(&kept[..4]) {
            let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_modified(limit - std::time::Duration::from_secs(1)).unwrap();
        }
        let (mut walk, mut swept, mut rounds) = (Some(Walk::of(dir.path()).unwrap()), 0, 0);
        while let Some(rest) = walk.take() {
            let (rest, found) = rest.sweep(2, limit).unwrap();
            (walk, swept, rounds) = (rest, swept + found, rounds + 1);
        }
        assert_eq!(swept, 2);
        assert!(rounds > 4, "{rounds}");
        assert!(gone.iter().all(|name| !dir.path().join(name).exists()));
        assert!(kept.iter().all(|name| dir.path().join(name).exists()));
    }
}
