//! The command line in, the exit status out.

use std::process::ExitCode;

/// On Linux librdkafka's allocations go here too: the `override` feature replaces `malloc` at link
/// time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hotspur::commands::main().into()
}
