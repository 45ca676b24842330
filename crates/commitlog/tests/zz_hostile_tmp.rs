//! Temporary reviewer's tests. Never committed.
#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::indexing_slicing)]
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use liftbridge_commitlog::*;
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

fn small() -> LogOptions {
    LogOptions { segment_bytes_max: 600, index_interval_bytes: 150, tail_bytes_max: 0, ..LogOptions::default() }
}
fn app(log: &mut CommitLog, epoch: u64, values: &[&str]) {
    let mut b = BatchBuilder::new();
    for v in values { b.push(None, v.as_bytes(), &[]).unwrap(); }
    log.append(&mut b, LeaderEpoch::new(epoch), Timestamp::from_nanos(1)).unwrap();
}
fn open(v: &dyn Volume, o: LogOptions) -> (CommitLog, RecoveryReport) { CommitLog::open(v.directory("log"), o).unwrap() }
fn names(v: &dyn Volume) -> Vec<String> {
    let mut n: Vec<_> = v.directory("log").list().unwrap().into_iter().map(|e| e.name).collect(); n.sort(); n
}

#[test]
fn t1_full_disk_retention() {
    let v = FaultyVolume::new(1);
    let mut o = small(); o.retention.bytes = Some(1000);
    let (mut log, _) = open(&v, o);
    for i in 0..60 { app(&mut log, 1, &[&format!("value {i}")]); }
    log.sync().unwrap();
    v.limit_free_bytes(Some(0));
    let end = log.log_end();
    for _ in 0..3 { println!("clean on a full disk: {:?}, freed {:?}", log.clean(Timestamp::from_nanos(99), end), log.remove_released()); }
    println!("free {:?} log_start {}", v.free_bytes(), log.log_start());
    v.limit_free_bytes(None);
    println!("clean later: {:?} removed {:?}", log.clean(Timestamp::from_nanos(99), end), log.remove_released());
    let start = log.log_start();
    let leaked: Vec<_> = names(&v).into_iter().filter(|n| n.ends_with(".log") && n[..20].parse::<u64>().unwrap() < start.get()).collect();
    drop(log);
    let (log, _) = open(&v, o);
    println!("log start before restart {start}, after {}", log.log_start());
    assert!(leaked.is_empty(), "leaked {leaked:?}");
}

#[test]
fn t2_reader_across_straddling_truncate() {
    let v = MemoryVolume::new();
    let (mut log, _) = CommitLog::open(v.directory("log"), LogOptions { tail_bytes_max: 0, ..LogOptions::default() }).unwrap();
    app(&mut log, 1, &["first"]);
    app(&mut log, 1, &["old1","old2","old3","old4","old5","old6","old7","old8","old9","old10"]);
    let mut r = log.view().reader(Offset::ZERO);
    r.read(Offset::new(1), 1).unwrap();
    log.truncate(Offset::new(5)).unwrap();
    app(&mut log, 2, &["new5","new6","new7","new8","new9","new10","new11"]);
    let got: Vec<(u64,String)> = match r.read(log.log_end(), 1<<20) {
        Ok(b) => b.iter().flat_map(|b| b.records()).map(|r| { let r = r.unwrap(); (r.offset.get(), String::from_utf8_lossy(&r.value).into_owned()) }).collect(),
        Err(e) => panic!("{e}"),
    };
    println!("{got:?}");
    assert!(!got.iter().any(|(o, v)| *o >= 5 && v.starts_with("old")));
}

#[test]
fn t3_finish_sync_after_truncate() {
    let v = MemoryVolume::new();
    let (mut log, _) = CommitLog::open(v.directory("log"), LogOptions::default()).unwrap();
    app(&mut log, 1, &["a";10]);
    let p = log.prepare_sync().unwrap().unwrap();
    log.truncate(Offset::new(5)).unwrap();
    let out = p.run();
    log.finish_sync(&p, out).unwrap();
    println!("durable {} end {}", log.durable_end(), log.log_end());
    app(&mut log, 2, &["b"]);
    println!("due: {:?}", log.prepare_sync().unwrap().is_some());
    assert!(log.durable_end() <= Offset::new(5), "durable end {} beyond what was synced", log.durable_end());
}

#[test]
fn t4_epochs_after_crash() {
    let mut bad = Vec::new();
    for seed in 0..200 {
        let v = FaultyVolume::new(seed);
        let (mut log, _) = open(&v, LogOptions::default());
        app(&mut log, 1, &["a","b"]);
        log.park(Offset::new(2)).unwrap();
        app(&mut log, 2, &["c"]);
        log.checkpoint(Offset::new(3)).unwrap();
        drop(log);
        v.crash();
        let (log, rep) = open(&v, LogOptions::default());
        assert_eq!(log.log_end(), Offset::new(3));
        if log.leader_epochs().len() != 2 { bad.push((seed, log.leader_epochs(), rep.clean)); }
    }
    assert!(bad.is_empty(), "{} of 200 seeds lost epoch 2: {:?}", bad.len(), bad[0]);
}

