//! Compiles what the program, and not the library, tells the allocator of the C library: see `src/allocator.c`.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=src/allocator.c");
    if env::var_os("CARGO_CFG_TARGET_ENV").is_some_and(|env| env == "gnu")
        && env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "linux")
    {
        for object in cc::Build::new().file("src/allocator.c").cargo_metadata(false).compile_intermediates() {
            println!("cargo:rustc-link-arg-bins={}", object.display());
        }
    }
}
