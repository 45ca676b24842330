//! What a crash, a damaged file and a full disk may do to what was acknowledged: nothing.

mod bit_rot;
mod full_disk;
mod killed;
mod lost_files;
mod read_past_rot;
mod record;
