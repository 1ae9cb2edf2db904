//! The same as the engine's: the node links libtorch too.

#[path = "../engine/build.rs"]
mod engine;

fn main() {
    engine::main();
}
