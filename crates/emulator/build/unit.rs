// SPDX-License-Identifier: Apache-2.0
//! From the text of a `.cu` to C++ that the host compiler takes.
//!
//! `emulator.h` leaves three marks in the preprocessed text where CUDA has a qualifier: [`KERNEL`], [`BOUNDS`] and
//! [`SHARED`]. Working on preprocessed text means that kernels which macros declare are found as well.

use std::fmt::Write as _;
use std::path::Path;

const KERNEL: &str = "PATINA3D_KERNEL";
const BOUNDS: &str = "PATINA3D_LAUNCH_BOUNDS";
const SHARED: &str = "PATINA3D_SHARED";

/// A file that includes the kernel file. Everything in a unit has internal linkage, for different kernel files may give
/// different meanings to one name.
pub(crate) fn wrapper(source: &Path) -> String {
    format!("#include \"launch.h\"\n#include \"cuda.cuh\"\nnamespace {{\n#include \"{}\"\n}}\n", source.display())
}

/// The files that went into a preprocessed text, from its `# 1 "path"` lines.
pub(crate) fn files_in(text: &str) -> Vec<&str> {
    let mut files: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("# "))
        .filter_map(|line| line.split('"').nth(1))
        .filter(|name| !name.starts_with('<'))
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The table of units, for the runtime.
pub(crate) fn table<'a>(units: impl Iterator<Item = &'a str>) -> String {
    let mut declarations = String::new();
    let mut entries = String::new();
    for unit in units {
        let _ = writeln!(declarations, "extern const Kernel {unit}[];");
        let _ = write!(entries, "{unit}, ");
    }
    format!(
        "#include \"launch.h\"\nnamespace emulator {{\n{declarations}\
         extern const Unit units[];\nconst Unit units[] = {{{entries}nullptr}};\n}}\n"
    )
}

/// Preprocessed text with its marks replaced and the unit's table of kernels at the end.
pub(crate) fn rewrite(text: &str, unit: &str) -> Result<String, String> {
    let mut output = String::with_capacity(text.len());
    let mut kernels = String::new();
    let mut rest = text;
    while let Some((before, mark, after)) = next_mark(rest) {
        output.push_str(before);
        rest = match mark {
            KERNEL => {
                let (name, bounds) = kernel(after)?;
                let _ = writeln!(kernels, "    {{\"{name}\", Entry<{name}>::run_thread, max_threads({bounds})}},");
                after
            }
            BOUNDS => after.get(parenthesized(after)?.len() + 2..).unwrap_or_default(),
            _ => {
                let end = after.find(';').ok_or("a __shared__ declaration without an end")?;
                output.push_str(&shared_variable(&after[..end])?);
                &after[end + 1..]
            }
        };
    }
    output.push_str(rest);
    let _ = write!(
        output,
        "\nnamespace emulator {{\nextern const Kernel {unit}[];\nconst Kernel {unit}[] = {{\n{kernels}    {{nullptr, nullptr, 0}}}};\n}}\n"
    );
    Ok(output)
}

/// The first mark: what stands before it, the mark, what follows.
fn next_mark(text: &str) -> Option<(&str, &'static str, &str)> {
    let (at, mark) = [KERNEL, BOUNDS, SHARED].into_iter().filter_map(|mark| Some((text.find(mark)?, mark))).min()?;
    Some((&text[..at], mark, &text[at + mark.len()..]))
}

/// What stands between the parenthesis that `text` starts with and the one that closes it.
fn parenthesized(text: &str) -> Result<&str, String> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return text.get(1..at).ok_or_else(|| format!("{BOUNDS} without arguments"));
        }
    }
    Err(format!("{BOUNDS} without an end"))
}

/// The name and the launch bounds of the kernel whose declaration follows the mark.
fn kernel(declaration: &str) -> Result<(&str, &str), String> {
    let mut head = declaration;
    let mut bounds = "";
    if let Some(at) = declaration.find(BOUNDS).filter(|&at| declaration.find('{').is_none_or(|body| at < body)) {
        let arguments = &declaration[at + BOUNDS.len()..];
        bounds = parenthesized(arguments)?;
        if declaration.find('(').is_some_and(|parameters| at < parameters) {
            head = &arguments[bounds.len() + 2..];
        }
    }
    let before_parameters = head.split('(').next().unwrap_or_default();
    let name = last_identifier(before_parameters).ok_or("a __global__ that is no function")?;
    Ok((name, bounds))
}

/// `float tile[4]` as a reference to memory of the block.
fn shared_variable(declaration: &str) -> Result<String, String> {
    let mut depth = 0;
    let mut dimensions = declaration.len();
    for (at, c) in declaration.char_indices() {
        if c == '[' && depth == 0 {
            dimensions = at;
        }
        match c {
            '(' | '{' | '<' | '[' => depth += 1,
            ')' | '}' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => return Err(format!("one __shared__ variable a statement, not `{declaration}`")),
            _ => {}
        }
        if dimensions < declaration.len() {
            break;
        }
    }
    let (before, dimensions) = declaration.split_at(dimensions);
    if before.contains('=') || dimensions.contains(',') {
        return Err(format!("one __shared__ variable a statement, without a value, not `{declaration}`"));
    }
    let name =
        last_identifier(before).ok_or_else(|| format!("a __shared__ variable without a name: `{declaration}`"))?;
    let kind = before.trim_end().strip_suffix(name).unwrap_or(before);
    Ok(format!(
        "typedef{kind}{name}_shared{dimensions}; static char {name}_key; {name}_shared& {name} = \
         *static_cast<{name}_shared*>(::emulator::shared_memory(&{name}_key, sizeof({name}_shared)));"
    ))
}

fn last_identifier(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    Some(&text[start..]).filter(|name| !name.is_empty())
}
