//! How quick the disk is just now: what a durable message waits for at least.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::figures::percentile;

const WRITES: usize = 200;
/// Writes that follow at once would be joined by the disk.
const PAUSE: Duration = Duration::from_millis(2);

/// How long the disk takes to keep 600 bytes, ms: the median and 99 of 100.
pub async fn sync_ms(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let path = folder.join("disk.probe");
    let file = path.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        let mut took = Vec::with_capacity(WRITES);
        for _ in 0..WRITES {
            let since = Instant::now();
            file.write_all(&[b'x'; 600])?;
            file.sync_data()?;
            took.push(since.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(PAUSE);
        }
        std::io::Result::Ok(took)
    });
    let mut took = writing.await?.context("the temporary folder cannot be written to")?;
    std::fs::remove_file(path)?;
    Ok((percentile(&mut took, 0.5), percentile(&mut took, 0.99)))
}
