//! The default build holds no C: nothing in the dependency tree compiles it or links it.
//!
//! In: what `cargo tree` says of the package `klamm`. Out: a failure naming the crate that broke the promise.

use std::process::Command;

#[test]
fn no_crate_of_the_default_build_compiles_or_links_c() {
    let crates = tree();
    assert!(
        crates.iter().any(|name| name == "klamm-protocol"),
        "the tree was not read: {crates:?}"
    );
    let offenders: Vec<_> = crates.iter().filter(|name| brings_c(name)).collect();
    assert!(offenders.is_empty(), "C enters the default build through {offenders:?}");
}

#[test]
fn the_check_knows_the_usual_ways_in() {
    for name in [
        "cc",
        "cmake",
        "ring",
        "zstd-sys",
        "openssl-sys",
        "rdkafka-sys",
        "aws-lc-sys",
        "pkg-config",
    ] {
        assert!(brings_c(name), "{name} would slip through");
    }
    for name in ["klamm", "tokio", "linux-raw-sys", "arrow-array"] {
        assert!(!brings_c(name), "{name} is harmless");
    }
}

/// The names of every crate that runs in the binary or helps to build it, on Linux.
fn tree() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "klamm", "-e", "normal,build", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn brings_c(name: &str) -> bool {
    const BUILDERS: [&str; 5] = ["cc", "cmake", "ring", "bindgen", "pkg-config"];
    // Constants of the Linux kernel written in Rust: it has the name, but links nothing.
    const HARMLESS: [&str; 1] = ["linux-raw-sys"];
    BUILDERS.contains(&name) || (name.ends_with("-sys") && !HARMLESS.contains(&name))
}
