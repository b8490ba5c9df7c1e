//! Weights as a user gets them: imported, downloaded, found; and refused when they are not the network's.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use assert_cmd::Command;
use layerprint::study::Silent;
use layerprint::synthesize::network::{Parameters, Source};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use sha1::{Digest, Sha1};

/// The program with a cache of its own and no weights in its environment.
fn layerprint(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
    command.env("XDG_CACHE_HOME", cache).env_remove("LAYERPRINT_WEIGHTS");
    command
}

/// The real weights where the shared data is there, else the untrained ones.
fn parameters() -> Parameters {
    let path = common::shared().map(|folder| folder.join("weights/bvlc_googlenet.safetensors"));
    match path.filter(|path| path.exists()) {
        Some(path) => Parameters::read(&path).unwrap(),
        None => {
            eprintln!("without the shared data: tested with untrained weights");
            Source::Untrained.load(&Silent).unwrap()
        }
    }
}

/// The 58 layers in the order of the Caffe model.
fn caffe_layers() -> Vec<String> {
    let mut layers: Vec<String> = ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"].map(String::from).to_vec();
    for block in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"] {
        let branches = ["1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj"];
        layers.extend(branches.iter().map(|branch| format!("inception_{block}/{branch}")));
    }
    layers.push("loss3/classifier".into());
    layers
}

/// How Caffe wrote its files over the years.
#[derive(Clone, Copy, PartialEq)]
enum Caffe {
    /// `layers`, four lengths a blob, values packed: what the published file is.
    Version1,
    /// `layer`, blobs with a shape, values not packed.
    Version2,
}

/// A protobuf field of wire type 2: key, length, bytes.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A caffemodel, written by hand after caffe.proto, with a layer of training that the network does not need.
fn caffemodel(parameters: &Parameters, caffe: Caffe) -> Vec<u8> {
    let blob = |shape: &[usize], values: &[f32]| match caffe {
        Caffe::Version1 => {
            let lengths: Vec<usize> = std::iter::repeat_n(1, 4 - shape.len()).chain(shape.iter().copied()).collect();
            let header: Vec<u8> =
                (1..=4).zip(lengths).flat_map(|(k, length)| [varint(k << 3), varint(length as u64)].concat()).collect();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            [header, field(5, &bytes)].concat()
        }
        Caffe::Version2 => {
            let lengths: Vec<u8> = shape.iter().flat_map(|&length| varint(length as u64)).collect();
            let mut bytes = field(7, &field(1, &lengths));
            for value in values {
                bytes.push(5 << 3 | 5);
                bytes.extend(value.to_le_bytes());
            }
            bytes
        }
    };
    let (net, name_tag, blobs_tag) = match caffe {
        Caffe::Version1 => (2, 4, 6),
        Caffe::Version2 => (100, 1, 7),
    };
    let mut bytes = field(1, b"GoogleNet");
    let layer = |name: &str, blobs: &[Vec<u8>]| {
        let mut layer = field(name_tag, name.as_bytes());
        blobs.iter().for_each(|blob| layer.extend(field(blobs_tag, blob)));
        field(net, &layer)
    };
    bytes.extend(layer("data", &[]));
    bytes.extend(layer("loss1/conv", &[blob(&[2, 3, 1, 1], &[0.5; 6]), blob(&[2], &[0.0; 2])]));
    for name in caffe_layers() {
        let blobs = ["weight", "bias"].map(|kind| {
            let array = parameters.get(&format!("{name}.{kind}"));
            blob(&array.shape, &array.values)
        });
        bytes.extend(layer(&name, &blobs));
    }
    bytes
}

/// Three small pictures whose RSMs show whether two networks are the same.
fn pictures(folder: &Path) -> PathBuf {
    let folder = folder.join("pictures");
    std::fs::create_dir(&folder).unwrap();
    for k in 0..3u32 {
        let mut encoder = png::Encoder::new(std::fs::File::create(folder.join(format!("{k}.png"))).unwrap(), 64, 64);
        encoder.set_color(png::ColorType::Rgb);
        let pixels: Vec<u8> = (0..3 * 64 * 64u32).map(|i| (i * (7 + 31 * k) / (5 + k) % 256) as u8).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }
    folder
}

