//! What computes: the processor or a GPU, how many threads, and how precisely.

use tch::{Device, Kind};

use crate::synthesize::error::Error;

/// What the user wants to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, or an error.
    Cuda,
}

/// What the network computes in; RSMs and what follows from them are in float32 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Numbers of 24 significant bits.
    Float32,
    /// Factors of convolutions are cut to 11 significant bits; a GPU's only.
    Tf32,
    /// Weights and activations of 8 significant bits.
    Bf16,
}

impl Precision {
    /// As it is called in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Float32 => "float32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }

    /// What weights and activations are kept in.
    pub fn kind(self) -> Kind {
        match self {
            Precision::Float32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}

/// The device, the number of threads and the precision that everything is computed with.
#[derive(Clone, Copy, Debug)]
pub struct Computer {
    /// The device.
    pub device: Device,
    /// Threads on the processor.
    pub threads: u32,
    /// What the network computes in.
    pub precision: Precision,
}

impl Computer {
    /// One thread of the processor in float32: what tests compute with.
    #[cfg(test)]
    pub const PLAIN: Computer = Computer { device: Device::Cpu, threads: 1, precision: Precision::Float32 };

    /// Takes a device into use. `threads` is the number of processors where it is not given.
    pub fn choose(choice: Choice, precision: Precision, threads: Option<u32>) -> Result<Computer, Error> {
        keep_memory();
        let device = match choice {
            Choice::Cpu => Device::Cpu,
            Choice::Auto if cuda(precision).is_ok() => Device::Cuda(0),
            Choice::Auto => Device::Cpu,
            Choice::Cuda => cuda(precision).map(|()| Device::Cuda(0))?,
        };
        if precision == Precision::Tf32 && !device.is_cuda() {
            let what = "tf32 is a precision of GPUs: ask for float32 or bf16".into();
            return Err(Error::Device { device: "cpu", what });
        }
        let processors = || std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let threads = threads.unwrap_or_else(processors).max(1);
        tch::set_num_threads(threads as i32);
        Ok(Computer { device, threads, precision })
    }

    /// What measures the RSMs that a set is told by: float32, on the processor where this device is set to TF32, which
    /// holds for the whole process.
    pub fn measuring(&self) -> Computer {
        let device = if self.precision == Precision::Tf32 { Device::Cpu } else { self.device };
        Computer { device, precision: Precision::Float32, ..*self }
    }

    /// `cpu` or `cuda`.
    pub fn name(&self) -> &'static str {
        if self.device.is_cuda() { "cuda" } else { "cpu" }
    }
}

/// Loads the part of libtorch that knows GPUs. The linker leaves it out of the binary, so that one binary serves machines
/// with and without; it must be there before libtorch is used first.
#[cfg(unix)]
fn cuda(precision: Precision) -> Result<(), Error> {
    let refused = |what: String| Error::Device { device: "cuda", what };
    // Left alone, libtorch computes convolutions in TF32 and matrix products (the RSMs) in float32. TF32 cuts each factor to
    // 11 bits: layer RSMs would differ in their third digit from those of a processor.
    // SAFETY: the strings are C strings; no other thread runs yet that could read the environment. The library is
    // libtorch's own, made to be loaded at any time, and the error text is copied before any other call of the loader.
    unsafe {
        match precision {
            Precision::Tf32 => libc::unsetenv(c"NVIDIA_TF32_OVERRIDE".as_ptr()),
            Precision::Float32 | Precision::Bf16 => libc::setenv(c"NVIDIA_TF32_OVERRIDE".as_ptr(), c"0".as_ptr(), 1),
        };
        if libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let what = libc::dlerror();
            let what = if what.is_null() {
                "libtorch_cuda.so cannot be loaded".into()
            } else {
                std::ffi::CStr::from_ptr(what).to_string_lossy().into_owned()
            };
            return Err(refused(format!("this libtorch has no part for GPUs ({what})")));
        }
    }
    if tch::Cuda::is_available() { Ok(()) } else { Err(refused("no GPU or no driver was found".into())) }
}

#[cfg(not(unix))]
fn cuda(_: Precision) -> Result<(), Error> {
    if tch::Cuda::is_available() {
        Ok(())
    } else {
        Err(Error::Device { device: "cuda", what: "no GPU or no driver was found".into() })
    }
}

/// Lets glibc keep the memory that a step gives back for the next one. By default every large tensor is mapped anew, and
/// clearing its pages takes a fifth of a step's time; the peak grows by a tenth.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory() {
    // SAFETY: both settings are documented for any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_is_refused_on_a_processor() {
        let refused = Computer::choose(Choice::Cpu, Precision::Tf32, Some(1)).unwrap_err().to_string();
        assert_eq!(refused, "cannot compute on cpu: tf32 is a precision of GPUs: ask for float32 or bf16");
    }
}
