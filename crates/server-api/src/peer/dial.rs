//! Making a connection to another server: TCP, TLS, HTTP/2, and the calling end of a greeting.
//!
//! Owns the checks that the called server is the one that was meant and belongs to the cluster. It never tries twice; that
//! is a link's part.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, TE};
use http::{Request, Response, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use liftbridge_auth::Identity;
use liftbridge_proto::v1;
use liftbridge_proto::v1::peer_client::PeerClient;
use liftbridge_proto::v1::peer_greeting_client::PeerGreetingClient;
use liftbridge_types::BrokerId;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::lifetime::Lifetime;
use crate::peer::BOUNDS;
use crate::peer::link_body::LinkBody;
use crate::peer::local::LocalPeer;
use crate::peer::outbox::Outgoing;
use crate::peer::secret::{ClusterSecret, Greeting, Nonce, Side};
use crate::peer::session::names;
use crate::peer::tls::PeerTls;

/// How long making a connection may take, greeting included. A server that is there answers in a fraction of it.
const DIAL_TIME_MAX: Duration = Duration::from_secs(3);
/// The call a link is, at [`origin`].
const LINK_URI: &str = "http://peer/liftbridge.v1.Peer/Link";

/// No connection could be made.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("it is no address, write it as `host:port`")]
    Address,
    #[error("TLS failed: {0}; see `clustering.tls.ca` on both servers")]
    Tls(io::Error),
    #[error("HTTP/2 failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("there was no answer within {DIAL_TIME_MAX:?}")]
    Timeout,
    /// The other server's own words.
    #[error("refused: {0}")]
    Refused(String),
    #[error("this server does not know yet who it is")]
    NotReady,
    #[error("the answer makes no sense")]
    Malformed,
    #[error("`{found}` is there instead of `{expected}`")]
    OtherServer { expected: BrokerId, found: BrokerId },
    #[error("the server there calls itself `{id}`, as this one does")]
    Itself { id: BrokerId },
    #[error("the certificate is `{certificate}`'s and does not speak for `{claimed}`")]
    WrongCertificate { certificate: Identity, claimed: BrokerId },
    #[error("that server is of another cluster")]
    OtherCluster,
    #[error("it does not know this server's `clustering.secret`")]
    NotProven,
    #[error("it asks for a secret: set `clustering.secret` or `clustering.secret.file`")]
    SecretRequired,
}

/// What it takes to make connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) local: Arc<LocalPeer>,
    pub(crate) secret: Option<ClusterSecret>,
    pub(crate) tls: Option<Arc<PeerTls>>,
    pub(crate) lifetime: Lifetime,
}

/// A connection whose greeting is done. It ends with its last clone and the last call on it.
#[derive(Clone, Debug)]
pub(crate) struct PeerConnection {
    /// Who is at the other end.
    pub(crate) id: BrokerId,
    /// What can be called there.
    pub(crate) client: PeerClient<Requests>,
    requests: Requests,
    /// Cancelled when the connection has ended.
    pub(crate) ended: CancellationToken,
}

impl PeerConnection {
    /// Begins to send messages. What is answered is only the end.
    pub(crate) async fn open_link(&self, messages: Outgoing<v1::LinkMessage>) -> Result<LinkAnswers, Status> {
        let request = Request::post(LINK_URI)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Body::new(LinkBody::new(messages)))
            .map_err(|error| Status::internal(error.to_string()))?;
        let answered = self.requests.clone().oneshot(request).await;
        let response = answered.map_err(|error| Status::unavailable(error.to_string()))?;
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            Some(_) | None => Ok(LinkAnswers(response.into_body())),
        }
    }
}

/// What comes back on a link.
#[derive(Debug)]
pub(crate) struct LinkAnswers(Incoming);

impl LinkAnswers {
    /// Returns when something comes back: the other server reads no more, or the connection broke.
    pub(crate) async fn end(&mut self) {
        // Which of the two it was is told by nothing that follows from it.
        let _ = poll_fn(|context| Pin::new(&mut self.0).poll_frame(context)).await;
    }
}

impl Dialer {
    /// Connects to the server at `address`; `expected` is who must be there.
    pub(crate) async fn dial(&self, address: &str, expected: Option<&BrokerId>) -> Result<PeerConnection, DialError> {
        // Dropped at the deadline, a half-made connection closes.
        tokio::time::timeout(DIAL_TIME_MAX, self.connect(address, expected)).await.unwrap_or(Err(DialError::Timeout))
    }