#[test]
fn a_caffemodel_gives_the_same_weights_and_activations_as_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = parameters();
    let direct = folder.path().join("direct.safetensors");
    parameters.write(&direct).unwrap();
    let pictures = pictures(folder.path());
    let rsms = |weights: &Path, out: &str| {
        let out = folder.path().join(out);
        let mut command = layerprint(folder.path());
        command.arg("fingerprint").arg(&pictures).arg("--out").arg(&out).arg("--weights").arg(weights);
        command.args(["--threads", "1"]).assert().success();
        std::fs::read(out.join("layer_rsms.tsv")).unwrap()
    };
    let expected = rsms(&direct, "direct");
    for (caffe, name) in [(Caffe::Version1, "v1"), (Caffe::Version2, "v2")] {
        let file = folder.path().join(format!("{name}.caffemodel"));
        std::fs::write(&file, caffemodel(&parameters, caffe)).unwrap();
        let cache = folder.path().join(format!("cache {name}"));
        let hash = parameters.sha256();
        layerprint(&cache).args(["weights", "import"]).arg(&file).assert().success().stdout(contains(&hash));
        layerprint(&cache).args(["weights", "show"]).assert().success().stdout(contains(&hash).and(contains("cache")));
        let cached = cache.join("layerprint/bvlc_googlenet.safetensors");
        assert!(Parameters::read(&cached).unwrap() == Parameters::read(&direct).unwrap(), "{name}: other tensors");
        assert!(rsms(&cached, name) == expected, "{name}: other activations");
    }
}

#[test]
fn weights_that_are_not_the_networks_are_refused_by_file_and_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = Source::Untrained.load(&Silent).unwrap();
    let whole = caffemodel(&parameters, Caffe::Version1);
    // Another name of the same length: the tensor is missing under its own.
    let at = whole.windows(17).position(|bytes| bytes == b"inception_4c/5x5\x32").unwrap();
    let mut renamed = whole.clone();
    renamed[at + 10] = b'9';
    // The first length of the weights of conv1: the values no longer fit.
    let at = whole.windows(12).position(|bytes| bytes == b"conv1/7x7_s2").unwrap();
    let mut misshapen = whole.clone();
    assert_eq!(misshapen[at + 16..at + 18], [0x08, 64]);
    misshapen[at + 17] = 63;
    let cases = [
        ("renamed.caffemodel", renamed, "tensor inception_4c/5x5.weight is missing"),
        ("misshapen.caffemodel", misshapen, "tensor conv1/7x7_s2.weight"),
        ("half.caffemodel", whole[..whole.len() / 2].to_vec(), "no whole caffemodel"),
        ("empty.safetensors", Vec::new(), "no whole safetensors file"),
        ("weights.pt", whole.clone(), "neither in .safetensors nor in .caffemodel"),
    ];
    for (name, bytes, expected) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let failed = layerprint(folder.path()).args(["weights", "import"]).arg(&file).assert().failure();
        let text = String::from_utf8(failed.get_output().stderr.clone()).unwrap();
        assert!(text.contains(name) && text.contains(expected) && text.lines().count() == 1, "{text}");
        assert!(!folder.path().join("layerprint").exists());
    }
}

/// What a server does with one request.
#[derive(Clone, Copy)]
enum Answer {
    /// Sends this many bytes of what it announced, then hangs up.
    Breaks(usize),
    /// Sends all that was asked for.
    Whole,
    /// Knows no ranges: sends everything from the start.
    FromTheStart,
}

/// A server of one file that answers as told, a request each; sends the `Range` headers it saw.
fn server(file: Vec<u8>, answers: Vec<Answer>) -> (String, mpsc::Receiver<Option<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/weights.caffemodel", listener.local_addr().unwrap());
    let (told, ranges) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let _ = told.send(serve(stream, &file, answer));
        }
    });
    (url, ranges)
}

