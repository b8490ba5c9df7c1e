//! NIfTI-1 files (`.nii`, `.nii.gz`): the only file that knows their format.
//!
//! Reading goes through a guard, because a damaged or unusual header must end in a message and never in wrong voxels: the
//! compression is told by content, every field that decides where and how voxels lie is checked, and the data's size is
//! held against the file's. Then volumes are streamed, one at a time; memory is taken for bytes that are there.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::Path;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use nalgebra::Matrix4;
use nifti::{Endianness, NiftiHeader, NiftiType, XForm};

use crate::brain::error::Error;
use crate::brain::grid::Grid;
use crate::brain::image::{Mask, Series, Volume};
use crate::study;

const HEADER_BYTES: usize = 348;
/// Header and the four bytes that say "no extension follows".
const DATA_OFFSET: usize = 352;
/// No gzip stream expands further than this.
const MOST_EXPANSION: u64 = 1032;

/// Reads a three-dimensional image (a fourth dimension of 1 is allowed), scaled by its slope and intercept.
pub fn read_volume(path: &Path) -> Result<Volume, Error> {
    let mut image = Image::open(path)?;
    if image.volumes != 1 {
        return Err(Error::content(path, format!("expected one volume, found {}", image.volumes)));
    }
    let (mut bytes, mut data) = (Vec::new(), Vec::new());
    image.read_volume(&mut bytes)?;
    image.finish()?;
    image.decode(&bytes, std::slice::from_ref(&(0..image.grid.len())), &mut data);
    Ok(Volume { grid: image.grid, data })
}

/// Reads a mask: the voxels with a finite value other than 0, of which there must be one.
pub fn read_mask(path: &Path) -> Result<Mask, Error> {
    let mask = Mask::of(&read_volume(path)?);
    if mask.is_empty() { Err(Error::content(path, "the mask is empty")) } else { Ok(mask) }
}

/// Reads the time courses of the voxels of a mask from a four-dimensional image on the grid of the mask (which came from
/// `mask_path`). Volumes are streamed: memory is taken for the voxels of the mask only.
pub fn read_series(path: &Path, mask: &Mask, mask_path: &Path) -> Result<Series, Error> {
    let mut reader = SeriesReader::open(path, mask, mask_path)?;
    let mut data = Vec::new();
    while reader.read(1, &mut data)? > 0 {}
    Ok(Series { tr_s: reader.tr_s(), volumes: reader.volumes(), data })
}

/// A four-dimensional image that is read volume by volume, and of each the voxels of a mask.
pub struct SeriesReader {
    image: Image,
    voxels: usize,
    /// The voxels of the mask, as stretches that follow each other in the file.
    stretches: Vec<Range<usize>>,
    bytes: Vec<u8>,
    left: usize,
}

impl SeriesReader {
    /// Opens an image on the grid of the mask (which came from `mask_path`).
    pub fn open(path: &Path, mask: &Mask, mask_path: &Path) -> Result<SeriesReader, Error> {
        let image = Image::open(path)?;
        if !image.grid.matches(mask.grid()) {
            return Err(Error::Grid {
                path: path.into(),
                grid: image.grid.to_string(),
                other: mask_path.into(),
                other_grid: mask.grid().to_string(),
            });
        }
        let stretches =
            mask.voxels().chunk_by(|a, b| a + 1 == *b).map(|stretch| stretch[0]..stretch[0] + stretch.len());
        let (voxels, left) = (mask.len(), image.volumes);
        Ok(SeriesReader { image, voxels, stretches: stretches.collect(), bytes: Vec::new(), left })
    }

    /// Seconds from one volume to the next; `None` where the file does not say.
    pub fn tr_s(&self) -> Option<f64> {
        self.image.tr_s
    }

    /// The number of volumes.
    pub fn volumes(&self) -> usize {
        self.image.volumes
    }

    /// The number of voxels in the mask.
    pub fn voxels(&self) -> usize {
        self.voxels
    }

    /// Appends the mask's voxels of the next volumes, in its order, `most` volumes if so many are left; says how many. After
    /// the last volume it makes sure that the file ends well.
    pub fn read(&mut self, most: usize, data: &mut Vec<f32>) -> Result<usize, Error> {
        let count = most.min(self.left);
        for _ in 0..count {
            self.image.read_volume(&mut self.bytes)?;
            self.image.decode(&self.bytes, &self.stretches, data);
        }
        self.left -= count;
        if count > 0 && self.left == 0 {
            self.image.finish()?;
        }
        Ok(count)
    }
}

