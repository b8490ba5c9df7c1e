//! Downloads the published weights: with progress, resumed where it was broken off, believed only when the checksum holds.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha1::{Digest, Sha1};
use ureq::http::{Response, StatusCode, header};

use crate::study::{self, Progress, file};
use crate::synthesize::error::Error;
use crate::synthesize::network::architecture::Edition;
use crate::synthesize::network::weights::{self, Parameters};

/// Where the Berkeley Vision and Learning Center publishes the weights.
pub const PUBLISHED_URL: &str = "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel";

/// The SHA-1 of the published file, from its page in the Caffe model zoo.
pub const PUBLISHED_SHA1: &str = "405fc5acd08a3bb12de8ee5e23a96bec22f08204";

/// A file of weights on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// `http://.../name.caffemodel` or `.safetensors`.
    pub url: String,
    /// What the file's SHA-1 must be, in hexadecimal.
    pub sha1: String,
    /// How long to wait for the connection, for an answer, and for each further piece of the file.
    pub timeout: Duration,
}

/// Downloads weights, checks them and puts them into the cache; returns where they lie there.
///
/// A download that breaks off leaves its beginning in the cache folder, and the next one goes on from there. A file of
/// another checksum is removed.
pub fn fetch(download: &Download, progress: &dyn Progress) -> Result<(PathBuf, Parameters), Error> {
    let cached = weights::cache()?;
    let part = cached.with_file_name(format!("{}.part", download.sha1));
    complete(download, &part, progress)?;
    let bytes = file::read(&part)?;
    let sha1 = Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if !sha1.eq_ignore_ascii_case(&download.sha1) {
        std::fs::remove_file(&part).map_err(study::Error::file("remove", &part))?;
        let what = format!("expected a file of SHA-1 {}, found {sha1}; it was removed", download.sha1);
        return Err(download.failed(what));
    }
    let url = Path::new(&download.url);
    let parameters = Parameters::decode(url, &bytes)?.of_edition(Edition::Caffe, url)?;
    parameters.write(&cached)?;
    std::fs::remove_file(&part).map_err(study::Error::file("remove", &part))?;
    Ok((cached, parameters))
}

/// Brings the file `part` to its full length.
fn complete(download: &Download, part: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let folder = part.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(study::Error::file("create", folder))?;
    let present = std::fs::metadata(part).map_or(0, |file| file.len());
    let mut response = download.request(present)?;
    let begin = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if starts_at(&response, present) => present,
        // Nothing lies beyond what is present: the file is whole, and the checksum tells whether it is the right one.
        StatusCode::RANGE_NOT_SATISFIABLE if present > 0 => return Ok(()),
        StatusCode::PARTIAL_CONTENT => return Err(download.failed("the server sent another part than was asked for")),
        status => return Err(download.failed(format!("the server answered {status}"))),
    };
    let total = response.body().content_length().map_or(0, |rest| begin + rest);
    if begin > 0 {
        progress.say(&format!("going on after {} MB", begin / 1_000_000));
    }
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(begin == 0)
        .append(begin > 0)
        .open(part)
        .map_err(study::Error::file("write", part))?;
    let stage = progress.stage("downloading", total);
    stage.advance(begin);
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut length = begin;
    loop {
        let broken = |what: String| {
            download.failed(format!("broken off after {length} bytes ({what}); the same command goes on from there"))
        };
        match body.read(&mut buffer) {
            Ok(0) if length < total => return Err(broken(format!("{total} were announced"))),
            Ok(0) => break,
            Ok(count) => {
                file.write_all(&buffer[..count]).map_err(study::Error::file("write", part))?;
                length += count as u64;
                stage.advance(count as u64);
                stage.figures(&format!("{:.1} MB", length as f64 / 1e6));
            }
            Err(what) => return Err(broken(what.to_string())),
        }
    }
    Ok(file.sync_all().map_err(study::Error::file("write", part))?)
}

/// Whether a partial answer begins at this byte.
fn starts_at(response: &Response<ureq::Body>, byte: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {byte}-")))
}

impl Download {
    /// The published weights.
    pub fn published(timeout: Duration) -> Download {
        Download { url: PUBLISHED_URL.into(), sha1: PUBLISHED_SHA1.into(), timeout }
    }

    /// Asks for the file from this byte on.
    fn request(&self, begin: u64) -> Result<Response<ureq::Body>, Error> {
        let wait = Some(self.timeout);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(wait)
            .timeout_connect(wait)
            .timeout_recv_response(wait)
            .timeout_per_read(wait)
            .build()
            .new_agent();
        let mut request = agent.get(&self.url);
        if begin > 0 {
            request = request.header(header::RANGE, format!("bytes={begin}-"));
        }
        request.call().map_err(|what| self.failed(what.to_string()))
    }

    fn failed(&self, what: impl Into<String>) -> Error {
        Error::Download { url: self.url.clone(), what: what.into() }
    }
}
