//! Service `liftbridge.v1.PeerGreeting`: hands greetings to the connection's session. Owns their status codes.

use std::sync::Arc;
use std::time::Instant;

use liftbridge_proto::v1;
use liftbridge_proto::v1::peer_greeting_server::PeerGreeting;
use metrics::counter;
use tonic::{Request, Response, Status};
use tracing::warn;

use crate::metrics::PEER_GREETINGS_REFUSED;
use crate::peer::local::LocalPeer;
use crate::peer::secret::Nonce;
use crate::peer::seldom::Seldom;
use crate::peer::session::{GreetingError, Session, Trust};

/// Answers greetings. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct GreetingService {
    pub(crate) local: Arc<LocalPeer>,
    pub(crate) trust: Arc<Trust>,
    /// Greetings of servers that are none of this cluster's.
    pub(crate) misled: Arc<Seldom>,
}

#[tonic::async_trait]
impl PeerGreeting for GreetingService {
    async fn hello(&self, request: Request<v1::PeerHello>) -> Result<Response<v1::PeerHelloAnswer>, Status> {
        let session = session(&request)?;
        let fresh = Nonce::fresh().ok_or_else(|| Status::unavailable("the system has no randomness"))?;
        let hello = request.into_inner();
        let answer = session.on_hello(&self.local, &self.trust, &hello, fresh);
        if let Err(error) = &answer {
            self.maybe_warn(error, &hello.broker_id);
        }
        answer.map(Response::new).map_err(refused)
    }

    async fn prove(&self, request: Request<v1::PeerProof>) -> Result<Response<v1::PeerProofAnswer>, Status> {
        let session = session(&request)?;
        let proven = session.on_proof(&self.local, &self.trust, &request.into_inner().proof);
        proven.map(|()| Response::new(v1::PeerProofAnswer {})).map_err(refused)
    }
}

impl GreetingService {
    /// Servers that are configured to be where they do not belong try for ever, and nobody might look at their logs. What they
    /// say of themselves is proven by nothing, so it is quoted.
    fn maybe_warn(&self, error: &GreetingError, caller: &str) {
        let is_misled = matches!(
            error,
            GreetingError::SameId { .. } | GreetingError::OtherNamespace { .. } | GreetingError::OtherCluster { .. }
        );
        if is_misled && self.misled.is_due(Instant::now()) {
            warn!(?caller, reason = ?error.to_string(), "a server that is none of this cluster's was refused");
        }
    }
}

/// The session of the connection a call came by.
pub(crate) fn session<T>(request: &Request<T>) -> Result<Arc<Session>, Status> {
    let session = request.extensions().get::<Arc<Session>>().cloned();
    session.ok_or_else(|| Status::internal("the call came by no connection"))
}

fn refused(error: GreetingError) -> Status {
    let text = error.to_string();
    match error {
        GreetingError::NotReady => return Status::unavailable(text),
        GreetingError::WrongProof | GreetingError::WrongCertificate { .. } => {}
        GreetingError::OutOfOrder
        | GreetingError::BrokerId(_)
        | GreetingError::Nonce
        | GreetingError::SameId { .. }
        | GreetingError::OtherNamespace { .. }
        | GreetingError::OtherCluster { .. } => return Status::failed_precondition(text),
    }
    counter!(PEER_GREETINGS_REFUSED).increment(1);
    warn!(reason = text, "another server was not believed");
    Status::unauthenticated(text)
}
