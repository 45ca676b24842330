//! Conventions as a program: what a reviewer should never have to say. Owns which files are looked at and how findings
//! are told; each rule is in `rules`, sizes and their exceptions in `ratchet`.

mod functions;
mod mask;
mod ratchet;
mod rules;
mod source;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::workspace::{Failure, root};
use ratchet::Ratchet;
use source::Source;

/// Folders with code of ours.
const FOLDERS: &[&str] = &["crates", "proto", "bins", "tests", "benches", "xtask", "fuzz"];
/// The exceptions from the size limits; they may only shrink.
const RATCHET: &str = "xtask/tidy-ratchet.txt";

/// Looks at every file and reports all findings at once.
pub(crate) fn run() -> Result<(), Failure> {
    let root = root();
    let failed = |error: io::Error| Failure(format!("tidy cannot read the workspace: {error}"));
    let ratchet_text = fs::read_to_string(root.join(RATCHET)).map_err(failed)?;
    let mut ratchet =
        Ratchet::parse(&ratchet_text).map_err(|line| Failure(format!("{RATCHET}: cannot read `{line}`")))?;
    let mut findings = Vec::new();
    for path in source_files(&root).map_err(failed)? {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(failed)?;
        if path.extension().is_some_and(|extension| extension == "md") {
            findings.extend(rules::check_document(&name, &text));
            continue;
        }
        let source = Source::new(&name, text);
        findings.extend(rules::check_source(&source));
        findings.extend(ratchet.check(&source));
    }
    findings.extend(ratchet.unused());
    if findings.is_empty() { Ok(()) } else { Err(Failure(format!("tidy\n  {}", findings.join("\n  ")))) }
}

/// Rust sources and documents, in a stable order.
fn source_files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        FOLDERS.iter().map(|folder| root.join(folder)).filter(|path| path.is_dir()).collect();
    folders.push(root.join("docs"));
    files.extend(["README.md", "ARCHITECTURE.md"].map(|name| root.join(name)));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_build_output = path.file_name().is_some_and(|name| name == "target");
            if path.is_dir() && !is_build_output {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
