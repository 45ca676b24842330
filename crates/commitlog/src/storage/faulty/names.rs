//! What one directory lists, twice: as the process sees it, and as the medium would have it after a power cut.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::faulty::content::Content;
use crate::storage::faulty::random::Random;

/// A file apart from its name. The number orders files when a crash decides over them.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u64,
    pub(super) content: Mutex<Content>,
}

/// Something done to a directory that no sync has covered yet.
#[derive(Clone, Debug)]
enum Change {
    Create { name: String, inode: Arc<Inode> },
    Rename { from: String, to: String, inode: Arc<Inode> },
    Remove { name: String, inode: Arc<Inode> },
}

/// A directory's entries and which of them would survive.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    current: BTreeMap<String, Arc<Inode>>,
    stable: BTreeMap<String, Arc<Inode>>,
    unsynced: Vec<Change>,
}

impl Names {
    pub(super) fn get(&self, name: &str) -> io::Result<&Arc<Inode>> {
        self.current.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Arc<Inode>)> {
        self.current.iter()
    }

    pub(super) fn create(&mut self, name: &str, inode: &Arc<Inode>) -> io::Result<()> {
        if self.current.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(Change::Create { name: name.to_owned(), inode: Arc::clone(inode) });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = Arc::clone(self.get(from)?);
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<Arc<Inode>> {
        let inode = Arc::clone(self.get(name)?);
        self.change(Change::Remove { name: name.to_owned(), inode: Arc::clone(&inode) });
        Ok(inode)
    }

    pub(super) fn sync(&mut self) {
        self.stable.clone_from(&self.current);
        self.unsynced.clear();
    }

    /// Any of the unsynced changes happened, whatever became of those before them. A rename happened whole or not at all.
    pub(super) fn crash(&mut self, random: &mut Random) {
        for change in std::mem::take(&mut self.unsynced) {
            if random.coin() {
                change.apply(&mut self.stable);
            }
        }
        self.current.clone_from(&self.stable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<String, Arc<Inode>>) {
        match self {
            Self::Create { name, inode } => {
                entries.insert(name.clone(), Arc::clone(inode));
            }
            Self::Rename { from, to, inode } => {
                remove_entry(entries, from, inode);
                entries.insert(to.clone(), Arc::clone(inode));
            }
            Self::Remove { name, inode } => remove_entry(entries, name, inode),
        }
    }
}

/// Removes the entry `name` unless, the change that made it so being lost, it names another file.
fn remove_entry(entries: &mut BTreeMap<String, Arc<Inode>>, name: &str, inode: &Arc<Inode>) {
    if entries.get(name).is_some_and(|named| Arc::ptr_eq(named, inode)) {
        entries.remove(name);
    }
}
