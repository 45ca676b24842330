//! What was set where: the layers of flags, environment, file and defaults, with every refusal that needs no more than
//! the table of keys.
//!
//! Owns precedence and the texts of those refusals. It never knows what a setting is used for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use liftbridge_commitlog::SyncPolicy;
use thiserror::Error;

use super::file;
use super::keys::{KEYS, Key, Kind, Status, VARIABLE_PREFIX, find};
use super::malformed::Malformed;
use super::nearest::nearest;
use super::value::{Raw, Value};

/// The variable that will hold the key of encrypted streams. It is no setting, so that no file can hold it.
const ENCRYPTION_KEY_VARIABLE: &str = "LIFTBRIDGE_ENCRYPTION_KEY";

/// Variables of this prefix that belong to the tools beside the server.
const OTHER_VARIABLES: [&str; 1] = ["LIFTBRIDGE_ADDRESS"];

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

/// A setting as it is named in messages: by what was written, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    key: &'static str,
    source: Source,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "`{}` in `{}`", self.key, path.display()),
            Source::Variable(name) => write!(f, "`{name}` in the environment"),
            Source::Flag(flag) => write!(f, "`{flag}`"),
        }
    }
}

/// A setting that cannot be taken. Every text is one line that says what to do; none holds a value that may be secret.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum SettingError {
    #[error("Failed to load configuration file: `{}`: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("Failed to load configuration file: `{}`: {malformed}", path.display())]
    Malformed { path: PathBuf, malformed: Malformed },
    #[error("Unknown configuration setting \"{name}\" in `{}`{}", path.display(), suggestion(*nearest))]
    Unknown { name: String, path: PathBuf, nearest: Option<&'static str> },
    #[error("{place} is given without a value; leave it out to have the default")]
    Empty { place: Place },
    #[error("{place} is given twice, keep one of them")]
    Twice { place: Place },
    #[error("{place} is `{value}`, it must be {kind}{hint}")]
    Invalid { place: Place, value: Raw, kind: Kind, hint: &'static str },
    #[error("{place} asks for {feature}, which this version of the server does not have; remove it to start without")]
    Later { place: Place, feature: &'static str },
    #[error(
        "`{ENCRYPTION_KEY_VARIABLE}` asks for encryption at rest, which this version of the server does not have; unset it to start without"
    )]
    EncryptionKey,
    #[error("`{name}` in the environment is not UTF-8")]
    NotText { name: String },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// What was set, over the defaults.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Value>,
    /// Things to tell the operator that are no reason not to start.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Puts the layers together, the strongest last.
    pub(crate) fn collect(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
        flags: Vec<(&'static str, &'static str, Raw)>,
    ) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        if let Some(path) = file {
            let failed = |reason| SettingError::File { path: path.to_owned(), reason };
            let text = file::read(path).map_err(|error| failed(error.to_string()))?;
            settings.add_file(path, &text)?;
        }
        settings.add_environment(environment)?;
        for (flag, name, raw) in flags {
            let key = find(name).expect("flags name keys of the table");
            settings.set(key, Source::Flag(flag), &raw)?;
        }
        Ok(settings)
    }

    /// Adds what a file says.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), SettingError> {
        let failed = |malformed| SettingError::Malformed { path: path.to_owned(), malformed };
        let mut seen = Vec::new();
        for (name, raw) in file::parse(text).map_err(failed)? {
            let Some(key) = find(&name) else {
                let nearest = nearest(&name, KEYS.iter().map(|key| key.name));
                return Err(SettingError::Unknown { name, path: path.to_owned(), nearest });
            };
            let source = Source::File(path.to_owned());
            if seen.contains(&key.name) {
                return Err(SettingError::Twice { place: Place { key: key.name, source } });
            }
            seen.push(key.name);
            self.set(key, source, &raw)?;
        }
        Ok(())
    }

    /// Adds what the environment says. An unknown variable only draws a warning: container platforms put variables of
    /// this prefix there by themselves. One that is set to nothing counts as unset.
    fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<(), SettingError> {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else { continue };
            let name = name.to_owned();
            if value.is_empty() || OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            if name == ENCRYPTION_KEY_VARIABLE {
                return Err(SettingError::EncryptionKey);
            }
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                self.warnings.push(unknown_variable(&name));
                continue;
            };
            let Ok(text) = value.into_string() else { return Err(SettingError::NotText { name }) };
            self.set(key, Source::Variable(name), &Raw::Text(text))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &'static Key, source: Source, raw: &Raw) -> Result<(), SettingError> {
        let place = Place { key: key.name, source };
        // In a file and in the environment that counts as unset. A flag with nothing is a variable of a script gone missing.
        if matches!(place.source, Source::Flag(_)) && matches!(raw, Raw::Text(text) if text.trim().is_empty()) {
            return Err(SettingError::Empty { place });
        }
        let value = Value::of(raw, key.kind);
        match key.status {
            Status::Later(feature) if value.is_none() || value != default(key) => {
                return Err(SettingError::Later { place, feature });
            }
            Status::Later(_) | Status::Works | Status::NoEffect(_) => {}
        }
        let Some(value) = value else {
            let hint = hint(raw);
            return Err(SettingError::Invalid { place, value: raw.clone(), kind: key.kind, hint });
        };
        self.values.insert(key.name, value);
        Ok(())
    }

    /// Whether somebody gave this setting.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<Value> {
        let key = find(name).expect("settings are read by names of the table");
        self.values.get(name).cloned().or_else(|| default(key))
    }

    /// A text or path; `None` when it is unset or empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A path; `None` when it is unset or empty.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Texts; unset is none.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(texts)) => texts,
            _ => Vec::new(),
        }
    }

    /// A truth value; unset is false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Flag(true))
    }

    /// A number; unset is 0.
    pub(crate) fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Integer(number)) => u64::try_from(number).unwrap_or(0),
            _ => 0,
        }
    }

    /// A duration; unset is zero.
    pub(crate) fn duration(&self, name: &str) -> Duration {
        match self.value(name) {
            Some(Value::Duration(duration)) => duration,
            _ => Duration::ZERO,
        }
    }

    /// When appends are forced to the medium.
    pub(crate) fn sync(&self, name: &str) -> SyncPolicy {
        match self.value(name) {
            Some(Value::Sync(policy)) => policy,
            _ => SyncPolicy::default(),
        }
    }
}

fn default(key: &Key) -> Option<Value> {
    key.default.and_then(|text| Value::of_text(text, key.kind))
}

fn unknown_variable(name: &str) -> String {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let nearest = nearest(name, known.iter().map(String::as_str));
    let suggestion = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    format!("`{name}` in the environment is no setting and is ignored{suggestion}")
}

/// The one mistake that is not the operator's: Kubernetes sets `LIFTBRIDGE_PORT` for a service called liftbridge.
fn hint(raw: &Raw) -> &'static str {
    match raw {
        Raw::Text(text) if text.starts_with("tcp://") => {
            "; Kubernetes sets this for a service of that name: set `enableServiceLinks: false` for the pod"
        }
        Raw::Text(_) | Raw::List(_) => "",
    }
}

#[cfg(test)]
mod tests;