/// The grid of an image and its number of volumes, from its header alone.
pub fn read_grid(path: &Path) -> Result<(Grid, usize), Error> {
    Image::open(path).map(|image| (image.grid, image.volumes))
}

/// Seconds from one volume to the next, from an image's header alone; `None` where it does not say.
pub fn read_tr(path: &Path) -> Result<Option<f64>, Error> {
    Image::open(path).map(|image| image.tr_s)
}

/// Writes a volume as float32; compressed if the name ends in `.gz`. Complete or not at all.
pub fn write_volume(path: &Path, volume: &Volume) -> Result<(), Error> {
    let header = header_for(&volume.grid, &[], None, NiftiType::Float32);
    write_image(path, &header, |sink| write_floats(sink, &volume.data))
}

/// Writes whole numbers (indices of regions, counts), one for each voxel of the grid, as int16.
pub fn write_labels(path: &Path, grid: &Grid, labels: &[i16]) -> Result<(), Error> {
    assert_eq!(labels.len(), grid.len(), "one label for each voxel");
    let header = header_for(grid, &[], None, NiftiType::Int16);
    write_image(path, &header, |sink| labels.iter().try_for_each(|label| sink.write_all(&label.to_le_bytes())))
}

/// The compressed file, as bytes, of whole numbers of steps, one for each voxel of the grid: a voxel's value is its number
/// times the step. Compressed as far as it goes.
pub fn encode_steps(grid: &Grid, steps: &[i16], step: f64) -> Vec<u8> {
    assert_eq!(steps.len(), grid.len(), "one number for each voxel");
    let mut header = header_for(grid, &[], None, NiftiType::Int16);
    (header.scl_slope, header.scl_inter) = (step as f32, 0.0);
    let mut bytes = header_bytes(&header);
    bytes.extend(steps.iter().flat_map(|number| number.to_le_bytes()));
    let mut sink = GzEncoder::new(Vec::new(), Compression::best());
    sink.write_all(&bytes).and_then(|()| sink.finish()).expect("memory takes what is written to it")
}

/// Writes a series as a four-dimensional float32 image, with `outside` at the voxels that are not in the mask.
pub fn write_series(path: &Path, mask: &Mask, series: &Series, outside: f32) -> Result<(), Error> {
    let header = header_for(mask.grid(), &[series.volumes], series.tr_s, NiftiType::Float32);
    write_image(path, &header, |sink| {
        (0..series.volumes).try_for_each(|t| write_floats(sink, &mask.fill(series.volume(t), outside).data))
    })
}

/// An image whose header was read and found sound; its voxels come next.
struct Image {
    path: std::path::PathBuf,
    header: NiftiHeader,
    grid: Grid,
    volumes: usize,
    tr_s: Option<f64>,
    element: NiftiType,
    source: Box<dyn Read + Send>,
}

impl Image {
    fn open(path: &Path) -> Result<Image, Error> {
        let wrong = |what: String| Error::content(path, what);
        let read = |source| study::Error::File { action: "read", path: path.into(), source };
        let file = File::open(path).map_err(read)?;
        let file_bytes = file.metadata().map_err(read)?.len();
        let mut source = decompressed(file).map_err(read)?;

        let mut raw = [0; HEADER_BYTES];
        source.read_exact(&mut raw).map_err(|e| too_short(path, e))?;
        check_kind(&raw).map_err(wrong)?;
        let mut header = NiftiHeader::from_reader(&raw[..]).map_err(|e| wrong(e.to_string()))?;
        check_dims(&header).map_err(wrong)?;
        check_values(&mut header).map_err(wrong)?;
        let grid = grid_of(&header).map_err(wrong)?;
        let volumes = volumes_of(&header);

        let offset = header.vox_offset as usize;
        let element = element(&header).map_err(wrong)?;
        let bytes = grid.len() as u64 * volumes as u64 * element.size_of() as u64;
        if offset as u64 + bytes > file_bytes.saturating_mul(MOST_EXPANSION) {
            return Err(wrong(format!("its header asks for {bytes} bytes of voxels, more than the file can hold")));
        }
        let skipped = std::io::copy(&mut (&mut source).take((offset - HEADER_BYTES) as u64), &mut std::io::sink());
        skipped.map_err(|e| too_short(path, e))?;
        let tr_s = tr_of(&header);
        Ok(Image { path: path.into(), header, grid, volumes, tr_s, element, source })
    }

