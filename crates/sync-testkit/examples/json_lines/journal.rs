//! The file: a line for each unit that was committed, in their order.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::de::IgnoredAny;
use sync_core::port::{StoreError, TxResult};

use crate::edit::Line;
use crate::state::State;

/// The journal in its folder.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// The one that will take its place.
const NEXT: &str = "journal.jsonl.next";

pub(crate) struct Journal {
    file: File,
    /// The folder, locked for as long as it is open: what another process committed would be unknown to this one.
    _folder: File,
    /// A line could not be written. What there is of it nobody knows, so nothing may follow.
    broken: bool,
}

impl Journal {
    /// Opens the journal of a folder, makes it as short as it can be, and says what is stored.
    pub(crate) fn open(path: &Path) -> TxResult<(Self, State)> {
        let opening = |error| failed("open the folder", error);
        fs::create_dir_all(path).map_err(opening)?;
        let folder = File::open(path).map_err(opening)?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("lock the folder, which another process may have open", error.into()))?;

        let state = replay(&path.join(JOURNAL))?;
        let file = rewrite(path, &folder, &state).map_err(|error| failed("write the journal anew", error))?;
        Ok((Self { file, _folder: folder, broken: false }, state))
    }

    /// Writes the line of a unit. When this returns, the unit is committed, and outlives a power cut.
    pub(crate) fn append(&mut self, line: Line) -> TxResult<()> {
        if self.broken {
            let message = "the journal could not be written before: open the folder again".to_owned();
            return Err(StoreError::Failed { message, source: None });
        }
        let written = self.file.write_all(&line.into_bytes()).and_then(|()| self.file.sync_data());
        self.broken = written.is_err();
        written.map_err(|error| failed("write the journal", error))
    }

    /// Writes to another file from now on.
    #[cfg(test)]
    pub(crate) fn write_to(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

/// What the lines lead to, one after the other.
pub(crate) fn replay(path: &Path) -> TxResult<State> {
    let reading = |error| failed("read the journal", error);
    let mut state = State::default();
    let mut journal = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
        Err(error) => return Err(reading(error)),
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if journal.read_until(b'\n', &mut line).map_err(reading)? == 0 {
            break;
        }
        // Nobody was told that a unit is committed before its line was whole.
        if !is_whole(&line) && journal.fill_buf().map_err(reading)?.is_empty() {
            break;
        }
        let corrupt = |error| StoreError::Corrupt { table: JOURNAL, message: format!("line {number}: {error}") };
        Line::read(&line).map_err(corrupt)?.into_iter().for_each(|edit| state.apply(edit));
    }
    Ok(state)
}

/// Whether it is JSON and ends as a line does. A line of which the disk holds some parts only is never that: an array
/// that is cut off is no JSON, and neither is one with a hole of zeros in it.
fn is_whole(line: &[u8]) -> bool {
    line.ends_with(b"\n") && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Writes a journal that leads to this state, and puts it in the place of the old one, which is there until then.
fn rewrite(path: &Path, folder: &File, state: &State) -> io::Result<File> {
    let next = path.join(NEXT);
    let mut writer = BufWriter::new(File::create(&next)?);
    for edit in state.edits() {
        let mut line = Line::default();
        line.add(&edit)?;
        writer.write_all(&line.into_bytes())?;
    }
    let file = writer.into_inner()?;
    file.sync_all()?;
    fs::rename(next, path.join(JOURNAL))?;
    // The name, too, is on the disk only then.
    folder.sync_all()?;
    Ok(file)
}

pub(crate) fn failed(tried: &str, error: io::Error) -> StoreError {
    StoreError::Failed { message: tried.to_owned(), source: Some(Box::new(error)) }
}
