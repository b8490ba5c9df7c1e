//! The widest registers that this machine has. They change the speed, never a bit of the result: the same products are fused
//! with their additions, and every sum is added in the same order, on all of them.

use std::sync::LazyLock;

use crate::analyze::error::Error;

/// Names the most that may be used of what a machine has, so that its results can be held against each other.
const VARIABLE: &str = "LAYERPRINT_INSTRUCTIONS";

/// What the innermost loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Any processor. Without fused products it is slow.
    Portable,
    Avx2,
    Avx512,
}

impl Instructions {
    /// The best that is there and may be used.
    pub fn of_this_machine() -> Instructions {
        static BEST: LazyLock<Instructions> =
            LazyLock::new(|| Instructions::found().min(Instructions::allowed().unwrap_or(Instructions::Portable)));
        *BEST
    }

    fn found() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
            if fused && wide && is_x86_feature_detected!("avx512bw") {
                return Instructions::Avx512;
            }
            if fused {
                return Instructions::Avx2;
            }
        }
        Instructions::Portable
    }

    /// What the environment allows: all, where it does not say.
    pub fn allowed() -> Result<Instructions, Error> {
        let Some(word) = std::env::var_os(VARIABLE) else { return Ok(Instructions::Avx512) };
        match word.to_str() {
            Some("portable") => Ok(Instructions::Portable),
            Some("avx2") => Ok(Instructions::Avx2),
            Some("avx512") => Ok(Instructions::Avx512),
            _ => Err(Error::Instructions { variable: VARIABLE, word: word.to_string_lossy().into_owned() }),
        }
    }
}

/// Makes a function that runs `$inner::<WIDE>` compiled for the given [`Instructions`]. `WIDE` says that there are twice as
/// many registers of twice the size. `$inner` and what it calls must be `#[inline(always)]` to take part.
macro_rules! compiled {
    ($(#[$about:meta])* $visible:vis fn $name:ident = $inner:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty) => {
        $(#[$about])*
        $visible fn $name(instructions: $crate::analyze::instructions::Instructions, $($argument: $type),*) -> $output {
            #[cfg(target_arch = "x86_64")]
            use $crate::analyze::instructions::Instructions;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($argument: $type),*) -> $output {
                $inner::<true>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) -> $output {
                $inner::<false>($($argument),*)
            }
            match instructions {
                // SAFETY: `of_this_machine` found these instructions.
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: `of_this_machine` found these instructions.
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => unsafe { avx2($($argument),*) },
                _ => $inner::<false>($($argument),*),
            }
        }
    };
}

pub(super) use compiled;