    /// Reads the bytes of the next volume. Their memory grows with what arrives, whatever the header asks for.
    fn read_volume(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let wanted = self.grid.len() * self.element.size_of();
        bytes.clear();
        let found = (&mut self.source).take(wanted as u64).read_to_end(bytes).map_err(|e| too_short(&self.path, e))?;
        if found < wanted { Err(too_short(&self.path, ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    /// Appends the values of some stretches of a volume, scaled in double precision as nibabel does.
    fn decode(&self, bytes: &[u8], stretches: &[Range<usize>], values: &mut Vec<f32>) {
        let (slope, inter) = (f64::from(self.header.scl_slope), f64::from(self.header.scl_inter));
        macro_rules! scaled {
            ($number:ty) => {{
                let (whole, _) = bytes.as_chunks::<{ size_of::<$number>() }>();
                let scale = |value: $number| (value as f64 * slope + inter) as f32;
                for stretch in stretches.iter().cloned() {
                    match self.header.endianness {
                        Endianness::Little => {
                            values.extend(whole[stretch].iter().map(|value| scale(<$number>::from_le_bytes(*value))))
                        }
                        Endianness::Big => {
                            values.extend(whole[stretch].iter().map(|value| scale(<$number>::from_be_bytes(*value))))
                        }
                    }
                }
            }};
        }
        match self.element {
            NiftiType::Uint8 => scaled!(u8),
            NiftiType::Int8 => scaled!(i8),
            NiftiType::Uint16 => scaled!(u16),
            NiftiType::Int16 => scaled!(i16),
            NiftiType::Uint32 => scaled!(u32),
            NiftiType::Int32 => scaled!(i32),
            NiftiType::Uint64 => scaled!(u64),
            NiftiType::Int64 => scaled!(i64),
            NiftiType::Float64 => scaled!(f64),
            // What is stored in single precision and not scaled survives the way through double precision.
            _ => scaled!(f32),
        }
    }

    /// Reads to the end, which checks the checksum of a compressed file.
    fn finish(&mut self) -> Result<(), Error> {
        std::io::copy(&mut self.source, &mut std::io::sink()).map_err(|e| too_short(&self.path, e))?;
        Ok(())
    }
}

fn too_short(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::content(path, "the file ends too early: it is truncated"),
        _ => study::Error::File { action: "read", path: path.into(), source: error }.into(),
    }
}

/// The content of a file, decompressed if its first two bytes say that it is gzip, whatever its name.
fn decompressed(mut file: File) -> std::io::Result<Box<dyn Read + Send>> {
    let mut magic = [0; 2];
    let mut found = 0;
    while found < 2 {
        match file.read(&mut magic[found..])? {
            0 => break,
            n => found += n,
        }
    }
    let source = BufReader::with_capacity(1 << 16, std::io::Cursor::new(magic).take(found as u64).chain(file));
    Ok(if magic == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}

/// Tells a NIfTI-1 single file from everything else.
fn check_kind(raw: &[u8; HEADER_BYTES]) -> Result<(), String> {
    let size = [raw[0], raw[1], raw[2], raw[3]];
    match i32::from_le_bytes(size) {
        348 => {}
        _ if i32::from_be_bytes(size) == 348 => {}
        540 => return Err("is NIfTI-2, which is not read: convert it to NIfTI-1".into()),
        _ => return Err("is not a NIfTI-1 image".into()),
    }
    match &raw[344..348] {
        b"n+1\0" => Ok(()),
        b"ni1\0" => Err("is a header without voxels (a .hdr/.img pair): convert it to one .nii file".into()),
        _ => Err("is not a NIfTI-1 image".into()),
    }
}

fn check_dims(header: &NiftiHeader) -> Result<(), String> {
    let dim = &header.dim;
    let shown = || format!("its dimensions {dim:?} are not those of a volume or a series");
    if !(3..=7).contains(&dim[0]) {
        return Err(shown());
    }
    let rank = dim[0] as usize;
    // Stored signed: what reads as more than this is negative.
    if dim[1..=rank].iter().any(|&n| n == 0 || n > i16::MAX as u16)
        || dim[5.min(rank + 1)..=rank].iter().any(|&n| n != 1)
    {
        return Err(shown());
    }
    Ok(())
}

/// Checks the fields that decide where and how voxels are stored, and mends those that the standard calls unset.
fn check_values(header: &mut NiftiHeader) -> Result<(), String> {
    let element = element(header)?;
    // Some writers leave bitpix wrong; the type decides.
    header.bitpix = 8 * element.size_of() as i16;
    let offset = header.vox_offset;
    if !(0.0..=1e9).contains(&offset) || offset.fract() != 0.0 {
        return Err(format!("its voxels cannot begin at byte {offset}"));
    }
    header.vox_offset = if offset == 0.0 { DATA_OFFSET as f32 } else { offset };
    if header.vox_offset < DATA_OFFSET as f32 {
        return Err(format!("its voxels cannot begin at byte {offset}, inside the header"));
    }
    // "scl_slope = 0: do not scale"; a NaN is how some writers say so.
    if !header.scl_slope.is_finite() || header.scl_slope == 0.0 {
        (header.scl_slope, header.scl_inter) = (1.0, 0.0);
    }
    if !header.scl_inter.is_finite() {
        header.scl_inter = 0.0;
    }
    Ok(())
}

fn element(header: &NiftiHeader) -> Result<NiftiType, String> {
    use NiftiType::*;
    match header.data_type() {
        Ok(t @ (Uint8 | Int8 | Uint16 | Int16 | Uint32 | Int32 | Uint64 | Int64 | Float32 | Float64)) => Ok(t),
        Ok(other) => Err(format!("its voxels are {other:?}, not real numbers")),
        Err(_) => Err(format!("its data type {} is not known", header.datatype)),
    }
}

fn volumes_of(header: &NiftiHeader) -> usize {
    if header.dim[0] >= 4 { header.dim[4] as usize } else { 1 }
}

fn tr_of(header: &NiftiHeader) -> Option<f64> {
    let tr = f64::from(header.pixdim[4]);
    let seconds = match header.xyzt_units & 0o70 {
        16 => tr / 1e3,
        24 => tr / 1e6,
        _ => tr,
    };
    (header.dim[0] >= 4 && seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

fn grid_of(header: &NiftiHeader) -> Result<Grid, String> {
    let mut header = header.clone();
    let dims = [1, 2, 3].map(|axis| header.dim[axis] as usize);
    if header.sform_code == 0 {
        let sizes = [1, 2, 3].map(|axis| header.pixdim[axis]);
        if !sizes.iter().all(|&mm| mm.is_finite() && mm > 0.0) {
            return Err(format!("its voxels have the size {sizes:?} mm"));
        }
        if header.qform_code != 0 {
            // "pixdim[0] should be 1 or -1; 0 counts as 1".
            header.pixdim[0] = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
            let quaternion = [header.quatern_b, header.quatern_c, header.quatern_d];
            let length = quaternion.iter().map(|&q| f64::from(q).powi(2)).sum::<f64>().sqrt();
            if length.is_nan() || length > 1.0 + 1e-5 {
                return Err(format!("its orientation {quaternion:?} is no rotation"));
            }
            if length > 1.0 {
                // A hair above 1, whatever the rounding: what is left for the real part is 0 then, and not a root of 1e-7.
                let shrunk = quaternion.map(|q| (f64::from(q) / length * (1.0 + 1e-7)) as f32);
                [header.quatern_b, header.quatern_c, header.quatern_d] = shrunk;
            }
        } else {
            header.dim[0] = 3;
        }
    }
    let matrix: Matrix4<f64> = header.affine();
    let affine = [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| matrix[(row, column)]));
    let volume = matrix.fixed_view::<3, 3>(0, 0).determinant();
    if !matrix.iter().all(|v| v.is_finite()) || volume.abs() <= 1e-9 {
        return Err(format!("its affine {affine:?} does not span space"));
    }
    Ok(Grid { dims, affine })
}

fn header_for(grid: &Grid, more_dims: &[usize], tr_s: Option<f64>, element: NiftiType) -> NiftiHeader {
    let mut header = NiftiHeader { endianness: Endianness::Little, ..NiftiHeader::default() };
    let all: Vec<usize> = grid.dims.iter().chain(more_dims).copied().collect();
    header.dim = [1; 8];
    header.dim[0] = all.len() as u16;
    for (place, &n) in header.dim[1..].iter_mut().zip(&all) {
        *place = u16::try_from(n).ok().filter(|&n| n <= i16::MAX as u16).expect("a grid that NIfTI-1 can hold");
    }
    let matrix = Matrix4::from_fn(
        |row, column| {
            if row < 3 { grid.affine[row][column] } else { f64::from(u8::from(column == 3)) }
        },
    );
    header.set_qform(&matrix, XForm::AlignedAnat);
    header.set_sform(&matrix, XForm::AlignedAnat);
    // Axes without a length of their own count as 1: validators take 0 for a mistake.
    header.pixdim[4] = tr_s.unwrap_or(1.0) as f32;
    // mm and seconds
    header.xyzt_units = 2 | 8;
    header.datatype = element as i16;
    header.bitpix = 8 * element.size_of() as i16;
    header.vox_offset = DATA_OFFSET as f32;
    header.magic = *b"n+1\0";
    let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    header.descrip[..program.len()].copy_from_slice(program.as_bytes());
    header
}

/// The 348 bytes of a header and the four that say that no extension follows, little-endian.
fn header_bytes(header: &NiftiHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DATA_OFFSET);
    macro_rules! put {
        ($($value:expr),* $(,)?) => { { $( bytes.extend_from_slice(&$value.to_le_bytes()); )* } };
    }
    put!(header.sizeof_hdr);
    bytes.extend_from_slice(&header.data_type);
    bytes.extend_from_slice(&header.db_name);
    put!(header.extents, header.session_error, header.regular, header.dim_info);
    header.dim.iter().for_each(|n| put!(n));
    put!(header.intent_p1, header.intent_p2, header.intent_p3, header.intent_code);
    put!(header.datatype, header.bitpix, header.slice_start);
    header.pixdim.iter().for_each(|mm| put!(mm));
    put!(header.vox_offset, header.scl_slope, header.scl_inter, header.slice_end, header.slice_code);
    put!(header.xyzt_units, header.cal_max, header.cal_min, header.slice_duration, header.toffset);
    put!(header.glmax, header.glmin);
    bytes.extend_from_slice(&header.descrip);
    bytes.extend_from_slice(&header.aux_file);
    put!(header.qform_code, header.sform_code, header.quatern_b, header.quatern_c, header.quatern_d);
    put!(header.quatern_x, header.quatern_y, header.quatern_z);
    for row in [header.srow_x, header.srow_y, header.srow_z] {
        row.iter().for_each(|mm| put!(mm));
    }
    bytes.extend_from_slice(&header.intent_name);
    bytes.extend_from_slice(&header.magic);
    assert_eq!(bytes.len(), HEADER_BYTES);
    bytes.resize(DATA_OFFSET, 0);
    bytes
}

fn write_floats(sink: &mut dyn Write, values: &[f32]) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    sink.write_all(&bytes)
}

fn write_image(
    path: &Path,
    header: &NiftiHeader,
    voxels: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    let compress = path.extension().is_some_and(|extension| extension == "gz");
    let written = study::file::write_with(path, |file| {
        if compress {
            // No time stamp in the stream: the same voxels are the same bytes.
            let mut sink = GzEncoder::new(BufWriter::new(file), Compression::fast());
            sink.write_all(&header_bytes(header))?;
            voxels(&mut sink)?;
            sink.finish()?.flush()
        } else {
            let mut sink = BufWriter::new(file);
            sink.write_all(&header_bytes(header))?;
            voxels(&mut sink)?;
            sink.flush()
        }
    });
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume whose value is its coordinate shows a swapped axis.
    fn coordinates() -> Volume {
        let grid =
            Grid { dims: [3, 4, 5], affine: [[-2.0, 0.0, 0.5, 90.0], [0.0, 2.5, 0.0, -10.0], [0.25, 0.0, 3.0, 5.0]] };
        let value = |index| grid.voxel(index).iter().fold(0, |sum, &n| 10 * sum + n) as f32;
        let data = (0..grid.len()).map(value).collect();
        Volume { grid, data }
    }

    fn bytes_of(volume: &Volume) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.nii");
        write_volume(&path, volume).unwrap();
        std::fs::read(path).unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Volume, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.nii");
        std::fs::write(&path, bytes).unwrap();
        read_volume(&path)
    }

    fn with(at: usize, new: &[u8]) -> Vec<u8> {
        let mut bytes = bytes_of(&coordinates());
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }

    #[test]
    fn a_volume_survives_compressed_and_plain_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x_r3.5mm_map.nii", "x_r3.5mm_map.nii.gz"] {
            let path = folder.path().join(name);
            write_volume(&path, &coordinates()).unwrap();
            let read = read_volume(&path).unwrap();
            assert_eq!(read.data, coordinates().data);
            assert!(read.grid.matches(&coordinates().grid));
            let other = folder.path().join("renamed");
            std::fs::rename(&path, &other).unwrap();
            assert_eq!(read_volume(&other).unwrap().data, coordinates().data);
        }
    }

