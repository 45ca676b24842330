//! The device under everything: one write and one fdatasync per message, as a program without batching would do it. Owns the
//! baseline for durable publishing.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the loop measured.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSpeed {
    /// Messages made durable, per second.
    pub messages_per_second: f64,
    /// Median time of one write and fdatasync.
    pub sync_p50: Duration,
}

/// Writes and syncs `count` messages of `bytes` each, appended to a new file in `directory`.
///
/// # Panics
/// When the file system refuses.
pub fn write_and_sync(directory: &Path, count: usize, bytes: usize) -> DeviceSpeed {
    let path = directory.join("device");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("a file can be made");
    let message = vec![0x5a; bytes];
    let mut times = Vec::with_capacity(count);
    let started = Instant::now();
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all(&message).expect("the file can be written");
        file.sync_data().expect("the file can be synced");
        times.push(begun.elapsed());
    }
    let messages_per_second = count as f64 / started.elapsed().as_secs_f64();
    times.sort();
    std::fs::remove_file(&path).expect("the file can be removed");
    DeviceSpeed { messages_per_second, sync_p50: times[times.len() / 2] }
}
