//! Secrets in files, as Docker and Kubernetes provide them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The largest file that is read. A larger file is not a secret.
const MOST_BYTES: u64 = 64 << 10;

/// Why the file of a secret cannot be used. Its text names the file and never the content.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("the file `{}` cannot be read ({source}): name a file that this process may read", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a pipe or a device, which cannot be read again.
    #[error("`{}` is not a regular file: name the file that holds the value alone", .0.display())]
    NotAFile(PathBuf),
    /// The file is larger than any secret.
    #[error("the file `{}` has more than {MOST_BYTES} bytes: name the file that holds the value alone", .0.display())]
    TooLarge(PathBuf),
    /// The file holds blanks at most.
    #[error("the file `{}` is empty: write the value into it", .0.display())]
    Empty(PathBuf),
    /// The file holds something other than one line of text.
    #[error("the file `{}` is not one line of UTF-8 text: write the value alone into it", .0.display())]
    NotText(PathBuf),
}

/// The content of a file without the white space around it. Follows symbolic links each time,
/// because Kubernetes replaces a secret by changing a link.
///
/// # Errors
/// Why the file cannot be used.
pub fn read(path: &Path) -> Result<String, FileError> {
    let path = || path.to_owned();
    let unreadable = |source| FileError::Unreadable { path: path(), source };
    let about = fs::metadata(path()).map_err(unreadable)?;
    if !about.is_file() {
        return Err(FileError::NotAFile(path()));
    }
    if about.len() > MOST_BYTES {
        return Err(FileError::TooLarge(path()));
    }
    let bytes = fs::read(path()).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NotText(path()))?.trim();
    match text {
        "" => Err(FileError::Empty(path())),
        text if text.contains(char::is_control) => Err(FileError::NotText(path())),
        text => Ok(text.to_owned()),
    }
}

/// Whether every user of the machine may read the file.
pub fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether a text is clearly a path. Any other text may be the secret itself, written where the
/// name of its file belongs, and is not shown.
pub fn is_path(text: &str) -> bool {
    text.starts_with(['/', '.']) && !text.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_read_without_white_space_and_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        fs::write(&first, "  amqp://u:one@h/v \r\n").unwrap();
        fs::write(&second, "amqp://u:two@h/v").unwrap();
        let link = folder.path().join("url");
        std::os::unix::fs::symlink(&first, &link).unwrap();
        assert_eq!(read(&link).unwrap(), "amqp://u:one@h/v");
        // Kubernetes renames a new link over the old one.
        let newer = folder.path().join("newer");
        std::os::unix::fs::symlink(&second, &newer).unwrap();
        fs::rename(&newer, &link).unwrap();
        assert_eq!(read(&link).unwrap(), "amqp://u:two@h/v");
    }

    #[test]
    fn an_unusable_file_is_named_and_its_content_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let large = format!("s3cr3t{}", " ".repeat(MOST_BYTES as usize));
        for (content, word) in [
            (&b""[..], "is empty"),
            (b" \n\t\n", "is empty"),
            (b"s3cr3t\ns3cr3t", "one line"),
            (b"s3cr3t\xff", "UTF-8"),
            (large.as_bytes(), "more than"),
        ] {
            fs::write(&file, content).unwrap();
            let said = read(&file).unwrap_err().to_string();
            assert!(said.contains(word) && said.contains("/url`") && !said.contains("s3cr3t"), "{said}");
        }
        let said = read(folder.path()).unwrap_err().to_string();
        assert!(said.contains("not a regular file"), "{said}");
        let said = read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(said.contains("/none`") && said.contains("cannot be read"), "{said}");
    }

    #[test]
    fn a_file_that_others_may_read_is_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_others(file.path()), open, "{mode:o}");
        }
    }

    #[test]
    fn a_secret_in_place_of_a_path_is_not_taken_for_one() {
        assert!(is_path("/run/secrets/redis-url") && is_path("./url"));
        assert!(!is_path("redis://:pw@h") && !is_path("s3cr3t") && !is_path("/u:pw@h"));
    }
}
