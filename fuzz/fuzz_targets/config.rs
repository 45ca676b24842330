//! Any text as a configuration file. It is taken or refused with one line; nothing else may happen.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

use server::config::{Config, Settings};

/// The server is a program and no library, so its source is compiled in.
#[path = "../../bins/liftbridged/src"]
#[allow(dead_code, reason = "only a part of it is fuzzed")]
#[allow(unused_imports, reason = "only a part of it is fuzzed")]
mod server {
    pub(crate) mod config;
}

fuzz_target!(|text: &str| {
    let mut settings = Settings::default();
    if let Err(error) = settings.add_file(Path::new("liftbridge.yaml"), text) {
        return check_text(&error.to_string());
    }
    if let Err(error) = Config::new(settings, |_| None) {
        check_text(&error.to_string());
    }
});

fn check_text(message: &str) {
    assert!(!message.is_empty() && !message.contains('\n'), "not one line: {message:?}");
}
