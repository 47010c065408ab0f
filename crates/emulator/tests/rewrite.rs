// SPDX-License-Identifier: Apache-2.0
//! What the build script makes of preprocessed kernels. That the result compiles and runs is the business of `launch.rs`.
#![expect(clippy::expect_used, reason = "a test")]
#![expect(dead_code, reason = "the build script uses the rest of the module")]

#[path = "../build/unit.rs"]
mod unit;

fn table_of(text: &str) -> String {
    let text = unit::rewrite(text, "u").expect("a kernel file");
    text.split_once("namespace emulator").expect("the table at the end").1.to_string()
}

#[test]
fn kernels_are_listed_with_their_bounds() {
    for (declaration, entry) in [
        ("PATINA3D_KERNEL void k(const P p) {}", "max_threads()"),
        ("PATINA3D_KERNEL void PATINA3D_LAUNCH_BOUNDS(f(64), 2) k(const P p) {}", "max_threads(f(64), 2)"),
        ("PATINA3D_KERNEL PATINA3D_LAUNCH_BOUNDS(kThreads) void\nk(const P p);", "max_threads(kThreads)"),
        ("PATINA3D_KERNEL void k(const P p) PATINA3D_LAUNCH_BOUNDS(32) {}", "max_threads(32)"),
    ] {
        let table = table_of(declaration);
        assert!(table.contains(&format!("{{\"k\", Entry<k>::run_thread, {entry}}}")), "{declaration}: {table}");
    }
    let two = table_of("PATINA3D_KERNEL void a(P) {} PATINA3D_KERNEL void PATINA3D_LAUNCH_BOUNDS(32) b(P) {}");
    assert!(two.contains("Entry<a>::run_thread, max_threads()"), "{two}");
    assert!(two.contains("Entry<b>::run_thread, max_threads(32)"), "{two}");
}

#[test]
fn marks_go_and_the_lines_of_variables_stay() {
    let text =
        unit::rewrite("PATINA3D_KERNEL void\nPATINA3D_LAUNCH_BOUNDS(\n32) k(P) { PATINA3D_SHARED T a[\n2]; }", "u");
    let text = text.expect("a kernel file");
    assert!(!text.contains("PATINA3D_"), "{text}");
    assert!(text.contains("typedef T a_shared[\n2]; "), "{text}");
}

#[test]
fn shared_variables_that_cannot_be_read_are_errors() {
    for declaration in ["float a, b;", "float a[2], b[2];", "int a = 3;", "float a"] {
        let error = unit::rewrite(&format!("PATINA3D_SHARED {declaration}"), "u").expect_err(declaration);
        assert!(error.contains("__shared__"), "{declaration}: {error}");
    }
}

#[test]
fn files_are_those_of_the_line_marks() {
    let text = "# 0 \"/a/u.cpp\"\n# 1 \"<built-in>\"\n# 3 \"/a/k.h\" 1\nint x = 1; // \"no\"\n# 4 \"/a/k.h\" 2\n";
    assert_eq!(unit::files_in(text), ["/a/k.h", "/a/u.cpp"]);
}
