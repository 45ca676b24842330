//! What only a file system can do to a log.

use super::*;
use crate::storage::DiskVolume;

#[test]
fn a_directory_where_an_index_belongs_costs_nothing_but_the_index() {
    let root = tempfile::tempdir().unwrap();
    let storage = DiskVolume::new(root.path()).directory("log");
    let mut log = open(&storage, small());
    fill(&mut log, 60, 3);
    log.park(Offset::new(60)).unwrap();
    drop(log);
    let indexes: Vec<std::path::PathBuf> = std::fs::read_dir(root.path().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "index"))
        .collect();
    assert!(indexes.len() > 2, "sealed segments and the last one: {indexes:?}");
    for index in &indexes {
        std::fs::remove_file(index).unwrap();
        std::fs::create_dir_all(index.join("inside")).unwrap();
    }
    for _ in 0..2 {
        let mut log = open(&storage, small());
        assert_eq!(read(&log.view(), 0, 60, 10_000).len(), 60);
        log.park(Offset::new(60)).unwrap();
    }
    assert!(indexes.iter().all(|index| index.is_file()), "they are made anew");
    let report = CommitLog::open(storage, small()).unwrap().1;
    assert!(report.clean && report.rebuilt.is_empty(), "{report:?}");
}
