//! Lets the binary and its tests find libtorch without `LD_LIBRARY_PATH`, and puts NiiVue into it where `./run setup` has
//! fetched it.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by torch-sys, only when the feature "synthesize" is on.
    if let Ok(libtorch) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}");
    }
    // Set by cargo for this package's features.
    if std::env::var_os("CARGO_FEATURE_ANALYZE").is_some() {
        niivue();
    }
}

/// Copies the library (compressed) and its licences to where the sources include them; empty files where they are not there.
fn niivue() {
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for name in ["niivue.js.gz", "licences.txt"] {
        let fetched = Path::new(".niivue").join(name);
        let bytes = std::fs::read(&fetched).unwrap_or_default();
        if !bytes.is_empty() {
            println!("cargo:rerun-if-changed={}", fetched.display());
        }
        std::fs::write(Path::new(&out).join(name), bytes).expect("the build's own folder can be written");
    }
}
