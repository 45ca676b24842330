//! Files that are written whole and checked whole. Owns their frame; never what is in one.
//!
//! ```text
//! +---------+---------+----------+------------+--------------+
//! | magic   | version | reserved | length     | CRC-32C      |  body: a message of `liftbridge.v1`
//! | 4 bytes | u8 = 1  | 3 zeros  | u64 LE     | u32 LE       |  `length` bytes
//! +---------+---------+----------+------------+--------------+
//! ```
//!
//! The checksum covers the length and the body. A file is written under another name, synced, renamed and its directory
//! synced, so under its own name it is complete or damaged, never half written.

use std::io::{self, IoSlice};

use liftbridge_commitlog::{LogError, Storage};
use thiserror::Error;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 20;

/// A framed file could not be read.
#[derive(Debug, Error)]
pub enum FramedReadError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The file is not what was written.
    #[error("`{file}` is damaged")]
    Damaged {
        /// Which file.
        file: String,
    },
    /// The file was written by a newer version of this software.
    #[error("`{file}` has format version {version}, this server reads up to {VERSION}: upgrade it before starting")]
    NewerFormat {
        /// Which file.
        file: String,
        /// Its version.
        version: u8,
    },
}

/// Reads the body of a file.
pub(crate) fn read_framed(storage: &dyn Storage, magic: [u8; 4], name: &str) -> Result<Vec<u8>, FramedReadError> {
    let file = storage.open(name).map_err(failed("open", name))?;
    let bytes = file.bytes().map_err(failed("read", name))?;
    let Ok(length) = usize::try_from(bytes) else { return Err(FramedReadError::Damaged { file: name.to_owned() }) };
    let mut contents = vec![0; length];
    let read = file.read_at(&mut contents, 0).map_err(failed("read", name))?;
    contents.truncate(read);
    unframe(contents, magic, name.to_owned())
}

/// Writes a file durably, by way of the name `unfinished`.
pub(crate) fn write_framed(
    storage: &dyn Storage,
    magic: [u8; 4],
    unfinished: &str,
    name: &str,
    body: &[u8],
) -> Result<(), LogError> {
    // What an earlier try left behind is in the way of creating the file anew.
    match storage.remove(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", unfinished)(error)),
        _ => {}
    }
    let file = storage.create(unfinished).map_err(failed("create", unfinished))?;
    let header = frame_header(magic, body);
    file.append(0, &mut [IoSlice::new(&header), IoSlice::new(body)]).map_err(failed("write", unfinished))?;
    file.sync().map_err(failed("sync", unfinished))?;
    storage.rename(unfinished, name).map_err(failed("rename", unfinished))?;
    storage.sync_directory().map_err(failed("sync the directory of", name))
}

/// Puts a storage's complaint into the words of a [`LogError`].
pub(crate) fn failed(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> LogError {
    let file = file.to_owned();
    move |source| LogError { operation, file, source }
}

fn frame_header(magic: [u8; 4], body: &[u8]) -> [u8; HEADER_BYTES] {
    let length = (body.len() as u64).to_le_bytes();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&magic);
    header[4] = VERSION;
    header[8..16].copy_from_slice(&length);
    header[16..].copy_from_slice(&checksum(&length, body).to_le_bytes());
    header
}

fn unframe(mut contents: Vec<u8>, magic: [u8; 4], file: String) -> Result<Vec<u8>, FramedReadError> {
    let Some((header, body)) = contents.split_first_chunk::<HEADER_BYTES>() else {
        return Err(FramedReadError::Damaged { file });
    };
    let [m0, m1, m2, m3, version, _, _, _, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *header;
    let length = [l0, l1, l2, l3, l4, l5, l6, l7];
    if [m0, m1, m2, m3] == magic && version > VERSION {
        return Err(FramedReadError::NewerFormat { file, version });
    }
    let whole = [m0, m1, m2, m3] == magic
        && version == VERSION
        && u64::from_le_bytes(length) == body.len() as u64
        && u32::from_le_bytes([c0, c1, c2, c3]) == checksum(&length, body);
    if !whole {
        return Err(FramedReadError::Damaged { file });
    }
    contents.drain(..HEADER_BYTES);
    Ok(contents)
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(length);
    digest.update(body);
    u32::try_from(digest.finalize()).expect("a 32-bit checksum fits 32 bits")
}
