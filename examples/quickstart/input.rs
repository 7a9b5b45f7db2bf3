//! One event to invoke the function with, and what is expected of it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use apigw_log_forwarder::firehose::{FirehoseEvent, Verdict};

use crate::events::bulk::{self, Kind};
use crate::events::firehose::Verdict as Expected;
use crate::events::samples::SAMPLES;

/// An event as Firehose hands it over.
pub(crate) struct Input {
    /// What it is called in tables.
    pub(crate) name: String,
    pub(crate) payload: String,
    /// The verdict of each record under the default settings; `None` for an event that is no sample.
    pub(crate) expected: Option<Vec<Verdict>>,
}

impl Input {
    /// Reads every file of `events/`, by name.
    pub(crate) fn samples() -> Result<Vec<Self>, Box<dyn Error>> {
        let folder = samples_folder();
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// Reads one file.
    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let problem = |error: &dyn Error| format!("{}: {error}", file.display());
        let payload = fs::read_to_string(file).map_err(|error| problem(&error))?;
        FirehoseEvent::parse(&payload).map_err(|error| problem(&error))?;
        let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let is_sample =
            file.canonicalize().is_ok_and(|file| file.parent() == samples_folder().canonicalize().ok().as_deref());
        let sample = SAMPLES.iter().find(|sample| is_sample && sample.name == name);
        let expected = sample.map(|sample| sample.verdicts.iter().map(|verdict| (*verdict).into()).collect());
        Ok(Self { name, payload, expected })
    }

    /// Makes an event of many invented lines, with a payload of at most so many bytes.
    pub(crate) fn bulk(name: &str, kind: Kind, bytes: usize) -> Self {
        let event = bulk::event(kind, bytes, 1);
        let expected = vec![Verdict::Dropped; event.len()];
        Self { name: name.to_owned(), payload: event.json(), expected: Some(expected) }
    }
}

fn samples_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
}

impl From<Expected> for Verdict {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Dropped => Self::Dropped,
            Expected::ProcessingFailed => Self::ProcessingFailed,
        }
    }
}
