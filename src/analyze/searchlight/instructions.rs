//! The widest registers that this machine has. They change the speed, never a bit of the result: every product is fused with
//! its addition, and every sum is added in the same order, on all of them.

/// What the innermost loops are compiled for.
#[derive(Clone, Copy, Debug)]
pub enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Any processor. Without fused products it is slow.
    Portable,
}

impl Instructions {
    /// The best that is there.
    pub fn of_this_machine() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fused && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Instructions::Avx512;
            }
            if fused {
                return Instructions::Avx2;
            }
        }
        Instructions::Portable
    }
}

/// Makes a function that runs `$inner::<WIDE>` compiled for the given [`Instructions`]. `WIDE` says that there are twice as
/// many registers of twice the size. `$inner` and what it calls must be `#[inline(always)]` to take part.
macro_rules! compiled {
    ($(#[$about:meta])* $visible:vis fn $name:ident = $inner:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty) => {
        $(#[$about])*
        $visible fn $name(
            instructions: $crate::analyze::searchlight::instructions::Instructions,
            $($argument: $type),*
        ) -> $output {
            use $crate::analyze::searchlight::instructions::Instructions;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
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
                Instructions::Portable => $inner::<false>($($argument),*),
            }
        }
    };
}

pub(super) use compiled;
