//! The weather readings that stand for real data. Owns where they come from and how they are split; sends nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
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
        let source = std::env::var_os("LIFTBRIDGE_WEATHER_CSV").map_or_else(Self::sample, PathBuf::from);
        let text = text(&source).unwrap_or_else(|error| panic!("cannot read {}: {error}", source.display()));
        let copy = directory.join("weather.csv");
        std::fs::write(&copy, &text).expect("the readings can be copied");
        let mut lines = text.lines().map(str::to_owned);
        let header = lines.next().expect("a header line");
        Self { file: copy, header, readings: lines.collect() }
    }

    /// The sample of the project.
    pub fn sample() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nyc-weather-sample.csv")
    }

    /// The readings of a file, by airport, each airport's in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read, or is not text.
    pub fn by_airport(source: &Path) -> io::Result<BTreeMap<String, Vec<String>>> {
        let mut readings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for reading in text(source)?.lines().skip(1) {
            readings.entry(Self::origin(reading).to_owned()).or_default().push(reading.to_owned());
        }
        Ok(readings)
    }

    /// The airport a reading comes from.
    pub fn origin(reading: &str) -> &str {
        reading.split(',').next().unwrap_or_default()
    }
}

/// The text of a file, unpacked if need be.
fn text(source: &Path) -> io::Result<String> {
    let mut file = File::open(source)?;
    let mut text = String::new();
    if source.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}
