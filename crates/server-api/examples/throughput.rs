//! scratch
use std::time::{Duration, Instant};
use std::sync::Arc;
use std::pin::Pin;
use liftbridge_broker::{Broker, BrokerConfig};
use liftbridge_commitlog::*;
use liftbridge_proto::api::{self, *, api_client::ApiClient, api_server::{Api, ApiServer}};
use liftbridge_server_api::*;
use tonic::{Request, Response, Status, Streaming};
use tokio_stream::{StreamExt, Stream};

struct Echo;
type S<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
macro_rules! un { ($($f:ident $i:ident $o:ident;)*) => { $(async fn $f(&self, _: Request<$i>) -> Result<Response<$o>, Status> { Ok(Response::new(Default::default())) })* } }
#[tonic::async_trait]
impl Api for Echo {
    type SubscribeStream = S<api::Message>;
    type PublishAsyncStream = S<PublishResponse>;
    async fn create_stream(&self, _: Request<CreateStreamRequest>) -> Result<Response<CreateStreamResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn delete_stream(&self, _: Request<DeleteStreamRequest>) -> Result<Response<DeleteStreamResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn pause_stream(&self, _: Request<PauseStreamRequest>) -> Result<Response<PauseStreamResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn set_stream_readonly(&self, _: Request<SetStreamReadonlyRequest>) -> Result<Response<SetStreamReadonlyResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn fetch_metadata(&self, _: Request<FetchMetadataRequest>) -> Result<Response<FetchMetadataResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn fetch_partition_metadata(&self, _: Request<FetchPartitionMetadataRequest>) -> Result<Response<FetchPartitionMetadataResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn publish(&self, _: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn publish_to_subject(&self, _: Request<PublishToSubjectRequest>) -> Result<Response<PublishToSubjectResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn set_cursor(&self, _: Request<SetCursorRequest>) -> Result<Response<SetCursorResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn fetch_cursor(&self, _: Request<FetchCursorRequest>) -> Result<Response<FetchCursorResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn join_consumer_group(&self, _: Request<JoinConsumerGroupRequest>) -> Result<Response<JoinConsumerGroupResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn leave_consumer_group(&self, _: Request<LeaveConsumerGroupRequest>) -> Result<Response<LeaveConsumerGroupResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn fetch_consumer_group_assignments(&self, _: Request<FetchConsumerGroupAssignmentsRequest>) -> Result<Response<FetchConsumerGroupAssignmentsResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn report_consumer_group_coordinator(&self, _: Request<ReportConsumerGroupCoordinatorRequest>) -> Result<Response<ReportConsumerGroupCoordinatorResponse>, Status> { Ok(Response::new(Default::default())) }
    async fn publish_async(&self, r: Request<Streaming<PublishRequest>>) -> Result<Response<Self::PublishAsyncStream>, Status> {
        let mut offset = 0;
        Ok(Response::new(Box::pin(r.into_inner().map(move |m| m.map(|m| { offset += 1; PublishResponse {
            ack: Some(Ack { stream: m.stream.clone(), partition_subject: m.stream.clone(), msg_subject: m.stream, offset, correlation_id: m.correlation_id.clone(), reception_timestamp: 1764000000000000000, commit_timestamp: 1764000000000000000, ..Default::default() }),
            async_error: None, correlation_id: m.correlation_id } })))))
    }
    async fn subscribe(&self, r: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let stream = r.into_inner().stream;
        let value = bytes::Bytes::from(vec![7u8; 256]);
        let one = api::Message { value, stream: stream.clone(), subject: stream.clone(), timestamp: 1764000000000000000, headers: [("subject".to_owned(), bytes::Bytes::from(stream)), ("reply".to_owned(), bytes::Bytes::new())].into(), ..Default::default() };
        Ok(Response::new(Box::pin(tokio_stream::iter(0..N as i64).map(move |o| Ok(api::Message { offset: o, ..one.clone() })))))
    }
}
const N: usize = 400_000;
async fn publishers(address: &str, connections: usize, streams: &[&str]) -> f64 {
    let started = Instant::now();
    let mut tasks = vec![];
    for c in 0..connections {
        let address = address.to_owned();
        let stream = streams[c % streams.len()].to_owned();
        tasks.push(tokio::spawn(async move {
            let mut client = ApiClient::connect(address).await.unwrap();
            let value = bytes::Bytes::from(vec![7u8; 256]);
            let n = N / connections;
            let window = Arc::new(tokio::sync::Semaphore::new(4096));
            let w = window.clone();
            let requests = futures_util::stream::unfold(0usize, move |i| { let w = w.clone(); let value = value.clone(); let stream = stream.clone(); async move {
                if i == n { return None; }
                w.acquire().await.unwrap().forget();
                Some((PublishRequest { stream, value, correlation_id: format!("{i:016}"), expected_offset: -1, ..Default::default() }, i + 1))
            }});
            let mut answers = client.publish_async(requests).await.unwrap().into_inner();
            let mut got = 0;
            while let Some(a) = answers.message().await.unwrap() { assert!(a.async_error.is_none(), "{a:?}"); got += 1; window.add_permits(1); }
            assert_eq!(got, n);
        }));
    }
    for t in tasks { t.await.unwrap(); }
    N as f64 / started.elapsed().as_secs_f64()
}
async fn subscriber(address: &str, stream: &str, connections: usize, n: usize) -> f64 {
    let started = Instant::now();
    let mut tasks = vec![];
    for _ in 0..connections {
        let (address, stream) = (address.to_owned(), stream.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut client = ApiClient::connect(address).await.unwrap();
            let mut m = client.subscribe(SubscribeRequest { stream, start_position: 2, ..Default::default() }).await.unwrap().into_inner();
            for _ in 0..n { m.message().await.unwrap().unwrap(); }
        }));
    }
    for t in tasks { t.await.unwrap(); }
    (n * connections) as f64 / started.elapsed().as_secs_f64()
}
fn main() {
    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let disk = std::env::args().nth(1);
    let (echo, ours) = rt.block_on(async {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = tcp.local_addr().unwrap();
        drop(tcp);
        tokio::spawn(tonic::transport::Server::builder().tcp_nodelay(true).add_service(ApiServer::new(Echo)).serve(echo));
        let mut server = Server::bind(ServerConfig { grpc_address: "127.0.0.1:0".into(), http_address: None, tls: None, connections_max: 100, message_bytes_max: 1 << 20, metrics: MetricsPage::install().unwrap() }).await.unwrap();
        let volume: Arc<dyn Volume> = match disk { Some(d) => Arc::new(DiskVolume::new(d)), None => Arc::new(MemoryVolume::default()) };
        let broker = Broker::start(BrokerConfig::new(volume, liftbridge_types::BrokerId::new("a").unwrap())).await.unwrap();
        server.serve(broker, liftbridge_auth::Authorizer::allow_all()).await;
        let ours = server.grpc_address();
        std::mem::forget(server);
        (format!("http://{echo}"), format!("http://{ours}"))
    });
    client.block_on(async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut c = ApiClient::connect(ours.clone()).await.unwrap();
        for s in ["a", "b", "c", "d"] { c.create_stream(CreateStreamRequest { name: s.into(), subject: s.into(), ..Default::default() }).await.unwrap(); }
        let only = std::env::var("ONLY").unwrap_or_default();
        let cpu = || { let t = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<f64> = t.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|x| x.parse().unwrap()).collect(); (f[0] + f[1]) * 10_000.0 };
        for round in 0..2 {
            for k in std::env::var("CONNS").unwrap_or("1,4".into()).split(',').map(|k| k.parse::<usize>().unwrap()) {
                for (name, address) in [("echo", &echo), ("ours", &ours)] {
                    if !only.is_empty() && only != name { continue }
                    let c = cpu();
                    let rate = publishers(address, k, &["a", "b", "c", "d"]).await;
                    println!("round {round} publish conns={k} {name} {rate:.0}/s cpu {:.2} us/msg", (cpu() - c) / N as f64);
                    if std::env::var("PUB").is_ok() { continue }
                    let c = cpu();
                    let rate = subscriber(address, "a", k, N).await;
                    println!("round {round} subscribe conns={k} {name} {rate:.0}/s cpu {:.2} us/msg", (cpu() - c) / (N * k) as f64);
                }
            }
        }
    });
}
