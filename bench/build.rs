//! The same as the engine's: the benchmarks link libtorch too.

#[path = "../engine/build.rs"]
mod engine;

fn main() {
    engine::main();
}
