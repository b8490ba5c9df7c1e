//! Brings the journal to a disk that may be full, or may not answer, while the run goes on.
//!
//! Four threads: one collects the rows and holds the whole journal in memory, one hands them to the system, one waits until
//! the disk keeps them, one tells the operator. Nobody waits for those that may be held up, before the run is over; a busy
//! disk may take seconds to keep what it has, and rows that come in the meantime go to the system, which outlives a program
//! that is killed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::present::console::{self, News};
use crate::present::error::Error;
use crate::present::journal::{Beginning, Lines, Row, Rows};
use crate::study::{self, Progress};

/// How often rows are collected and handed to the disk's thread.
const COLLECT_EVERY: Duration = Duration::from_millis(10);

/// How often the disk is asked to keep what was written.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How often a disk that refused is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// How long a disk may be silent before the operator hears of it.
const SILENCE: Duration = Duration::from_secs(3);

/// How long the end of a run waits for the disk before the spare folder is used.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What a journal is written to: by one thread, while another one may wait until what is written is kept.
pub trait Medium: Send + Sync {
    /// Writes all bytes at an offset, over what a failed call may have left there.
    fn write_whole_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when what was written is safe from a power failure.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn write_whole_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A journal's file that was created and is not written to yet.
pub struct JournalFile {
    path: PathBuf,
    medium: Arc<dyn Medium>,
}

/// Where the whole journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In its file.
    InPlace,
    /// In this file, because its own could not be written to the end.
    Spare(PathBuf),
}

impl JournalFile {
    /// Creates the file and locks it for as long as it is written; one that exists is never written to.
    pub fn create(path: &Path) -> Result<JournalFile, Error> {
        match create(path) {
            Ok(file) => Ok(JournalFile { path: path.into(), medium: Arc::new(file) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(study::Error::Exists(path.into()).into()),
            Err(source) => Err(study::Error::File { action: "create", path: path.into(), source }.into()),
        }
    }

    /// The same file, behind another medium.
    pub fn behind(self, medium: impl FnOnce(Arc<dyn Medium>) -> Arc<dyn Medium>) -> JournalFile {
        JournalFile { path: self.path, medium: medium(self.medium) }
    }

    /// Writes the beginning of a run; an error if the disk does not keep it.
    pub fn begin(self, beginning: &Beginning) -> Result<Writer, Error> {
        let (mut lines, mut text) = (Lines::default(), Vec::new());
        lines.begin(&mut text, beginning);
        if let Err(source) = self.medium.write_whole_at(&text, 0).and_then(|()| self.medium.sync()) {
            // Nothing is left of a run that cannot begin; a disk that does not let it go keeps an empty journal.
            let _ = std::fs::remove_file(&self.path);
            return Err(study::Error::File { action: "write", path: self.path, source }.into());
        }
        Ok(Writer { path: self.path, medium: self.medium, lines, text, plan: console::Plan::of(beginning) })
    }
}

/// A journal of which the first line is on disk.
pub struct Writer {
    path: PathBuf,
    medium: Arc<dyn Medium>,
    lines: Lines,
    text: Vec<u8>,
    plan: console::Plan,
}

impl Writer {
    /// Writes rows until the player's end is gone: within a hundredth of a second they are with the system, and about once
    /// a second and wherever a run starts or ends with the disk. What the disk does not take is written when it takes
    /// it again, or, when the run is over, to a new folder in `spare`. Returns when the whole journal is on a disk.
    pub fn keep(self, mut rows: Rows, spare: &Path, progress: &dyn Progress) -> Kept {
        let Writer { path, medium, mut lines, mut text, plan } = self;
        let (orders, ordered) = channel();
        let (reporter, reports) = channel();
        let begun = text.len() as u64;
        // Not joined where the disk never answers again.
        std::thread::spawn(move || Disk::new(medium, begun).serve(&ordered, &reporter));
        std::thread::scope(|scope| {
            let (news, heard) = channel();
            scope.spawn(move || console::tell(&heard, plan, progress));
            let mut disk = DiskState {
                path: &path,
                spare,
                orders,
                reports,
                kept: begun,
                news,
                trouble: None,
                heard: Instant::now(),
            };
            loop {
                let is_last = rows.are_ended();
                let start = text.len();
                let mut is_milestone = is_last;
                while let Some(row) = rows.take() {
                    lines.row(&mut text, row);
                    is_milestone |= matches!(row, Row::Start { .. } | Row::End { .. });
                    disk.say(News::Row(row));
                }
                disk.order(&text[start..], is_milestone);
                disk.hear(text.len() as u64);
                if is_last {
                    break;
                }
                std::thread::sleep(COLLECT_EVERY);
            }
            disk.finish(&text)
        })
    }
}

/// The disk as the collecting thread knows it.
struct DiskState<'a> {
    path: &'a Path,
    spare: &'a Path,
    orders: Sender<Order>,
    reports: Receiver<io::Result<u64>>,
    /// How many bytes are safe.
    kept: u64,
    news: Sender<News>,
    trouble: Option<Trouble>,
    /// When the disk last had nothing left to do, or answered.
    heard: Instant,
}

/// Why a journal is not on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The disk says why.
    Refused,
    /// The disk does not say anything.
    Silent,
}

