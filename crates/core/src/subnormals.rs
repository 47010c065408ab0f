// SPDX-License-Identifier: Apache-2.0
//! Whether a thread's arithmetic knows subnormal numbers. `torch.set_flush_denormal`, or a library compiled for fast
//! mathematics, makes the processor take them for zero. Results would then depend on who called, and bounds that lie
//! right above zero would be none.

/// Calls `body` with arithmetic on this thread as IEEE 754 defines it; afterwards the mode is what it was. Threads that
/// `body` starts know subnormal numbers too.
///
/// ```
/// let half = patina3d_core::subnormals::kept(|| std::hint::black_box(f32::MIN_POSITIVE) / 2.0);
/// assert!(half > 0.0);
/// ```
pub fn kept<R>(body: impl FnOnce() -> R) -> R {
    let before = register::read();
    if before & register::FLUSH == 0 {
        return body();
    }
    let _restored = Restored(before);
    register::write(before & !register::FLUSH);
    body()
}

/// Puts the register back, after a panic too.
struct Restored(register::Word);

impl Drop for Restored {
    fn drop(&mut self) {
        register::write(self.0);
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the mode is a register of the processor")]
mod register {
    use std::arch::asm;

    pub(super) type Word = u32;
    /// Subnormal operands are zeros; subnormal results are.
    pub(super) const FLUSH: Word = 1 << 6 | 1 << 15;

    pub(super) fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: every x86-64 processor has MXCSR; the instruction writes it to `word`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: `word` is one that was read, with or without the two bits that each processor has.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the mode is a register of the processor")]
mod register {
    use std::arch::asm;

    pub(super) type Word = u64;
    /// Subnormal operands are zeros; those of half precision; subnormal operands and results are.
    pub(super) const FLUSH: Word = 1 | 1 << 19 | 1 << 24;

    pub(super) fn read() -> Word {
        let word: Word;
        // SAFETY: programs may read FPCR.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: programs may write FPCR; `word` is one that was read, with or without the three bits.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub(super) type Word = u32;
    pub(super) const FLUSH: Word = 0;

    pub(super) fn read() -> Word {
        0
    }

    pub(super) fn write(_: Word) {}
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::hint::black_box;
    use std::panic::catch_unwind;

    use super::*;

    /// Of half the least normal number: where subnormal numbers are flushed, a comparison would be blind to it.
    fn bits() -> u32 {
        (black_box(f32::MIN_POSITIVE) * black_box(0.5)).to_bits()
    }

    /// Calls `body` on a thread that flushes.
    fn flushing(body: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                register::write(register::read() | register::FLUSH);
                body();
            });
        });
    }

    #[test]
    fn subnormals_are_kept_and_the_mode_is_put_back() {
        flushing(|| {
            assert_eq!(bits(), 0);
            assert_eq!(kept(bits), 1 << 22);
            assert_eq!(bits(), 0);
            assert!(catch_unwind(|| kept(|| panic!("on purpose"))).is_err());
            assert_eq!(bits(), 0);
        });
    }

    #[test]
    fn threads_of_the_pool_keep_them_too() {
        use rayon::prelude::*;
        flushing(|| {
            let all_kept = || (0..64).into_par_iter().all(|_| bits() == 1 << 22);
            assert!(kept(|| crate::pool::run(5, usize::MAX, |_| all_kept())));
        });
    }
}
