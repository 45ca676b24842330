//! `log dump`: the batches and records of a log, as they are stored.

use liftbridge_commitlog::scan::{ScanItem, scan_file};
use liftbridge_commitlog::{Batch, BatchHeader};
use serde::Serialize;

use crate::commands::log::{DirectoryArgument, open};
use crate::failure::Failure;
use crate::message_view::MessageView;
use crate::output::{Format, Output};
use crate::values;

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArguments {
    #[command(flatten)]
    directory: DirectoryArgument,
    /// Print batches only, not their records.
    #[arg(long)]
    batches: bool,
    /// Begin with the batch that holds this offset.
    #[arg(long, default_value_t = 0, value_name = "OFFSET")]
    from_offset: u64,
}

/// One line of JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LineView<'a> {
    Batch(BatchView<'a>),
    Record(MessageView<'a>),
    Damage(DamageView<'a>),
}

#[derive(Debug, Serialize)]
struct BatchView<'a> {
    file: &'a str,
    file_position: u64,
    bytes: u32,
    base_offset: u64,
    last_offset: u64,
    records: u32,
    leader_epoch: u64,
    append_time: String,
    /// What was on stable storage and what was committed then, where the batch says so.
    stable_end: Option<u64>,
    high_watermark: Option<u64>,
}

#[derive(Debug, Serialize)]
struct DamageView<'a> {
    file: &'a str,
    file_position: u64,
    bytes: u64,
    first_offset: u64,
    next_good_offset: Option<u64>,
    reason: String,
}

pub(super) fn run(arguments: &DumpArguments, output: &mut Output) -> Result<(), Failure> {
    let (storage, files) = open(&arguments.directory.directory)?;
    for (number, file) in files.iter().enumerate() {
        // A file whose successor begins at or before the offset asked for holds nothing of interest.
        if files.get(number + 1).is_some_and(|next| next.base.get() <= arguments.from_offset) {
            continue;
        }
        let mut written = Ok(());
        scan_file(&*storage, file, |item| {
            written = arguments.write(&file.name, &item, output);
            written.is_ok()
        })?;
        written?;
    }
    output.flush()
}

impl DumpArguments {
    fn write(&self, file: &str, item: &ScanItem, output: &mut Output) -> Result<(), Failure> {
        match item {
            ScanItem::Batch { batch, .. } if batch.header().end_offset().get() <= self.from_offset => Ok(()),
            ScanItem::Batch { file_position, batch } => {
                BatchView::of(file, *file_position, batch.header()).write(output)?;
                if self.batches { Ok(()) } else { write_records(batch, output) }
            }
            ScanItem::Damaged { file_position, bytes, first, resume, error } => DamageView {
                file,
                file_position: *file_position,
                bytes: *bytes,
                first_offset: first.get(),
                next_good_offset: resume.map(|offset| offset.get()),
                reason: error.to_string(),
            }
            .write(output),
        }
    }
}

fn write_records(batch: &Batch, output: &mut Output) -> Result<(), Failure> {
    // The scan has checked every record of the batch.
    for record in batch.records().map_while(Result::ok) {
        let mut view = MessageView::new(record.offset.get(), record.time, record.key.as_deref(), &record.value);
        for header in &record.headers {
            // Names are UTF-8 by the API's contract; what is not cannot have come in through it.
            view.header(std::str::from_utf8(&header.name).unwrap_or("(not UTF-8)"), &header.value);
        }
        match output.format() {
            Format::Json => output.json(&LineView::Record(view))?,
            Format::Table => output.line(&format!("  {}", view.text()))?,
        }
    }
    Ok(())
}

impl<'a> BatchView<'a> {
    fn of(file: &'a str, file_position: u64, header: &BatchHeader) -> Self {
        Self {
            file,
            file_position,
            bytes: header.bytes,
            base_offset: header.base_offset.get(),
            last_offset: header.base_offset.get() + u64::from(header.last_offset_delta),
            records: header.record_count,
            leader_epoch: header.leader_epoch.get(),
            append_time: values::time_text(header.append_time),
            stable_end: header.stable_end.map(|offset| offset.get()),
            high_watermark: header.high_watermark.map(|offset| offset.get()),
        }
    }

    fn write(self, output: &mut Output) -> Result<(), Failure> {
        match output.format() {
            Format::Json => output.json(&LineView::Batch(self)),
            Format::Table => {
                let Self { file, file_position, bytes, base_offset, last_offset, records, leader_epoch, .. } = self;
                let (append_time, committed) =
                    (self.append_time, self.high_watermark.map_or_else(|| "-".to_owned(), |offset| offset.to_string()));
                output.line(&format!(
                    "batch {base_offset}..={last_offset}: {records} records, {bytes} bytes at {file}:{file_position}, \
                     leader epoch {leader_epoch}, appended {append_time}, committed to {committed} then"
                ))
            }
        }
    }
}

impl DamageView<'_> {
    fn write(self, output: &mut Output) -> Result<(), Failure> {
        match output.format() {
            Format::Json => output.json(&LineView::Damage(self)),
            Format::Table => {
                let Self { file, file_position, bytes, first_offset, next_good_offset, reason } = self;
                let until =
                    next_good_offset.map_or_else(|| "the end of the file".to_owned(), |offset| offset.to_string());
                output.line(&format!(
                    "DAMAGED from offset {first_offset} to before {until}: {bytes} bytes at {file}:{file_position}, {reason}"
                ))
            }
        }
    }
}