/// Bytes to append, and whether they are to be synced at once.
struct Order {
    bytes: Vec<u8>,
    sync: bool,
}

impl DiskState<'_> {
    fn say(&self, news: News) {
        // The operator's thread ends after this one.
        let _ = self.news.send(news);
    }

    fn order(&self, bytes: &[u8], sync: bool) {
        if sync || !bytes.is_empty() {
            // A thread that is gone never answers, and that is noticed.
            let _ = self.orders.send(Order { bytes: bytes.to_vec(), sync });
        }
    }

    /// Hears what became of the bytes handed over, `all` of them since the beginning.
    fn hear(&mut self, all: u64) {
        let path = self.path.display();
        while let Ok(report) = self.reports.try_recv() {
            self.heard = Instant::now();
            match report {
                Ok(kept) => {
                    self.kept = kept;
                    if self.trouble.take().is_some() {
                        self.say(News::Line(format!("the journal {path} is being written again: nothing was lost")));
                    }
                }
                Err(error) if self.trouble != Some(Trouble::Refused) => {
                    self.trouble = Some(Trouble::Refused);
                    self.warn(&format!("cannot write the journal {path}: {error}"));
                }
                Err(_) => (),
            }
        }
        if self.kept == all {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE && self.trouble.is_none() {
            self.trouble = Some(Trouble::Silent);
            self.warn(&format!("the disk of the journal {path} does not answer"));
        }
    }

    fn warn(&self, what: &str) {
        self.say(News::Line(format!(
            "{what}. THE RUN GOES ON and is kept in memory. It is written when the disk takes it again; if it does not \
             until the end, to a folder in {}",
            self.spare.display()
        )));
    }

    /// Waits for the disk; where it does not come round, writes all to the spare folder. Goes on trying until one of them
    /// has taken it.
    fn finish(mut self, text: &[u8]) -> Kept {
        let all = text.len() as u64;
        let mut told = false;
        loop {
            let until = Instant::now() + END_PATIENCE;
            while Instant::now() < until {
                self.hear(all);
                if self.kept == all {
                    // The file's lock ends with the thread that writes it: only then can the table be made.
                    drop(self.orders);
                    while self.reports.recv_timeout(END_PATIENCE).is_ok() {}
                    return Kept::InPlace;
                }
                std::thread::sleep(COLLECT_EVERY);
            }
            match write_spare(self.path, self.spare, text) {
                Ok(path) => {
                    self.say(News::Line(format!("the whole journal is in {}", path.display())));
                    return Kept::Spare(path);
                }
                Err(error) if !told => {
                    told = true;
                    self.say(News::Line(format!(
                        "neither {} nor a folder in {} can be written ({error}): MAKE ROOM on one of them. The run is in \
                         memory until then; Ctrl-C gives it up",
                        self.path.display(),
                        self.spare.display()
                    )));
                }
                Err(_) => (),
            }
        }
    }
}

/// Writes a whole journal to a new folder of its own in `spare`, under the name that it has.
fn write_spare(journal: &Path, spare: &Path, text: &[u8]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(spare)?;
    let folder = tempfile::Builder::new().prefix("journal-").tempdir_in(spare)?;
    let path = folder.path().join(journal.file_name().unwrap_or_default());
    let file = create(&path)?;
    file.write_whole_at(text, 0)?;
    file.sync()?;
    let _ = folder.keep();
    Ok(path)
}