    #[test]
    fn a_series_is_read_under_its_mask_with_its_tr() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.nii.gz");
        let volume = coordinates();
        let mask = Mask::new(volume.grid.clone(), vec![3, 7, 59]);
        let series = Series { tr_s: Some(1.5), volumes: 2, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        write_series(&path, &mask, &series, f32::NAN).unwrap();
        assert_eq!(read_series(&path, &mask, &path).unwrap(), series);
        assert_eq!(read_grid(&path).unwrap().1, 2);
        let mut elsewhere = volume.grid.clone();
        elsewhere.affine[1][3] += 1.0;
        let moved = Mask::new(elsewhere, vec![3]);
        assert!(matches!(read_series(&path, &moved, &path), Err(Error::Grid { .. })));
    }

    #[test]
    fn scaled_integers_of_either_byte_order_are_read() {
        let volume = coordinates();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.nii");
        let labels: Vec<i16> = volume.data.iter().map(|&v| v as i16).collect();
        write_labels(&path, &volume.grid, &labels).unwrap();
        let mut little = std::fs::read(&path).unwrap();
        little[112..116].copy_from_slice(&0.5_f32.to_le_bytes());
        little[116..120].copy_from_slice(&10.0_f32.to_le_bytes());
        let expected: Vec<f32> = volume.data.iter().map(|v| v * 0.5 + 10.0).collect();
        assert_eq!(read_bytes(&little).unwrap().data, expected);

        let mut big = little.clone();
        let mut swap = |from: usize, to: usize, width: usize| big[from..to].chunks_mut(width).for_each(<[u8]>::reverse);
        swap(0, 4, 4);
        swap(40, 56, 2);
        swap(68, 76, 2);
        swap(76, 120, 4);
        swap(252, 256, 2);
        swap(256, 328, 4);
        swap(352, little.len(), 2);
        let read = read_bytes(&big).unwrap();
        assert_eq!(read.data, expected);
        assert!(read.grid.matches(&volume.grid));
    }

