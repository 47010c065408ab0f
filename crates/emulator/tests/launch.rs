// SPDX-License-Identifier: Apache-2.0
//! Kernels that use everything the emulator offers, in every order of threads and blocks.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::thread;

use patina3d_emulator::{Order, launch_in};

const ORDERS: [Order; 4] = [Order::Forward, Order::Reversed, Order::Shuffled(0), Order::Shuffled(1)];

fn run<P>(order: Order, kernel: &str, grid: u32, block: u32, shared_bytes: u32, params: &P) -> Result<(), String> {
    launch_in(order, kernel, [grid, 1, 1], [block, 1, 1], shared_bytes, std::ptr::from_ref(params).cast())
}

#[repr(C)]
struct ReduceParams {
    values: *const f32,
    sums: *mut f32,
    num_values: i64,
    scale: [i32; 3],
}

#[repr(C)]
struct WarpParams {
    rows: *mut i32,
    width: i32,
    columns: i32,
}

#[repr(C)]
struct BlockParams {
    counters: *mut u64,
    values: *mut f32,
    trace: *mut i32,
}

/// What each thread wrote into its row.
fn rows(order: Order, kernel: &str, threads: u32, width: i32, columns: usize) -> Vec<Vec<i32>> {
    let mut rows = vec![0; threads as usize * columns];
    let params = WarpParams { rows: rows.as_mut_ptr(), width, columns: columns as i32 };
    run(order, kernel, 1, threads, 0, &params).unwrap();
    rows.chunks(columns).map(<[i32]>::to_vec).collect()
}

struct Memory {
    counters: Vec<u64>,
    values: Vec<f32>,
    trace: Vec<i32>,
}

impl Memory {
    fn new(len: usize) -> Self {
        Self { counters: vec![0; len], values: vec![0.0; len], trace: vec![0; len] }
    }

    fn params(&mut self) -> BlockParams {
        BlockParams {
            counters: self.counters.as_mut_ptr(),
            values: self.values.as_mut_ptr(),
            trace: self.trace.as_mut_ptr(),
        }
    }
}

fn block_sums(order: Order, kernel: &str, shared_bytes: u32) -> Vec<f32> {
    let values: Vec<f32> = (0..1000_i16).map(|i| f32::from(i % 17) - 5.0).collect();
    let mut sums = vec![0.0; 4];
    let params = ReduceParams { values: values.as_ptr(), sums: sums.as_mut_ptr(), num_values: 1000, scale: [1, 2, 3] };
    run(order, kernel, 4, 256, shared_bytes, &params).unwrap();
    sums
}

fn expected_block_sums() -> Vec<f32> {
    let value = |i: i16| f32::from(i % 3 + 1) * (f32::from(i % 17) - 5.0);
    (0..4).map(|block| (256 * block..1000.min(256 * block + 256)).map(value).sum()).collect()
}

#[test]
fn a_tree_in_shared_memory_sums_each_block() {
    for order in ORDERS {
        assert_eq!(block_sums(order, "emulator_reduce_tree", 0), expected_block_sums(), "{order:?}");
    }
}

#[test]
fn shuffles_and_dynamic_shared_memory_sum_each_block() {
    for order in ORDERS {
        assert_eq!(block_sums(order, "emulator_reduce_shuffle", 8 * 4), expected_block_sums(), "{order:?}");
    }
}

#[test]
fn shuffles_read_the_lane_that_cuda_defines() {
    for order in ORDERS {
        for width in [4, 32] {
            for (thread, row) in rows(order, "emulator_warp_shuffles", 64, width, 6).iter().enumerate() {
                let (warp, lane) = (thread as i32 / 32 * 32, thread as i32 % 32);
                let first = lane / width * width;
                let last = first + width - 1;
                let own_unless = |valid: bool, other: i32| if valid { other } else { lane };
                let sources = [
                    first + 3,
                    own_unless(lane - 2 >= first, lane - 2),
                    own_unless(lane + 2 <= last, lane + 2),
                    own_unless((lane ^ 5) <= last, lane ^ 5),
                    1,
                    2,
                ];
                assert_eq!(*row, sources.map(|source| 100 + warp + source), "{order:?} width {width} thread {thread}");
            }
        }
    }
}

