//! The weather readings that stand for real data. Owns where they come from and how they are split; sends nothing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// The readings as lines, header first.
#[derive(Clone, Debug)]
pub struct Weather {
    /// A file with them, as text.
    pub file: PathBuf,
    /// The header line.
    pub header: String,
    /// The readings, in the file's order, without line ends.
    pub readings: Vec<String>,
}

impl Weather {
    /// The sample of the project, or the file that `LIFTBRIDGE_WEATHER_CSV` names; unpacked into `directory` if need be.
    pub fn load(directory: &Path) -> Self {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nyc-weather-sample.csv");
        let source = std::env::var_os("LIFTBRIDGE_WEATHER_CSV").map_or(sample, PathBuf::from);
        let file = File::open(&source).unwrap_or_else(|error| panic!("cannot open {}: {error}", source.display()));
        let mut text = String::new();
        let packed = source.extension().is_some_and(|extension| extension == "gz");
        let read =
            if packed { GzDecoder::new(file).read_to_string(&mut text) } else { { file }.read_to_string(&mut text) };
        read.expect("the readings are text");
        let copy = directory.join("weather.csv");
        std::fs::write(&copy, &text).expect("the readings can be copied");
        let mut lines = text.lines().map(str::to_owned);
        let header = lines.next().expect("a header line");
        Self { file: copy, header, readings: lines.collect() }
    }

    /// The airport a reading comes from.
    pub fn origin(reading: &str) -> &str {
        reading.split(',').next().unwrap_or_default()
    }
}
