//! Compiles the `.proto` files without an installed protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "api.proto",
        "liftbridge/v1/admin.proto",
        "liftbridge/v1/metadata.proto",
        "liftbridge/v1/raft.proto",
        "liftbridge/v1/peer.proto",
    ];
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}
