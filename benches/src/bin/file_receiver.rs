//! Starts the receiver of a bare copy and writes what comes into the file that its one argument names.

use liftbridge_benches::file_receiver;

fn main() -> Result<(), liftbridge_benches::Failure> {
    let file = std::env::args_os().nth(1).ok_or("usage: file-receiver FILE")?;
    file_receiver::run(file.as_ref())
}
