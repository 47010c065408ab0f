// SPDX-License-Identifier: Apache-2.0
//! The address and undefined-behaviour sanitizers see into kernels: each wrong one ends its process with a report that
//! names the line. Runs in the build that `tools/asan.py` makes.
#![expect(clippy::expect_used, reason = "a test")]

use std::env;
use std::process::Command;

use patina3d_emulator::{Order, launch_in};

const KERNEL: &str = "PATINA3D_TEST_MISUSE_KERNEL";

#[repr(C)]
struct WarpParams {
    rows: *mut i32,
    width: i32,
    columns: i32,
}

/// What the process that runs the wrong kernel does; alone it does nothing.
#[test]
fn child() {
    let Ok(kernel) = env::var(KERNEL) else { return };
    let (width, shared_bytes) = (if kernel.ends_with("local_out_of_bounds") { 9 } else { 1 }, 31 * 4);
    let mut rows = vec![0_i32; if kernel.ends_with("global_out_of_bounds") { 31 } else { 32 }];
    let params = WarpParams { rows: rows.as_mut_ptr(), width, columns: 1 };
    let threads = if kernel.ends_with("shared_out_of_bounds") { 16 } else { 32 };
    let result = launch_in(
        Order::Forward,
        &kernel,
        [1, 1, 1],
        [threads, 1, 1],
        shared_bytes,
        std::ptr::from_ref(&params).cast(),
    );
    // Whoever gets here has not been stopped.
    assert_eq!(result, Ok(()));
}

fn report_of(kernel: &str) -> String {
    let me = env::current_exe().expect("the path of this test");
    let run = Command::new(me).args(["--exact", "child", "--nocapture"]).env(KERNEL, kernel).output();
    let run = run.expect("this test runs itself");
    let report = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(!run.status.success(), "{kernel} went unseen:\n{report}");
    report
}

#[test]
#[cfg_attr(not(sanitized), ignore = "needs the sanitizers: tools/asan.py builds with them")]
fn reports_name_the_line_of_the_kernel() {
    for (kernel, kind) in [
        ("emulator_misuse_global_out_of_bounds", "heap-buffer-overflow"),
        ("emulator_misuse_shared_out_of_bounds", "heap-buffer-overflow"),
        ("emulator_misuse_dynamic_out_of_bounds", "heap-buffer-overflow"),
        ("emulator_misuse_local_out_of_bounds", "out of bounds"),
        ("emulator_misuse_float_overflow", "outside the range of representable values"),
    ] {
        let report = report_of(kernel);
        assert!(report.contains(kind) && report.contains("misuse.cu:"), "{kernel}:\n{report}");
    }
}
