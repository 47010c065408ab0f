// SPDX-License-Identifier: Apache-2.0
//! What a device would refuse, hang on or get wrong is an error here.
#![expect(clippy::expect_used, reason = "a test")]

use patina3d_emulator::{Order, launch, launch_in};

const ORDERS: [Order; 3] = [Order::Forward, Order::Reversed, Order::Shuffled(5)];

#[repr(C)]
struct WarpParams {
    rows: *mut i32,
    width: i32,
    columns: i32,
}

fn error_of(order: Order, kernel: &str, grid: u32, block: u32, width: i32) -> String {
    let mut rows = vec![0; 1024];
    let params = WarpParams { rows: rows.as_mut_ptr(), width, columns: 1 };
    let result = launch_in(order, kernel, [grid, 1, 1], [block, 1, 1], 0, std::ptr::from_ref(&params).cast());
    result.expect_err("a kernel that is wrong on purpose")
}

#[test]
fn a_barrier_that_some_threads_never_reach_names_kernel_block_and_collective() {
    for order in ORDERS {
        let error = error_of(order, "emulator_misuse_divergent_barrier", 1, 64, 32);
        assert!(
            error.starts_with("block (0, 0, 0) of emulator_misuse_divergent_barrier: the block would hang"),
            "{error}"
        );
        assert!(error.contains("32 from (0, 0, 0) at __syncthreads (misuse.cu:6)"), "{error}");
        assert!(error.contains("16 from (16, 0, 0) at __shfl_sync (misuse.cu:7) with mask 0xffffffff"), "{error}");
    }
}

#[test]
fn different_barriers_do_not_count_as_one() {
    for order in ORDERS {
        let error = error_of(order, "emulator_misuse_two_barriers", 1, 64, 32);
        assert!(error.contains("wait at different barriers: __syncthreads (misuse.cu:1"), "{error}");
    }
}

#[test]
fn a_missing_lane_is_told_with_its_block() {
    for order in ORDERS {
        let error = error_of(order, "emulator_misuse_missing_lane", 4, 32, 32);
        assert!(error.contains("block (2, 0, 0)"), "{error}");
        assert!(error.contains("1 from (5, 0, 0) at __syncthreads"), "{error}");
        assert!(error.contains("31 from (0, 0, 0) at __syncwarp"), "{error}");
    }
}

#[test]
fn a_mask_must_hold_the_lane_that_calls() {
    let error = error_of(Order::Forward, "emulator_misuse_mask_without_self", 1, 32, 32);
    assert!(error.contains("__any_sync (misuse.cu:") && error.contains("thread (16, 0, 0)"), "{error}");
}

#[test]
fn a_shuffle_has_a_width_that_divides_a_warp() {
    let error = error_of(Order::Forward, "emulator_misuse_shuffle_width", 1, 32, 12);
    assert!(error.contains("width of a shuffle"), "{error}");
}

#[test]
fn shared_variables_fit_into_48_kib() {
    let error = error_of(Order::Forward, "emulator_misuse_too_much_shared", 1, 32, 32);
    assert!(error.contains("more than 48 KiB of __shared__ variables"), "{error}");
}

#[test]
fn after_an_error_the_next_launch_is_sound() {
    for order in ORDERS {
        assert!(error_of(order, "emulator_misuse_trap", 1, 64, 32).ends_with("__trap"));
        let mut rows = vec![0; 64];
        let params = WarpParams { rows: rows.as_mut_ptr(), width: 32, columns: 1 };
        let params = std::ptr::from_ref(&params).cast();
        assert_eq!(launch_in(order, "emulator_warp_shared_exchange", [1, 1, 1], [64, 1, 1], 0, params), Ok(()));
        assert!(rows.iter().zip(1000..).all(|(&value, expected)| value == expected));
    }
}

#[test]
fn what_a_device_refuses_is_an_error() {
    let params = WarpParams { rows: std::ptr::null_mut(), width: 32, columns: 1 };
    let params = std::ptr::from_ref(&params).cast();
    let trap = "emulator_misuse_trap";
    for (kernel, grid, block, shared, expected) in [
        ("emulator_no_such_kernel", [1, 1, 1], [1, 1, 1], 0, "emulator_no_such_kernel"),
        (trap, [0, 1, 1], [1, 1, 1], 0, "a grid must be"),
        (trap, [1, 65_536, 1], [1, 1, 1], 0, "a grid must be"),
        (trap, [1, 1, 1], [1, 0, 1], 0, "a block must be"),
        (trap, [1, 1, 1], [1, 1, 65], 0, "a block must be"),
        (trap, [1, 1, 1], [1025, 1, 1], 0, "a block must be"),
        (trap, [1, 1, 1], [32, 32, 2], 0, "at most 1024 threads"),
        (trap, [1, 1, 1], [1, 1, 1], 227 * 1024 + 1, "dynamic shared memory must be at most"),
    ] {
        let error = launch(kernel, grid, block, shared, params).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(launch(trap, [1, 1, 1], [1, 1, 1], 227 * 1024, params), Ok(()));
}
