//! A disk without space: publishes are refused saying so, reads go on, and writing resumes when there is space again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use liftbridge_tests::api::wire::publish_async_error::Code as Refusal;
use liftbridge_tests::api::{Pipeline, connect, create, publish, read_committed};
use liftbridge_tests::server::{PATIENCE, Server};
use tempfile::TempDir;
use tonic::{Code, Request};

/// A small file system in memory, gone when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one; `None` where this process may not.
    fn mount(path: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(path).expect("a folder can be made");
        let options = format!("size={bytes}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        status.is_ok_and(|output| output.status.success()).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since the server's end may still be under way when a test fails.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 24 * 1024 * 1024) else {
        eprintln!("NOT RUN: mounting a small file system needs root, so nothing was shown about full disks.");
        return;
    };
    let server = Server::start(&disk.path.join("data")).await;
    let mut client = connect(&server).await;
    create(&mut client, "filling", 1).await;
    let mut pipeline = Pipeline::open(&mut client).await;
    let ballast = disk.path.join("ballast");
    let value = "x".repeat(100_000);
    for offset in 0..10 {
        assert_eq!(pipeline.publish(publish("filling", 0, &value)).await.expect("there is space").offset, offset);
    }
    fill(&ballast);

    let mut stored = 10;
    let refusal = loop {
        match pipeline.publish(publish("filling", 0, &value)).await {
            Ok(ack) => stored = ack.offset + 1,
            Err(refusal) => break refusal,
        }
    };
    assert_ne!(refusal.code(), Refusal::BadRequest, "it is not the publisher's fault: {refusal:?}");
    assert!(refusal.message.contains("disk is full"), "{refusal:?}");
    let mut unary = Request::new(publish("filling", 0, &value));
    unary.set_timeout(PATIENCE);
    let status = client.publish(unary).await.expect_err("there is no space");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("disk is full"), "{status}");

    let readable = read_committed(&mut client, "filling", 0).await;
    assert_eq!(i64::try_from(readable.len()).unwrap(), stored, "reads go on");

    fs::remove_file(&ballast).unwrap();
    let ack = pipeline.publish(publish("filling", 0, &value)).await.expect("writing resumes");
    assert_eq!(ack.offset, stored, "no offset was used up");
    server.kill().await;
    let server = Server::start(&disk.path.join("data")).await;
    let mut client = connect(&server).await;
    let kept = read_committed(&mut client, "filling", 0).await;
    assert_eq!(i64::try_from(kept.len()).unwrap(), stored + 1);
}

/// Takes all the space there is.
fn fill(file: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(file).expect("a file can be made");
    let block = [0; 4096];
    while file.write_all(&block).is_ok() {}
}
