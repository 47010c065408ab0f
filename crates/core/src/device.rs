// SPDX-License-Identifier: Apache-2.0
//! Where a tensor lives, and what runs there.

/// Where a tensor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Host memory; operators use at most `threads` threads.
    Cpu {
        /// The caller's limit, for torch `torch.get_num_threads()`.
        threads: usize,
    },
    /// Memory of a device that runs CUDA kernels.
    Gpu(Gpu),
}

/// Something that runs CUDA kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// A CUDA device and the stream to launch on.
    Cuda {
        /// The device's ordinal.
        ordinal: i32,
        /// The handle of the caller's current stream (a `CUstream`; 0 is the default stream).
        stream: usize,
    },
    /// The emulator of the test builds: kernels compiled for the host, tensors in host memory.
    Emulated,
}

impl Device {
    /// The host with one thread.
    pub const SERIAL: Self = Self::Cpu { threads: 1 };

    /// Whether two tensors on these devices may meet in one operator.
    pub fn same_place(self, other: Self) -> bool {
        match (self, other) {
            (Self::Cpu { .. }, Self::Cpu { .. }) | (Self::Gpu(Gpu::Emulated), Self::Gpu(Gpu::Emulated)) => true,
            (Self::Gpu(Gpu::Cuda { ordinal: a, .. }), Self::Gpu(Gpu::Cuda { ordinal: b, .. })) => a == b,
            _ => false,
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu { .. } => f.write_str("cpu"),
            Self::Gpu(Gpu::Cuda { ordinal, .. }) => write!(f, "cuda:{ordinal}"),
            Self::Gpu(Gpu::Emulated) => f.write_str("the CUDA emulator"),
        }
    }
}
