//! Progress bars in a terminal; a line now and then where there is none.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::cli::output::tell;
use crate::study::{Progress, Stage};

/// How often a stage is heard of where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells of progress on standard error.
pub struct Terminal;

impl Progress for Terminal {
    fn stage(&self, name: &str, total: u64) -> Box<dyn Stage + '_> {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_style(style(BAR)).with_prefix(name.to_owned());
            let bar = BARS.add(bar);
            bar.enable_steady_tick(Duration::from_millis(250));
            Box::new(Bar(bar))
        } else {
            tell!("{name} ...");
            let state = Lines { done: 0, figures: String::new(), last: Instant::now() };
            Box::new(Log { name: name.to_owned(), total, began: Instant::now(), state: Mutex::new(state) })
        }
    }

    fn say(&self, line: &str) {
        // A bar that is drawn makes room for the line.
        BARS.suspend(|| tell!("{line}"));
    }
}

/// All bars that are drawn.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

const BAR: &str = "{prefix:>12} {bar:28} {pos}/{len} {elapsed} elapsed, {left} left";

/// The same with the figures of the moment, which have a line of their own: beside the bar a terminal would cut them off.
const BAR_AND_FIGURES: &str = "{prefix:>12} {bar:28} {pos}/{len} {elapsed} elapsed, {left} left\n{msg}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("a sound template")
        .with_key("left", |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Before the first step nobody knows.
            let _ = match state.pos() {
                0 => write!(text, "?"),
                _ => write!(text, "{:#}", HumanDuration(state.eta())),
            };
        })
        .progress_chars("━╸─")
}

struct Bar(ProgressBar);

impl Stage for Bar {
    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    fn figures(&self, text: &str) {
        if self.0.message().is_empty() {
            self.0.set_style(style(BAR_AND_FIGURES));
        }
        self.0.set_message(format!("  {text}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Log {
    name: String,
    total: u64,
    began: Instant,
    state: Mutex<Lines>,
}

struct Lines {
    done: u64,
    figures: String,
    last: Instant,
}

impl Stage for Log {
    fn advance(&self, steps: u64) {
        let mut state = self.state.lock().expect("no panic while telling");
        state.done += steps;
        if state.last.elapsed() > LINE_EVERY && state.done < self.total {
            state.last = Instant::now();
            let left = self.began.elapsed().as_secs_f64() / state.done as f64 * (self.total - state.done) as f64;
            tell!("{} {}/{}, about {left:.0} s left  {}", self.name, state.done, self.total, state.figures);
        }
    }

    fn figures(&self, text: &str) {
        self.state.lock().expect("no panic while telling").figures = text.to_owned();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let state = self.state.get_mut().expect("no panic while telling");
        let seconds = self.began.elapsed().as_secs_f64();
        tell!("{} {}/{} in {seconds:.1} s  {}", self.name, state.done, self.total, state.figures);
    }
}