#[test]
fn t5_garbled_index_body() {
    let v = FaultyVolume::new(1);
    let mut o = small(); o.segment_bytes_max = 20_000;
    let (mut log, _) = open(&v, o);
    for i in 0..500 { app(&mut log, 1, &[&format!("value {i}")]); }
    log.park(log.log_end()).unwrap();
    drop(log);
    v.flip_bit("log/00000000000000000000.index", 70, 0).unwrap();
    let (log, rep) = open(&v, o);
    let second: u64 = names(&v).iter().filter(|n| n.ends_with(".log")).nth(1).unwrap()[..20].parse().unwrap();
    let mut r = log.view().reverse_reader(Offset::new(second));
    let got = r.read(100).unwrap();
    println!("rebuilt {:?}; one reverse read of ~100 bytes gave {} bytes", rep.rebuilt, got.iter().map(|b| b.bytes().len()).sum::<usize>());
    assert!(rep.rebuilt.iter().any(|n| n.ends_with(".index")), "S2 is not applied");
}

#[test]
fn t6_first_segment_gone() {
    let v = FaultyVolume::new(1);
    let (mut log, _) = open(&v, small());
    for i in 0..60 { app(&mut log, 1, &[&format!("value {i}")]); }
    log.park(log.log_end()).unwrap();
    drop(log);
    v.directory("log").remove("00000000000000000000.log").unwrap();
    let (log, rep) = open(&v, small());
    println!("log start {} damaged {:?}; read from 0: {:?}", log.log_start(), rep.damaged, log.view().reader(Offset::ZERO).read(log.log_end(), 1).map(|b| b[0].header().base_offset));
    assert!(!rep.damaged.is_empty());
}

#[derive(Debug)] struct CS(Arc<dyn Storage>, Arc<AtomicU64>);
#[derive(Debug)] struct CF(Arc<dyn StorageFile>, Arc<AtomicU64>);
impl Storage for CS {
    fn create(&self, n: &str) -> io::Result<Arc<dyn StorageFile>> { Ok(Arc::new(CF(self.0.create(n)?, self.1.clone()))) }
    fn open(&self, n: &str) -> io::Result<Arc<dyn StorageFile>> { Ok(Arc::new(CF(self.0.open(n)?, self.1.clone()))) }
    fn list(&self) -> io::Result<Vec<FileEntry>> { self.0.list() }
    fn rename(&self, a: &str, b: &str) -> io::Result<()> { self.0.rename(a, b) }
    fn remove(&self, a: &str) -> io::Result<()> { self.0.remove(a) }
    fn sync_directory(&self) -> io::Result<()> { self.0.sync_directory() }
}
impl StorageFile for CF {
    fn append(&self, p: u64, b: &mut [IoSlice<'_>]) -> io::Result<()> { self.0.append(p, b) }
    fn read_at(&self, b: &mut [u8], p: u64) -> io::Result<usize> { let n = self.0.read_at(b, p)?; self.1.fetch_add(n as u64, Ordering::Relaxed); Ok(n) }
    fn sync(&self) -> io::Result<()> { self.0.sync() }
    fn truncate(&self, n: u64) -> io::Result<()> { self.0.truncate(n) }
    fn drop_cache(&self) -> io::Result<()> { self.0.drop_cache() }
    fn bytes(&self) -> io::Result<u64> { self.0.bytes() }
}

#[test]
fn t7_magic_bomb() {
    let v = FaultyVolume::new(1);
    let count = Arc::new(AtomicU64::new(0));
    let s: Arc<dyn Storage> = Arc::new(CS(v.directory("log"), count.clone()));
    let (mut log, _) = CommitLog::open(s, LogOptions { tail_bytes_max: 0, ..LogOptions::default() }).unwrap();
    let bomb = "LBB\u{1}".repeat(64 * 1024);
    app(&mut log, 1, &[&bomb]);
    app(&mut log, 1, &["after"]);
    v.flip_bit("log/00000000000000000000.log", 9, 0).unwrap();
    count.store(0, Ordering::Relaxed);
    let t = std::time::Instant::now();
    let r = log.view().reader(Offset::ZERO).read(log.log_end(), 64 * 1024);
    let read = count.load(Ordering::Relaxed);
    println!("256 KiB damaged batch, 64 KiB window: {} bytes read from the file in {:?} ({:?})", read, t.elapsed(), r.map(|_| ()).map_err(|e| e.to_string()));
    assert!(read < 10 << 20, "{read} bytes read for a file of 256 KiB");
}

#[test]
fn t8_failed_park_stops_the_index() {
    for after in 0..30 {
        let v = FaultyVolume::new(1);
        let mut o = small(); o.segment_bytes_max = 1 << 30;
        let (mut log, _) = open(&v, o);
        for i in 0..50 { app(&mut log, 1, &[&format!("value {i}")]); }
        log.sync().unwrap();
        v.fail_operation(after, io::ErrorKind::StorageFull);
        let parked = log.park(log.log_end());
        if parked.is_ok() { continue; }
        let size = |v: &FaultyVolume| v.directory("log").list().unwrap().into_iter().find(|e| e.name.ends_with(".index")).map(|e| e.bytes);
        let before = size(&v);
        let mut b = BatchBuilder::new(); b.push(None, b"x", &[]).unwrap();
        if log.append(&mut b, LeaderEpoch::new(1), Timestamp::from_nanos(1)).is_err() { continue; }
        for i in 0..500 { app(&mut log, 1, &[&format!("value {i}")]); }
        log.checkpoint(log.log_end()).unwrap();
        println!("op {after}: park {:?}; index file {:?} -> {:?} after 500 more batches and a checkpoint", parked.err().map(|e| e.to_string()), before, size(&v));
        assert!(size(&v) > before, "the index stopped growing");
    }
}
