//! Bars while everything is sent.

use std::collections::HashMap;

use coffer::control::Report;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printable;

const TOTAL: &str = "{bar:30} {bytes}/{total_bytes} {msg}";
const FILE: &str = "  {bar:28} {bytes}/{total_bytes} {wide_msg}";

/// Drawn on standard error, when that is a terminal.
pub struct Progress {
    bars: MultiProgress,
    total: ProgressBar,
    files: HashMap<String, ProgressBar>,
    most_bytes: u64,
}

impl Progress {
    /// With nothing told yet.
    pub fn new() -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(0).with_style(style(TOTAL)));
        Self {
            bars,
            total,
            files: HashMap::new(),
            most_bytes: 0,
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, report: &Report) {
        let status = &report.status;
        let sent: u64 = status
            .uploading
            .iter()
            .map(|upload| upload.sent_bytes)
            .sum();
        let left = status.pending_bytes.saturating_sub(sent);
        // More may be written meanwhile.
        self.most_bytes = self.most_bytes.max(status.pending_bytes);
        self.total.set_length(self.most_bytes);
        self.total
            .set_position(self.most_bytes.saturating_sub(left));
        let files = status.pending_files.max(status.pending_names);
        self.total.set_message(format!("{files} to go"));
        let gone = |path: &String| status.uploading.iter().all(|upload| upload.path != *path);
        for (path, bar) in self.files.extract_if(|path, _| gone(path)) {
            drop(path);
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        for upload in &status.uploading {
            let bars = &self.bars;
            let bar = self.files.entry(upload.path.clone()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new(upload.size_bytes).with_style(style(FILE)));
                bar.set_message(printable(&upload.path));
                bar
            });
            bar.set_position(upload.sent_bytes);
        }
    }

    /// Takes all of it away.
    pub fn end(self) {
        for bar in self.files.into_values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant, and a sound one")
}
