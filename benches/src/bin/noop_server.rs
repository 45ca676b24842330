//! The server that does nothing, as a process. Owns only its exit code.

use liftbridge_benches::{Failure, noop_server};

fn main() -> Result<(), Failure> {
    noop_server::run()
}
