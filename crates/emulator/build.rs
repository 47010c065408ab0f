// SPDX-License-Identifier: Apache-2.0
//! Compiles every CUDA kernel of the workspace for the CPU, with the runtime that plays the GPU.
//!
//! A `.cu` becomes a unit: the C++ compiler preprocesses it, [`unit::rewrite`] finds its kernels and turns its shared
//! variables into memory of the block, and the compiler compiles what came out. Units that did not change stay.

#[path = "build/unit.rs"]
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;
use std::{env, fs, process};

const CRATES_WITH_KERNELS: [&str; 4] = ["core", "structures", "ops", "renderer"];
const SANITIZE: &str = "PATINA3D_EMULATOR_SANITIZE";

type Result<T> = std::result::Result<T, String>;

fn main() {
    if let Err(message) = build() {
        eprintln!("patina3d-emulator: {message}");
        process::exit(1);
    }
}

fn build() -> Result<()> {
    let root = variable("CARGO_MANIFEST_DIR")?;
    let crates = root.parent().ok_or("the crate has no parent folder")?;
    let sanitized = env::var_os(SANITIZE).is_some();
    let out = variable("OUT_DIR")?.join(if sanitized { "sanitized" } else { "plain" });
    fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;

    let mut folders: Vec<PathBuf> = CRATES_WITH_KERNELS.iter().map(|name| crates.join(name).join("src")).collect();
    if env::var_os("CARGO_FEATURE_TEST_KERNELS").is_some() {
        folders.push(root.join("tests/kernels"));
    }
    let runtime = root.join("src/runtime");
    for folder in folders.iter().chain([&runtime, &root.join("build")]) {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={SANITIZE}");
    println!("cargo:rustc-check-cfg=cfg(sanitized)");
    if sanitized {
        println!("cargo:rustc-cfg=sanitized");
    }

    let compiler = Compiler { out: out.clone(), includes: vec![runtime.clone(), crates.join("core/src")], sanitized };
    compiler.check()?;
    let mut units = Vec::new();
    for folder in &folders {
        for source in files_with_extension(folder, "cu") {
            units.push(Unit { name: unit_name(crates, &source), source });
        }
    }
    for unit in &units {
        compiler.preprocess(unit)?;
    }
    write_if_changed(&out.join("units.cpp"), &unit::table(units.iter().map(|unit| unit.name.as_str())))?;
    let mut sources: Vec<PathBuf> = units.iter().map(|unit| out.join(format!("{}.ii", unit.name))).collect();
    sources.push(out.join("units.cpp"));
    sources.extend(files_with_extension(&runtime, "cpp"));
    compiler.compile_and_link(&sources)
}

/// One kernel file and the name of its table in the generated code.
struct Unit {
    name: String,
    source: PathBuf,
}

struct Compiler {
    out: PathBuf,
    includes: Vec<PathBuf>,
    sanitized: bool,
}

impl Compiler {
    fn build(&self) -> cc::Build {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(2).debug(true).out_dir(&self.out).includes(&self.includes);
        // Each operation rounds by itself, as in the PTX; `fmaf` is spelled where one rounding is meant.
        build.flag("-ffp-contract=off").flag("-fno-strict-aliasing").flag("-fno-math-errno");
        // What only CUDA knows, and device functions that a kernel file includes without calling them.
        build.extra_warnings(true).flag("-Wno-unknown-pragmas").flag("-Wno-unused-function").flag("-Wno-sign-compare");
        build.flag("-Wno-unused-variable").flag("-Wno-unused-but-set-variable").flag("-Wno-unused-parameter");
        if self.sanitized {
            build.flag("-fsanitize=address,undefined,float-cast-overflow").flag("-fno-omit-frame-pointer");
            build.flag("-fno-sanitize-recover=all");
        }
        build
    }

    fn check(&self) -> Result<()> {
        let needs = "the CUDA kernels are compiled for the CPU with a C++17 compiler (g++ or clang++)";
        let tool = self.build().try_get_compiler().map_err(|e| format!("{needs}: {e}"))?;
        let answer = Command::new(tool.path()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        match answer {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("{needs}; `{}` does not run: install one, or name it in CXX", tool.path().display())),
        }
    }

    /// Writes `<unit>.ii`, unless nothing that went into it has changed.
    fn preprocess(&self, unit: &Unit) -> Result<()> {
        let output = self.out.join(format!("{}.ii", unit.name));
        if is_fresh(&output) {
            return Ok(());
        }
        let wrapper = self.out.join(format!("{}.cpp", unit.name));
        write_if_changed(&wrapper, &unit::wrapper(&unit.source))?;
        let folder = unit.source.parent().unwrap_or(Path::new("."));
        let text = self.build().include(folder).file(&wrapper).try_expand();
        let text = text.map_err(|e| format!("cannot preprocess {}: {e}", unit.source.display()))?;
        let text = unit::rewrite(&String::from_utf8_lossy(&text), &unit.name)
            .map_err(|e| format!("{}: {e}", unit.source.display()))?;
        fs::write(&output, text).map_err(|e| format!("cannot write {}: {e}", output.display()))
    }

    /// Links the sanitizers' libraries, for Rust's linker call names each library itself.
    fn link_sanitizers(&self) -> Result<()> {
        let tool = self.build().try_get_compiler().map_err(|e| e.to_string())?;
        for library in ["asan", "ubsan"] {
            let file = Command::new(tool.path()).arg(format!("-print-file-name=lib{library}.so")).output();
            let file = file.map_err(|e| format!("{}: {e}", tool.path().display()))?;
            let path = PathBuf::from(String::from_utf8_lossy(&file.stdout).trim());
            let folder = path.parent().filter(|folder| folder.is_absolute());
            let folder = folder.ok_or_else(|| format!("{SANITIZE} needs g++ with lib{library}.so"))?;
            println!("cargo:rustc-link-search=native={}", folder.display());
            println!("cargo:rustc-link-lib=dylib={library}");
        }
        Ok(())
    }

    /// Compiles what is newer than its object and archives all objects.
    fn compile_and_link(&self, sources: &[PathBuf]) -> Result<()> {
        let runtime_changed = newest(files_with_extension(&self.includes[0], "h").iter().map(PathBuf::as_path));
        let mut objects = Vec::new();
        let mut stale = self.build();
        let mut any_stale = false;
        for source in sources {
            let object = object_of(&self.out, source);
            let changed = newest([source.as_path()]).max(runtime_changed);
            if let Some(object) =
                object.filter(|object| newest([object.as_path()]) > changed.max(newest_build_script()))
            {
                objects.push(object);
            } else {
                any_stale = true;
                stale.file(source);
            }
        }
        if any_stale {
            objects.extend(stale.try_compile_intermediates().map_err(|e| format!("a kernel does not compile: {e}"))?);
        }
        if self.sanitized {
            self.link_sanitizers()?;
        }
        self.build().objects(objects).try_compile("patina3d_emulator").map_err(|e| format!("cannot archive: {e}"))
    }
}

/// The object that an earlier build made of a source; `cc` names it `<hash>-<stem>.o`.
fn object_of(out: &Path, source: &Path) -> Option<PathBuf> {
    let suffix = format!("-{}.o", source.file_stem()?.to_str()?);
    files_with_extension(out, "o").into_iter().find(|path| path.to_string_lossy().ends_with(&suffix))
}

/// Whether a preprocessed file is newer than every file it was made from and than this build script.
fn is_fresh(preprocessed: &Path) -> bool {
    let Ok(text) = fs::read_to_string(preprocessed) else { return false };
    let sources = unit::files_in(&text);
    newest([preprocessed]) > newest(sources.iter().map(Path::new)).max(newest_build_script())
}

fn newest_build_script() -> Option<SystemTime> {
    env::current_exe().ok().and_then(|path| newest([path.as_path()]))
}

/// When the newest of these files was written; a file that is gone counts as written now.
fn newest<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Option<SystemTime> {
    let written = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    paths.into_iter().map(|path| written(path).unwrap_or_else(|_| SystemTime::now())).max()
}

fn files_with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in entries {
        if path.is_dir() {
            found.extend(files_with_extension(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn unit_name(crates: &Path, source: &Path) -> String {
    let relative = source.strip_prefix(crates).unwrap_or(source).with_extension("");
    relative.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn variable(name: &str) -> Result<PathBuf> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {name}"))
}