/// A new file, of which the name is on the disk too.
fn create(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let file = File::options().write(true).create_new(true).open(path)?;
    // A file system without locks is no reason not to write.
    let _ = file.try_lock();
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// The thread that hands over what is to be written.
struct Disk {
    medium: Arc<dyn Medium>,
    syncing: Syncing,
    /// What is not known to be safe.
    unsynced: Vec<u8>,
    /// How much of it was written.
    written: usize,
    /// Bytes known to be safe: the offset of `unsynced`.
    synced: u64,
}

impl Disk {
    fn new(medium: Arc<dyn Medium>, synced: u64) -> Disk {
        Disk { syncing: Syncing::of(medium.clone()), medium, unsynced: Vec::new(), written: 0, synced }
    }

    fn serve(mut self, orders: &Receiver<Order>, reports: &Sender<io::Result<u64>>) {
        let mut begun = Instant::now();
        let mut refused: Option<Instant> = None;
        let mut sync = false;
        let mut is_open = true;
        while is_open || !self.unsynced.is_empty() {
            if is_open {
                let patience = if self.syncing.is_under_way() { COLLECT_EVERY } else { RETRY_EVERY };
                match orders.recv_timeout(patience) {
                    Ok(order) => {
                        self.unsynced.extend(order.bytes);
                        sync |= order.sync;
                    }
                    Err(RecvTimeoutError::Timeout) => (),
                    Err(RecvTimeoutError::Disconnected) => is_open = false,
                }
            }
            if !is_open && refused.is_some() {
                return;
            }
            let is_retried = refused.is_none_or(|since| since.elapsed() >= RETRY_EVERY);
            let written = if is_retried { self.write() } else { Ok(()) };
            let is_taken = is_retried && written.is_ok();
            let report = match written.and_then(|()| self.kept(if is_open { Duration::ZERO } else { RETRY_EVERY })) {
                Ok(None) => None,
                // What it keeps of the time before it refused says nothing of what came since.
                Ok(Some(_)) if refused.is_some_and(|since| since > begun) => None,
                Ok(Some(kept)) => {
                    refused = None;
                    Some(Ok(kept))
                }
                Err(error) => {
                    (refused, sync) = (Some(Instant::now()), true);
                    Some(Err(error))
                }
            };
            if report.is_some_and(|report| reports.send(report).is_err()) {
                return;
            }
            let is_due = sync || !is_open || begun.elapsed() >= SYNC_EVERY;
            if is_due && is_taken && self.written > 0 && !self.syncing.is_under_way() {
                (begun, sync) = (Instant::now(), false);
                self.syncing.begin(self.written);
            }
        }
        self.syncing.end();
    }

    /// Writes what was not written yet.
    fn write(&mut self) -> io::Result<()> {
        if self.written < self.unsynced.len() {
            self.medium.write_whole_at(&self.unsynced[self.written..], self.synced + self.written as u64)?;
            self.written = self.unsynced.len();
        }
        Ok(())
    }

    /// How many bytes are safe, if the disk says so within this time.
    fn kept(&mut self, patience: Duration) -> io::Result<Option<u64>> {
        let Some((bytes, kept)) = self.syncing.ended(patience) else { return Ok(None) };
        if let Err(error) = kept {
            // Nobody knows which of the bytes are there: they are written again.
            self.written = 0;
            return Err(error);
        }
        self.unsynced.drain(..bytes);
        self.written -= bytes;
        self.synced += bytes as u64;
        Ok(Some(self.synced))
    }
}

/// The thread that waits until the disk keeps what was written.
struct Syncing {
    thread: JoinHandle<()>,
    wishes: Sender<usize>,
    answers: Receiver<(usize, io::Result<()>)>,
    is_under_way: bool,
}

impl Syncing {
    fn of(medium: Arc<dyn Medium>) -> Syncing {
        let (wishes, wished) = channel();
        let (answer, answers) = channel();
        let thread = std::thread::spawn(move || {
            for bytes in wished {
                if answer.send((bytes, medium.sync())).is_err() {
                    return;
                }
            }
        });
        Syncing { thread, wishes, answers, is_under_way: false }
    }

    /// Asks for so many bytes to be kept.
    fn begin(&mut self, bytes: usize) {
        // A thread that is gone never answers, and that is noticed.
        let _ = self.wishes.send(bytes);
        self.is_under_way = true;
    }

    fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// How many bytes were to be kept and whether they are, if that ends within this time.
    fn ended(&mut self, patience: Duration) -> Option<(usize, io::Result<()>)> {
        let answer = self.is_under_way.then(|| self.answers.recv_timeout(patience).ok())??;
        self.is_under_way = false;
        Some(answer)
    }

    /// Ends the thread, which lets go of the file.
    fn end(self) {
        drop(self.wishes);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::present::clock::Moment;
    use crate::present::journal::{self, Account, Ending, Journal, tests as journals};
    use crate::study::{OnsetSource, Silent, Stage};

    /// Hears what the operator hears.
    #[derive(Default)]
    struct Operator(Mutex<Vec<String>>);

    impl Progress for Operator {
        fn stage(&self, _: &str, _: u64) -> Box<dyn Stage + '_> {
            Box::new(Silent)
        }

        fn say(&self, line: &str) {
            self.0.lock().unwrap().push(line.into());
        }
    }

    impl Operator {
        fn heard(&self, what: &str) -> usize {
            self.0.lock().unwrap().iter().filter(|line| line.contains(what)).count()
        }
    }

    /// What a disk does at the moment.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Mood {
        Sound,
        /// Takes so many bytes of each call, then has no room.
        Full(usize),
        /// Takes everything and cannot keep it: what was written since the last sync is gone.
        Forgetful,
        /// Takes everything and does not come to keeping it.
        Busy,
        Silent,
    }

    #[derive(Clone)]
    struct MoodyDisk {
        mood: Arc<Mutex<Mood>>,
        content: Arc<Mutex<Vec<u8>>>,
    }

    impl MoodyDisk {
        fn new() -> MoodyDisk {
            MoodyDisk { mood: Arc::new(Mutex::new(Mood::Sound)), content: Arc::default() }
        }

        fn be(&self, mood: Mood) {
            *self.mood.lock().unwrap() = mood;
        }

        /// Its mood, when it is none of these.
        fn mood_but(&self, held_up: &[Mood]) -> Mood {
            while held_up.contains(&*self.mood.lock().unwrap()) {
                std::thread::sleep(Duration::from_millis(5));
            }
            *self.mood.lock().unwrap()
        }

        fn account(&self) -> Account {
            journal::parse(Path::new("j.jsonl"), &self.content.lock().unwrap()).unwrap()
        }
    }

    impl Medium for MoodyDisk {
        fn write_whole_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            let taken = match self.mood_but(&[Mood::Silent]) {
                Mood::Full(room) => room.min(bytes.len()),
                _ => bytes.len(),
            };
            let mut content = self.content.lock().unwrap();
            content.truncate(offset as usize);
            assert_eq!(content.len() as u64, offset, "a journal has no holes");
            content.extend_from_slice(&bytes[..taken]);
            if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&self) -> io::Result<()> {
            match self.mood_but(&[Mood::Silent, Mood::Busy]) {
                Mood::Forgetful => Err(io::Error::other("it was not kept")),
                _ => Ok(()),
            }
        }
    }

    fn row(number: u64) -> Row {
        Row::Flip { at_ns: Moment(number), frame: number, source: OnsetSource::Simulated, sequence: None }
    }

    /// Keeps a journal on a disk while `run` hands over rows.
    fn keep(disk: &MoodyDisk, spare: &Path, operator: &Operator, run: impl FnOnce(Journal)) -> Kept {
        let file = JournalFile { path: "data/x_journal.jsonl".into(), medium: Arc::new(disk.clone()) };
        let writer = file.begin(&journals::beginning()).unwrap();
        let (journal, rows) = journal::journal();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| writer.keep(rows, spare, operator));
            run(journal);
            writing.join().unwrap()
        })
    }

    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < until, "{what} did not happen within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_journal_on_a_sound_disk_is_in_its_file_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/j.jsonl");
        let (journal, rows) = journal::journal();
        (0..100).for_each(|number| journal.put(row(number)).unwrap());
        drop(journal);
        let writer = JournalFile::create(&path).unwrap().begin(&journals::beginning()).unwrap();
        assert_eq!(writer.keep(rows, folder.path(), &Silent), Kept::InPlace);
        let written = std::fs::read(&path).unwrap();
        assert_eq!(journal::read(&path).unwrap().rows, (0..100).map(row).collect::<Vec<_>>());
        assert!(matches!(JournalFile::create(&path), Err(Error::File(study::Error::Exists(_)))));
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }

    #[test]
    fn a_row_is_with_the_system_long_before_it_is_250_ms_old() {
        let (disk, operator) = (MoodyDisk::new(), Operator::default());
        keep(&disk, Path::new("/nonexistent"), &operator, |journal| {
            for number in 0..20 {
                journal.put(row(number)).unwrap();
                std::thread::sleep(Duration::from_millis(200));
                assert_eq!(disk.account().rows.len() as u64, number + 1);
            }
        });
    }

    #[test]
    fn rows_go_to_the_system_while_a_busy_disk_has_not_kept_the_ones_before() {
        let (disk, operator) = (MoodyDisk::new(), Operator::default());
        let kept = keep(&disk, Path::new("/nonexistent"), &operator, |journal| {
            disk.be(Mood::Busy);
            journal.put(Row::Start { at_ns: Moment(1) }).unwrap();
            for number in 0..20 {
                journal.put(row(number)).unwrap();
                eventually("the row", || disk.account().rows.len() as u64 == number + 2);
            }
            eventually("the word to the operator", || operator.heard("does not answer") == 1);
            disk.be(Mood::Sound);
        });
        assert_eq!((kept, disk.account().rows.len()), (Kept::InPlace, 21));
        assert_eq!(operator.heard("being written again"), 1);
    }

    #[test]
    fn a_run_that_cannot_begin_on_a_full_disk_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.jsonl");
        let disk = MoodyDisk::new();
        disk.be(Mood::Full(10));
        let file = JournalFile::create(&path).unwrap().behind(|_| Arc::new(disk));
        let failed = file.begin(&journals::beginning());
        let error = failed.err().unwrap().to_string();
        assert!(error.contains("cannot write") && error.contains("j.jsonl") && !path.exists(), "{error}");
    }

    #[test]
    fn a_disk_that_is_full_for_a_while_loses_nothing_and_the_operator_hears_of_it_at_once() {
        for mood in [Mood::Full(0), Mood::Full(7), Mood::Forgetful] {
            let (disk, operator) = (MoodyDisk::new(), Operator::default());
            let spare = tempfile::tempdir().unwrap();
            let kept = keep(&disk, spare.path(), &operator, |journal| {
                journal.put(Row::Start { at_ns: Moment(1) }).unwrap();
                (0..500).for_each(|number| journal.put(row(number)).unwrap());
                eventually("the first rows", || disk.account().rows.len() == 501);
                disk.be(mood);
                (500..1000).for_each(|number| journal.put(row(number)).unwrap());
                eventually("the word to the operator", || operator.heard("THE RUN GOES ON") == 1);
                (1000..1500).for_each(|number| journal.put(row(number)).unwrap());
                disk.be(Mood::Sound);
                eventually("the end of the trouble", || operator.heard("being written again") == 1);
            });
            assert_eq!(kept, Kept::InPlace);
            assert_eq!(disk.account().rows[1..], (0..1500).map(row).collect::<Vec<_>>());
            assert_eq!(operator.heard("THE RUN GOES ON"), 1);
            assert_eq!(std::fs::read_dir(spare.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_disk_that_stays_full_or_does_not_answer_leaves_the_whole_journal_in_the_spare_folder() {
        for mood in [Mood::Full(3), Mood::Silent] {
            let (disk, operator) = (MoodyDisk::new(), Operator::default());
            let folder = tempfile::tempdir().unwrap();
            let spare = folder.path().join("made/when/needed");
            let kept = keep(&disk, &spare, &operator, |journal| {
                journal.put(row(0)).unwrap();
                eventually("the first row", || disk.account().rows.len() == 1);
                disk.be(mood);
                (1..2000).for_each(|number| journal.put(row(number)).unwrap());
                journal.put(Row::End { at_ns: Moment(9), ending: Ending::Complete }).unwrap();
            });
            let Kept::Spare(path) = kept else { panic!("{mood:?}: {kept:?}") };
            assert!(path.starts_with(&spare) && path.ends_with("x_journal.jsonl"));
            let whole = journal::read(&path).unwrap();
            assert_eq!((whole.rows.len(), whole.ending()), (2001, Some(Ending::Complete)));
            assert_eq!(operator.heard("THE RUN GOES ON"), 1, "{mood:?}");
            assert_eq!(operator.heard(&path.display().to_string()), 1);
            disk.be(Mood::Sound);
        }
    }

    #[test]
    fn where_no_disk_takes_it_a_journal_waits_in_memory_until_there_is_room() {
        let (disk, operator) = (MoodyDisk::new(), Operator::default());
        let folder = tempfile::tempdir().unwrap();
        let no_folder = folder.path().join("a file");
        std::fs::write(&no_folder, "x").unwrap();
        let kept = std::thread::scope(|scope| {
            let kept = scope.spawn(|| {
                keep(&disk, &no_folder, &operator, |journal| {
                    disk.be(Mood::Full(0));
                    journal.put(row(0)).unwrap();
                })
            });
            eventually("the plea for room", || operator.heard("MAKE ROOM") == 1);
            assert!(!kept.is_finished());
            disk.be(Mood::Sound);
            kept.join().unwrap()
        });
        assert_eq!((kept, disk.account().rows), (Kept::InPlace, vec![row(0)]));
    }

    /// The folder that the writer in a process of its own writes to.
    const WRITES_TO: &str = "LAYERPRINT_TEST_WRITES_TO";

    /// In a process of its own: writes rows, and tells each one's number and moment, until it is killed.
    fn write_until_killed(path: &Path) {
        let writer = JournalFile::create(path).unwrap().begin(&journals::beginning()).unwrap();
        let (journal, rows) = journal::journal();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.keep(rows, Path::new("/nonexistent"), &Silent));
            for frame in 0.. {
                let at_ns = Moment::now();
                journal.put(Row::Flip { at_ns, frame, source: OnsetSource::Simulated, sequence: None }).unwrap();
                // Not heard any more: the test is over.
                if io::Write::write_all(&mut io::stderr(), format!("{frame} {}\n", at_ns.0).as_bytes()).is_err() {
                    std::process::exit(1);
                }
                std::thread::sleep(Duration::from_micros(300));
            }
        });
    }

    #[test]
    fn a_writer_that_is_killed_at_any_moment_leaves_all_that_is_older_than_250_ms() {
        const NAME: &str =
            "present::writer::tests::a_writer_that_is_killed_at_any_moment_leaves_all_that_is_older_than_250_ms";
        if let Some(path) = std::env::var_os(WRITES_TO) {
            return write_until_killed(Path::new(&path));
        }
        let kills = std::env::var("LAYERPRINT_KILLS").map_or(60, |kills| kills.parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let (mut kept_rows, mut old_rows) = (0, 0);
        for kill in 0..kills {
            let path = folder.path().join(format!("{kill}.jsonl"));
            let mut writing = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(WRITES_TO, &path)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut told = writing.stderr.take().unwrap();
            let hearing = std::thread::spawn(move || io::read_to_string(&mut told).unwrap());
            eventually("the first line", || std::fs::metadata(&path).is_ok_and(|file| file.len() > 0));
            std::thread::sleep(Duration::from_micros(kill * 7919 % 500_000));
            let killed = Moment::now();
            writing.kill().unwrap();
            writing.wait().unwrap();
            let told = hearing.join().unwrap();
            let kept = journal::read(&path).unwrap().rows;
            for (number, row) in kept.iter().enumerate() {
                assert!(matches!(row, Row::Flip { frame, .. } if *frame == number as u64), "kill {kill}");
            }
            let old = told.lines().filter(|line| {
                let at_ns = line.split_once(' ').and_then(|(_, at_ns)| at_ns.parse().ok());
                at_ns.is_some_and(|at_ns| killed.seconds_since(Moment(at_ns)) > 0.25)
            });
            let old = old.count();
            assert!(kept.len() >= old, "kill {kill}: {} of {old}", kept.len());
            (kept_rows, old_rows) = (kept_rows + kept.len(), old_rows + old);
            std::fs::remove_file(&path).unwrap();
        }
        assert!(old_rows as u64 > kills, "{old_rows} old rows in {kills} kills");
        eprintln!("{kills} kills: {old_rows} rows were older than 250 ms, {kept_rows} were kept");
    }
}