#[test]
fn votes_count_the_lanes_that_cuda_defines() {
    for order in ORDERS {
        for (thread, row) in rows(order, "emulator_warp_votes", 96, 32, 10).iter().enumerate() {
            let warp = thread / 32;
            let alike =
                (0..32).filter(|lane| (32 * warp + lane) % 3 == thread % 3).fold(0_u32, |bits, i| bits | 1 << i);
            let expected =
                [0xaaaa_aaaa_u32 as i32, i32::from(warp == 2), i32::from(warp < 2), alike as i32, -1, 1, 0, 48, 1, 1];
            assert_eq!(*row, expected, "{order:?} thread {thread}");
        }
    }
}

#[test]
fn disjoint_masks_meet_apart() {
    for order in ORDERS {
        for (thread, row) in rows(order, "emulator_warp_halves", 64, 32, 1).iter().enumerate() {
            let other = if thread % 32 < 16 { thread ^ 1 } else { thread ^ 2 };
            assert_eq!(row[0], other as i32, "{order:?} thread {thread}");
        }
    }
}

#[test]
fn nobody_waits_for_threads_that_returned() {
    for order in ORDERS {
        for width in [1, 31, 32, 45, 100] {
            let rows = rows(order, "emulator_warp_early_return", 100, width, 3);
            for (thread, row) in rows.iter().enumerate().take(width as usize) {
                let lanes = 32.min(width - thread as i32 / 32 * 32);
                let present = ((1_u64 << lanes) - 1) as u32 as i32;
                // A shuffle from a lane that has returned yields poison.
                let received = if lanes == 32 { 7 } else { -1 };
                assert_eq!(*row, [width - 1 - thread as i32, present, received], "{order:?} {width} thread {thread}");
            }
        }
    }
}

#[test]
fn a_barrier_of_the_warp_orders_shared_memory() {
    for order in ORDERS {
        for (thread, row) in rows(order, "emulator_warp_shared_exchange", 64, 32, 1).iter().enumerate() {
            assert_eq!(row[0], 1000 + thread as i32, "{order:?}");
        }
    }
}

#[test]
fn atomics_add_up() {
    for order in ORDERS {
        let mut memory = Memory::new(4);
        memory.counters[2] = u64::MAX;
        run(order, "emulator_block_atomics", 3, 100, 0, &memory.params()).unwrap();
        assert_eq!(memory.counters, [300 * 299 / 2, 299, 0, u64::MAX], "{order:?}");
        assert_eq!(memory.values[..2], [150.0, 299.0 * 0.25], "{order:?}");
        assert_eq!(memory.trace[..3], [600, -299, 0], "{order:?}");
    }
}

fn trace(order: Order, grid: [u32; 3], block: [u32; 3]) -> Vec<i32> {
    let total = grid.iter().chain(&block).product::<u32>() as usize;
    let mut memory = Memory::new(total);
    let params = memory.params();
    launch_in(order, "emulator_block_trace", grid, block, 0, std::ptr::from_ref(&params).cast()).unwrap();
    memory.trace
}

#[test]
fn each_order_runs_every_thread_once() {
    let (grid, block) = ([3, 2, 2], [4, 3, 2]);
    let everyone: Vec<i32> = (0..12 * 24).collect();
    let backwards: Vec<i32> = everyone.iter().rev().copied().collect();
    assert_eq!(trace(Order::Forward, grid, block), everyone);
    assert_eq!(trace(Order::Reversed, grid, block), backwards);
    let shuffled = trace(Order::Shuffled(3), grid, block);
    assert_ne!(shuffled, everyone);
    assert_ne!(shuffled, trace(Order::Shuffled(4), grid, block));
    assert_eq!(shuffled, trace(Order::Shuffled(3), grid, block));
    let mut sorted = shuffled;
    sorted.sort_unstable();
    assert_eq!(sorted, everyone);
}

