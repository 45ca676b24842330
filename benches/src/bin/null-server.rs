//! The server that does nothing, as a process of its own, so that it shares no runtime with who measures it.

use liftbridge_benches::null_server::NullServer;
use liftbridge_proto::api::api_server::ApiServer;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound listener has an address");
    println!("null-server ready: grpc={address}");
    let incoming = TcpListenerStream::new(listener)
        .map(|accepted| accepted.inspect(|stream| stream.set_nodelay(true).expect("a fresh connection takes options")));
    let server = tonic::transport::Server::builder().add_service(ApiServer::new(NullServer));
    server.serve_with_incoming(incoming).await.expect("it serves until it is killed");
}
