// SPDX-License-Identifier: Apache-2.0
//! What the tests of emulated operators share.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::cell::Cell;
use std::marker::PhantomData;

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use memmap2::{MmapMut, MmapOptions};
use patina3d_core::geometry::Scalar;
use patina3d_core::{Device, DevicePtr, Element, Gpu, Tensor, TensorMut, install_emulator};
use patina3d_emulator::{Order, launch_some};

pub const ORDERS: [Order; 3] = [Order::Forward, Order::Reversed, Order::Shuffled(7)];

thread_local! {
    /// The order, and how many of the last blocks of each grid run.
    static LAUNCH: Cell<(Order, u64)> = const { Cell::new((Order::Forward, u64::MAX)) };
}

/// The emulator, in the order that this thread asks for.
pub fn emulated(order: Order) -> Device {
    emulated_end(order, u64::MAX)
}

/// The emulator, running of every grid no more than this many last blocks.
pub fn emulated_end(order: Order, last: u64) -> Device {
    install_emulator(|kernel, grid, block, shared, params| {
        let (order, last) = LAUNCH.get();
        let blocks = grid.iter().map(|&n| u64::from(n)).product::<u64>();
        launch_some(blocks.saturating_sub(last)..blocks, order, kernel, grid, block, shared, params)
    });
    LAUNCH.set((order, last));
    Device::Gpu(Gpu::Emulated)
}

/// The same, for what takes no tensors.
pub fn emulated_gpu(order: Order) -> Gpu {
    emulated(order);
    Gpu::Emulated
}

/// As kernels receive it; they may write.
pub fn pointer<T>(values: &mut [T]) -> DevicePtr {
    DevicePtr(values.as_mut_ptr() as u64)
}

/// Zeros that take no memory until they are written, more of them than the machine has room for.
pub struct Sparse<T> {
    bytes: MmapMut,
    of: PhantomData<T>,
}

impl<T: Pod> Sparse<T> {
    pub fn new(count: usize) -> Self {
        let bytes = MmapOptions::new().len(count * size_of::<T>()).no_reserve_swap().map_anon().unwrap();
        Self { bytes, of: PhantomData }
    }

    pub fn all(&self) -> &[T] {
        cast_slice(&self.bytes)
    }

    pub fn all_mut(&mut self) -> &mut [T] {
        cast_slice_mut(&mut self.bytes)
    }

    /// The last elements.
    pub fn end(&mut self, count: usize) -> &mut [T] {
        let values = self.all_mut();
        let start = values.len() - count;
        &mut values[start..]
    }
}

pub fn tensor<'a, T: Element>(values: &'a [T], sizes: &[usize], device: Device) -> Tensor<'a> {
    let tensor = Tensor::from_slice("test", values, sizes).unwrap();
    if matches!(device, Device::Gpu(_)) { tensor.emulated() } else { tensor }
}

pub fn tensor_mut<'a, T: Element>(values: &'a mut [T], sizes: &[usize], device: Device) -> TensorMut<'a> {
    let tensor = TensorMut::from_slice("test", values, sizes).unwrap();
    if matches!(device, Device::Gpu(_)) { tensor.emulated() } else { tensor }
}

/// xorshift64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[((self.next() >> 11) % values.len() as u64) as usize]
    }

    /// A number in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn numbers<T: Scalar>(&mut self, count: usize, low: f64, high: f64) -> Vec<T> {
        (0..count).map(|_| T::of(self.uniform(low, high))).collect()
    }
}