#[test]
fn shared_memory_begins_as_poison_in_every_block() {
    let mut memory = Memory::new(2);
    run(Order::Forward, "emulator_block_uninitialised", 2, 32, 16, &memory.params()).unwrap();
    assert!(memory.values[0].is_nan() && memory.values[1].is_nan());
    assert_eq!(memory.trace[0], -1);
}

#[test]
fn a_thread_that_sleeps_lets_the_others_run() {
    for order in ORDERS {
        let mut memory = Memory::new(1);
        run(order, "emulator_block_spin", 1, 64, 0, &memory.params()).unwrap();
        assert_eq!(memory.trace[0], 1, "{order:?}");
    }
}

#[test]
fn arithmetic_rounds_and_saturates_as_on_the_device() {
    let mut memory = Memory::new(16);
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24, which a float rounds to 1 + 2^-11.
    let (x, y) = (1.0 + 2.0_f32.powi(-12), 1.0 + 2.0_f32.powi(-11));
    memory.values[..2].copy_from_slice(&[x, y]);
    run(Order::Forward, "emulator_block_arithmetic", 1, 1, 0, &memory.params()).unwrap();
    let bits: Vec<u32> = memory.values[2..9].iter().map(|value| value.to_bits()).collect();
    let expected = [0.0, 2.0_f32.powi(-24), 0.0, x, 0.0, -0.0, 2.0].map(f32::to_bits);
    assert_eq!(bits, expected);
    let expected = [i32::MAX, i32::MIN, 0, 32 + 4 + 4, i32::MIN, 3, 3, 0x7700_4411, -1, 2];
    assert_eq!(memory.trace[..10], expected);
}

#[test]
fn kernels_that_macros_declare_are_found_with_their_bounds() {
    for kernel in ["emulator_block_declared_by_macro_f32", "emulator_block_declared_by_macro_f64"] {
        let mut memory = Memory::new(64);
        run(Order::Forward, kernel, 1, 64, 0, &memory.params()).unwrap();
        assert_eq!(memory.values, (0..64_u8).rev().map(f32::from).collect::<Vec<_>>());
        let error = run(Order::Forward, kernel, 1, 65, 0, &memory.params()).unwrap_err();
        assert!(error.contains("at most 64 threads"), "{error}");
    }
}

#[test]
fn launches_of_different_threads_do_not_meet() {
    let workers: Vec<_> = ORDERS
        .into_iter()
        .map(|order| {
            thread::spawn(move || {
                (0..20).all(|_| block_sums(order, "emulator_reduce_tree", 0) == expected_block_sums())
            })
        })
        .collect();
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
}

#[test]
fn layouts_are_those_of_the_shared_headers() {
    let layout = patina3d_emulator::layout("EmulatorReduceParams").unwrap();
    let expected = [
        ("values", std::mem::offset_of!(ReduceParams, values)),
        ("sums", std::mem::offset_of!(ReduceParams, sums)),
        ("num_values", std::mem::offset_of!(ReduceParams, num_values)),
        ("scale", std::mem::offset_of!(ReduceParams, scale)),
        ("sizeof", size_of::<ReduceParams>()),
    ];
    assert_eq!(layout, expected.map(|(name, offset)| (name.to_string(), offset)));
    assert_eq!(patina3d_emulator::layout("NoSuchParams"), None);
}

#[test]
fn the_list_of_kernels_is_sorted_and_without_repeats() {
    let kernels = patina3d_emulator::kernels();
    assert!(kernels.windows(2).all(|pair| pair[0] < pair[1]), "{kernels:?}");
    assert!(kernels.contains(&"emulator_reduce_tree".to_string()));
}