    async fn connect(&self, address: &str, expected: Option<&BrokerId>) -> Result<PeerConnection, DialError> {
        let stream = TcpStream::connect(address).await.map_err(DialError::Connect)?;
        stream.set_nodelay(true).map_err(DialError::Connect)?;
        let (requests, ended, shown) = match &self.tls {
            None => {
                let (requests, ended) = self.speak_http2(stream).await?;
                (requests, ended, Identity::Anonymous)
            }
            Some(tls) => {
                let (host, _port) = address.rsplit_once(':').ok_or(DialError::Address)?;
                let host = host.trim_matches(|c| matches!(c, '[' | ']')).to_owned();
                let name = ServerName::try_from(host).map_err(|_| DialError::Address)?;
                let stream = tls.connector().connect(name, stream).await.map_err(DialError::Tls)?;
                let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let shown = leaf.map_or(Identity::Anonymous, |leaf| Identity::of_certificate(leaf));
                let (requests, ended) = self.speak_http2(stream).await?;
                (requests, ended, shown)
            }
        };
        let id = self.greet(&requests, &shown, expected).await?;
        let client = PeerClient::with_origin(requests.clone(), origin());
        Ok(PeerConnection { id, client, requests, ended })
    }

    async fn speak_http2<S>(&self, stream: S) -> Result<(Requests, CancellationToken), DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = BOUNDS.client(&self.lifetime.tasks).handshake(TokioIo::new(stream)).await?;
        let ended = CancellationToken::new();
        let guard: DropGuard = ended.clone().drop_guard();
        let cut = self.lifetime.cut.clone();
        self.lifetime.tasks.spawn(async move {
            let _guard = guard;
            tokio::select! {
                // What broke it is told to every call on it.
                _ = connection => {}
                () = cut.cancelled() => {}
            }
        });
        Ok((Requests(sender), ended))
    }

    async fn greet(
        &self,
        requests: &Requests,
        shown: &Identity,
        expected: Option<&BrokerId>,
    ) -> Result<BrokerId, DialError> {
        let mut client = PeerGreetingClient::with_origin(requests.clone(), origin());
        let (Some(caller), Some(nonce)) = (self.local.id(), Nonce::fresh()) else { return Err(DialError::NotReady) };
        let hello = v1::PeerHello {
            broker_id: caller.as_str().to_owned(),
            namespace: self.local.namespace().to_owned(),
            cluster_id: self.local.cluster_id().to_owned(),
            nonce: nonce.as_bytes().to_vec().into(),
        };
        let answer = client.hello(hello).await.map_err(refused)?.into_inner();
        let called = BrokerId::new(&answer.broker_id).map_err(|_| DialError::Malformed)?;
        self.check_called(&called, shown, expected, &answer)?;
        if let Some(proof) = self.proof(caller, &called, &nonce, &answer)? {
            client.prove(v1::PeerProof { proof: proof.into() }).await.map_err(refused)?;
        }
        Ok(called)
    }

    fn check_called(
        &self,
        called: &BrokerId,
        shown: &Identity,
        expected: Option<&BrokerId>,
        answer: &v1::PeerHelloAnswer,
    ) -> Result<(), DialError> {
        if self.tls.is_some() && !names(shown, called) {
            return Err(DialError::WrongCertificate { certificate: shown.clone(), claimed: called.clone() });
        }
        if self.local.id() == Some(called) {
            return Err(DialError::Itself { id: called.clone() });
        }
        if let Some(expected) = expected.filter(|expected| *expected != called) {
            return Err(DialError::OtherServer { expected: expected.clone(), found: called.clone() });
        }
        match self.local.may_know(&answer.cluster_id) {
            true => Ok(()),
            false => Err(DialError::OtherCluster),
        }
    }

    /// What the called server is to be told; `None` when it asks for no proof. It has to prove itself first.
    fn proof(
        &self,
        caller: &BrokerId,
        called: &BrokerId,
        nonce: &Nonce,
        answer: &v1::PeerHelloAnswer,
    ) -> Result<Option<Vec<u8>>, DialError> {
        let Some(secret) = &self.secret else {
            return if answer.nonce.is_empty() { Ok(None) } else { Err(DialError::SecretRequired) };
        };
        let called_nonce = Nonce::from_wire(&answer.nonce).ok_or(DialError::NotProven)?;
        let greeting = Greeting {
            namespace: self.local.namespace(),
            caller,
            called,
            caller_nonce: nonce,
            called_nonce: &called_nonce,
        };
        match secret.verifies(Side::Called, &greeting, &answer.proof) {
            true => Ok(Some(secret.prove(Side::Caller, &greeting))),
            false => Err(DialError::NotProven),
        }
    }
}

fn refused(status: Status) -> DialError {
    DialError::Refused(status.message().to_owned())
}

/// Calls name a host because HTTP wants one; connections are made before that and the name leads nowhere.
fn origin() -> Uri {
    Uri::from_static("http://peer")
}

/// Calls on one connection. Unlike a channel it never makes another one by itself, to which no greeting would belong.
#[derive(Clone)]
pub(crate) struct Requests(SendRequest<Body>);

impl tower::Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("closed", &self.0.is_closed()).finish()
    }
}