fn serve(mut stream: TcpStream, file: &[u8], answer: Answer) -> Option<usize> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap().to_ascii_lowercase();
        if let Some(begin) = line.strip_prefix("range: bytes=") {
            range = Some(begin.trim_end_matches('-').parse().unwrap());
        }
        if line.is_empty() {
            break;
        }
    }
    let (begin, status) = match (range, answer) {
        (Some(begin), Answer::Breaks(_) | Answer::Whole) if begin >= file.len() => {
            stream.write_all(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n").unwrap();
            return range;
        }
        (Some(begin), Answer::Breaks(_) | Answer::Whole) => {
            let (last, total) = (file.len() - 1, file.len());
            (begin, format!("206 Partial Content\r\nContent-Range: bytes {begin}-{last}/{total}"))
        }
        _ => (0, "200 OK".into()),
    };
    let body = &file[begin..];
    let sent = if let Answer::Breaks(count) = answer { count.min(body.len()) } else { body.len() };
    let header = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(header.as_bytes()).unwrap();
    let _ = stream.write_all(&body[..sent]);
    range
}

fn fetch(cache: &Path, url: &str, sha1: &str) -> assert_cmd::assert::Assert {
    let mut command = layerprint(cache);
    command.args(["weights", "fetch", "--timeout-s", "10", "--url", url, "--sha1", sha1]).assert()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_stopped() {
    let parameters = Source::Untrained.load(&Silent).unwrap();
    let file = caffemodel(&parameters, Caffe::Version1);
    let sha1 = hexadecimal(&Sha1::digest(&file));
    let folder = tempfile::tempdir().unwrap();
    let (url, ranges) = server(file.clone(), vec![Answer::Breaks(1_000_000), Answer::Whole]);

    fetch(folder.path(), &url, &sha1).failure().stderr(contains("the same command goes on from there"));
    let part = folder.path().join(format!("layerprint/{sha1}.part"));
    let kept = std::fs::read(&part).unwrap();
    assert!(!kept.is_empty() && file.starts_with(&kept));
    assert!(!folder.path().join("layerprint/bvlc_googlenet.safetensors").exists());

    fetch(folder.path(), &url, &sha1).success().stdout(contains(parameters.sha256()));
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [None, Some(kept.len())]);
    assert!(!part.exists());
    layerprint(folder.path()).args(["weights", "show"]).assert().success().stdout(contains(parameters.sha256()));
}

#[test]
fn a_server_that_knows_no_ranges_is_listened_to_from_the_start() {
    let parameters = Source::Untrained.load(&Silent).unwrap();
    let file = caffemodel(&parameters, Caffe::Version1);
    let sha1 = hexadecimal(&Sha1::digest(&file));
    let folder = tempfile::tempdir().unwrap();
    let (url, _ranges) = server(file, vec![Answer::Breaks(500_000), Answer::FromTheStart]);
    fetch(folder.path(), &url, &sha1).failure();
    fetch(folder.path(), &url, &sha1).success().stdout(contains(parameters.sha256()));
}

#[test]
fn a_download_of_another_checksum_is_refused_and_removed() {
    let file = b"not the weights".to_vec();
    let sha1 = hexadecimal(&Sha1::digest(b"the weights"));
    let folder = tempfile::tempdir().unwrap();
    let (url, _ranges) = server(file.clone(), vec![Answer::Whole]);
    let failed = fetch(folder.path(), &url, &sha1).failure();
    let text = String::from_utf8(failed.get_output().stderr.clone()).unwrap();
    assert!(text.contains(&sha1) && text.contains(&hexadecimal(&Sha1::digest(&file))), "{text}");
    assert_eq!(std::fs::read_dir(folder.path().join("layerprint")).unwrap().count(), 0);
}

#[test]
fn another_address_needs_a_checksum_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = layerprint(folder.path());
    command
        .args(["weights", "fetch", "--url", "http://127.0.0.1:1/x.caffemodel"])
        .assert()
        .failure()
        .stderr(contains("--sha1"));
    let sha1 = "0".repeat(40);
    fetch(folder.path(), "http://127.0.0.1:1/x.caffemodel", &sha1)
        .failure()
        .stderr(contains("cannot download http://127.0.0.1:1/"));
}