    #[test]
    fn voxels_behind_an_extension_are_found() {
        let mut bytes = bytes_of(&coordinates());
        bytes[108..112].copy_from_slice(&400.0_f32.to_le_bytes());
        bytes.splice(352..352, [0xAB; 48]);
        for flag in [0, 1] {
            bytes[348] = flag;
            assert_eq!(read_bytes(&bytes).unwrap().data, coordinates().data);
        }
    }

    #[test]
    fn the_data_type_decides_where_bitpix_disagrees() {
        assert_eq!(read_bytes(&with(72, &8_i16.to_le_bytes())).unwrap().data, coordinates().data);
    }

    #[test]
    fn gzip_in_two_members_is_read_to_its_end_and_a_lost_end_is_seen() {
        let bytes = bytes_of(&coordinates());
        let member = |part: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        };
        // Within the header, and within the voxels.
        for place in [100, 400] {
            let two = [member(&bytes[..place]), member(&bytes[place..])].concat();
            assert_eq!(read_bytes(&two).unwrap().data, coordinates().data);
            // Voxels are missing, or of the checksum alone the last byte.
            for length in [two.len() - 30, two.len() - 1] {
                assert!(read_bytes(&two[..length]).unwrap_err().to_string().contains("truncated"), "{length}");
            }
        }
    }

    #[test]
    fn an_unset_slope_is_no_slope() {
        let read = read_bytes(&with(112, &f32::NAN.to_le_bytes())).unwrap();
        assert_eq!(read.data, coordinates().data);
    }

    #[test]
    fn the_orientation_may_come_from_the_quaternion_alone() {
        let mut straight = coordinates();
        straight.grid.affine = [[-2.0, 0.0, 0.0, 9.0], [0.0, 0.0, 3.0, 1.0], [0.0, 2.0, 0.0, 5.0]];
        let mut bytes = bytes_of(&straight);
        bytes[254..256].copy_from_slice(&0_i16.to_le_bytes());
        assert!(read_bytes(&bytes).unwrap().grid.matches(&straight.grid));

        // A handedness of 0 counts as 1, and a length above 1 by rounding as 1.
        bytes[76..80].copy_from_slice(&0_f32.to_le_bytes());
        assert!(read_bytes(&bytes).unwrap().grid.matches(&straight.grid));
        let sides = [256, 260, 264].map(|at| bytes[at..at + 4].try_into().map(f32::from_le_bytes).unwrap());
        let turned = |by: f32| {
            let mut bytes = bytes.clone();
            for (at, side) in [256, 260, 264].into_iter().zip(sides) {
                bytes[at..at + 4].copy_from_slice(&(side * by).to_le_bytes());
            }
            read_bytes(&bytes)
        };
        assert!(turned(1.000_005).unwrap().grid.matches(&straight.grid));
        assert!(turned(1.5).unwrap_err().to_string().contains("is no rotation"));
        bytes[84..88].copy_from_slice(&(-3_f32).to_le_bytes());
        assert!(read_bytes(&bytes).unwrap_err().to_string().contains("its voxels have the size"));
    }

    #[test]
    fn damaged_headers_end_in_a_message() {
        let short = &bytes_of(&coordinates())[..500];
        assert!(read_bytes(short).unwrap_err().to_string().contains("truncated"));
        assert!(read_bytes(&bytes_of(&coordinates())[..100]).unwrap_err().to_string().contains("truncated"));
        assert!(read_bytes(b"").unwrap_err().to_string().contains("truncated"));
        assert!(read_bytes(&b"no image, but a letter. ".repeat(20)).unwrap_err().to_string().contains("not a NIfTI-1"));
        for (at, new, expected) in [
            (0, &540_i32.to_le_bytes()[..], "NIfTI-2"),
            (0, &1234_i32.to_le_bytes(), "not a NIfTI-1"),
            (344, b"ni1\0", ".hdr/.img"),
            (42, &0_u16.to_le_bytes(), "dimensions"),
            (42, &(-3_i16).to_le_bytes(), "dimensions"),
            (42, &7_u16.to_le_bytes(), "truncated"),
            (40, &200_u16.to_le_bytes(), "dimensions"),
            (70, &32_i16.to_le_bytes(), "not real numbers"),
            (70, &7_i16.to_le_bytes(), "data type 7"),
            (108, &f32::NAN.to_le_bytes(), "byte NaN"),
            (108, &100.0_f32.to_le_bytes(), "inside the header"),
            (280, &f32::INFINITY.to_le_bytes(), "affine"),
        ] {
            let message = read_bytes(&with(at, new)).unwrap_err().to_string();
            assert!(message.contains(expected), "byte {at}: {message}");
        }
    }

    #[test]
    fn encoded_steps_are_a_file_with_their_values() {
        let grid = coordinates().grid;
        let steps: Vec<i16> = (0..grid.len() as i16).map(|number| number - 30).collect();
        let read = read_bytes(&encode_steps(&grid, &steps, 0.25)).unwrap();
        assert!(read.grid.matches(&grid));
        assert!(read.data.iter().zip(steps).all(|(value, number)| *value == 0.25 * f32::from(number)));
    }

    #[test]
    fn a_header_that_asks_for_more_than_the_file_can_hold_takes_no_memory() {
        let mut bytes = with(42, &32767_u16.to_le_bytes());
        bytes[44..48].copy_from_slice(&[0xff, 0x7f, 0xff, 0x7f]);
        assert!(read_bytes(&bytes).unwrap_err().to_string().contains("more than the file can hold"));
    }

    #[test]
    fn a_flipped_bit_in_a_compressed_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.nii.gz");
        write_volume(&path, &coordinates()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.len() - 6;
        bytes[place] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(read_volume(&path).is_err());
    }
}
