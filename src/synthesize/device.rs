//! What computes: the processor or a GPU, and how many threads.

use tch::Device;

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

/// The device and the number of threads that everything is computed with.
#[derive(Clone, Copy, Debug)]
pub struct Computer {
    /// The device.
    pub device: Device,
    /// Threads on the processor.
    pub threads: u32,
}

impl Computer {
    /// Takes a device into use. `threads` is the number of processors where it is not given.
    pub fn choose(choice: Choice, threads: Option<u32>) -> Result<Computer, Error> {
        let device = match choice {
            Choice::Cpu => Device::Cpu,
            Choice::Auto if cuda().is_ok() => Device::Cuda(0),
            Choice::Auto => Device::Cpu,
            Choice::Cuda => cuda().map(|()| Device::Cuda(0))?,
        };
        let processors = || std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let threads = threads.unwrap_or_else(processors).max(1);
        tch::set_num_threads(threads as i32);
        Ok(Computer { device, threads })
    }

    /// `cpu` or `cuda`.
    pub fn name(&self) -> &'static str {
        if self.device.is_cuda() { "cuda" } else { "cpu" }
    }
}

/// Loads the part of libtorch that knows GPUs. The linker leaves it out of the binary, so that one binary serves machines
/// with and without; it must be there before libtorch is used first.
#[cfg(unix)]
fn cuda() -> Result<(), Error> {
    let refused = |what: String| Error::Device { device: "cuda", what };
    // TF32 keeps 10 bits of each factor: layer RSMs would differ in their third digit from those of a processor.
    // SAFETY: the strings are C strings; no other thread runs yet that could read the environment. The library is
    // libtorch's own, made to be loaded at any time, and the error text is copied before any other call of the loader.
    unsafe {
        libc::setenv(c"NVIDIA_TF32_OVERRIDE".as_ptr(), c"0".as_ptr(), 0);
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
fn cuda() -> Result<(), Error> {
    if tch::Cuda::is_available() {
        Ok(())
    } else {
        Err(Error::Device { device: "cuda", what: "no GPU or no driver was found".into() })
    }
}
