//! The called end of a greeting: who the caller of one connection is, and whether that is believed.
//!
//! Owns the steps of a greeting and every reason to refuse one. It never reads from the network and has no randomness of its
//! own.

use liftbridge_auth::Identity;
use liftbridge_proto::v1;
use liftbridge_types::{BrokerId, InvalidName};
use parking_lot::Mutex;
use std::sync::OnceLock;
use thiserror::Error;

use crate::peer::local::LocalPeer;
use crate::peer::secret::{ClusterSecret, Greeting, Nonce, Side};

/// How callers are told from strangers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// The secret callers have to prove, if there is one.
    pub(crate) secret: Option<ClusterSecret>,
    /// Whether callers show certificates, which then name them.
    pub(crate) certificates: bool,
}

/// A greeting was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum GreetingError {
    #[error("this server does not know yet who it is, ask again")]
    NotReady,
    #[error("there was a greeting on this connection already")]
    OutOfOrder,
    #[error("the greeting's server id is not legal: {0}")]
    BrokerId(#[from] InvalidName),
    #[error("the greeting's nonce is not one")]
    Nonce,
    #[error("this server is called `{id}` too: give every server its own `clustering.server.id`")]
    SameId { id: BrokerId },
    #[error("this server is of namespace `{own}`, not `{other}`: see `clustering.namespace`")]
    OtherNamespace { own: String, other: String },
    #[error(
        "this server is of cluster `{own}`, not `{other}`: a server becomes one of this cluster with an empty data directory, \
         and any other should not have this one's address, see `clustering.join` and `clustering.advertise` there"
    )]
    OtherCluster { own: String, other: String },
    #[error("the certificate is `{certificate}`'s and does not speak for `{claimed}`")]
    WrongCertificate { certificate: Identity, claimed: BrokerId },
    #[error("the proof is wrong: `clustering.secret` must be the same on every server")]
    WrongProof,
}

enum State {
    Silent,
    Challenged {
        caller: BrokerId,
        caller_nonce: Nonce,
        called_nonce: Nonce,
    },
    /// Whatever came of it, this connection has no further try.
    Decided,
}

/// The caller of one connection.
///
/// Invariant: [`Session::caller`] is known only after everything [`Trust`] asks for was shown on this very connection.
pub(crate) struct Session {
    shown: Identity,
    state: Mutex<State>,
    caller: OnceLock<BrokerId>,
}

impl Session {
    /// A connection on whose handshake `shown` was established, if anything.
    pub(crate) fn new(shown: Identity) -> Self {
        Self { shown, state: Mutex::new(State::Silent), caller: OnceLock::new() }
    }

    /// Who the caller is; `None` while nobody in particular.
    pub(crate) fn caller(&self) -> Option<&BrokerId> {
        self.caller.get()
    }

    /// The caller says who it is. `fresh` challenges it, where it has to prove that it knows the secret.
    pub(crate) fn on_hello(
        &self,
        local: &LocalPeer,
        trust: &Trust,
        hello: &v1::PeerHello,
        fresh: Nonce,
    ) -> Result<v1::PeerHelloAnswer, GreetingError> {
        let mut state = self.state.lock();
        let State::Silent = *state else { return Err(GreetingError::OutOfOrder) };
        *state = State::Decided;
        let called = local.id().ok_or(GreetingError::NotReady)?;
        let caller = BrokerId::new(&hello.broker_id)?;
        let caller_nonce = Nonce::from_wire(&hello.nonce).ok_or(GreetingError::Nonce)?;
        self.check_claim(local, called, trust, hello, &caller)?;
        let mut answer = v1::PeerHelloAnswer {
            broker_id: called.as_str().to_owned(),
            cluster_id: local.cluster_id().to_owned(),
            ..v1::PeerHelloAnswer::default()
        };
        match &trust.secret {
            None => {
                self.caller.get_or_init(|| caller);
            }
            Some(secret) => {
                let greeting = Greeting {
                    namespace: local.namespace(),
                    caller: &caller,
                    called,
                    caller_nonce: &caller_nonce,
                    called_nonce: &fresh,
                };
                answer.proof = secret.prove(Side::Called, &greeting).into();
                answer.nonce = fresh.as_bytes().to_vec().into();
                *state = State::Challenged { caller, caller_nonce, called_nonce: fresh };
            }
        }
        Ok(answer)
    }

    /// The caller proves that it knows the secret.
    pub(crate) fn on_proof(&self, local: &LocalPeer, trust: &Trust, proof: &[u8]) -> Result<(), GreetingError> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Decided);
        let State::Challenged { caller, caller_nonce, called_nonce } = state else {
            return Err(GreetingError::OutOfOrder);
        };
        let (Some(secret), Some(called)) = (&trust.secret, local.id()) else { return Err(GreetingError::NotReady) };
        let greeting = Greeting {
            namespace: local.namespace(),
            caller: &caller,
            called,
            caller_nonce: &caller_nonce,
            called_nonce: &called_nonce,
        };
        if !secret.verifies(Side::Caller, &greeting, proof) {
            return Err(GreetingError::WrongProof);
        }
        self.caller.get_or_init(|| caller);
        Ok(())
    }

    fn check_claim(
        &self,
        local: &LocalPeer,
        called: &BrokerId,
        trust: &Trust,
        hello: &v1::PeerHello,
        caller: &BrokerId,
    ) -> Result<(), GreetingError> {
        if trust.certificates && !names(&self.shown, caller) {
            return Err(GreetingError::WrongCertificate { certificate: self.shown.clone(), claimed: caller.clone() });
        }
        if hello.namespace != local.namespace() {
            let (own, other) = (local.namespace().to_owned(), hello.namespace.clone());
            return Err(GreetingError::OtherNamespace { own, other });
        }
        if caller == called {
            return Err(GreetingError::SameId { id: caller.clone() });
        }
        if !local.may_know(&hello.cluster_id) {
            let (own, other) = (local.cluster_id().to_owned(), hello.cluster_id.clone());
            return Err(GreetingError::OtherCluster { own, other });
        }
        Ok(())
    }
}

/// Whether what was shown in the handshake is this server's certificate.
pub(crate) fn names(shown: &Identity, id: &BrokerId) -> bool {
    matches!(shown, Identity::Certificate(name) if **name == *id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "correct horse battery staple";

    fn id(text: &str) -> BrokerId {
        BrokerId::new(text).unwrap()
    }

    fn local() -> LocalPeer {
        let local = LocalPeer::new("n".to_owned());
        local.introduce(id("b"));
        local.belongs_to("cluster".to_owned());
        local
    }

    fn hello(nonce: &Nonce) -> v1::PeerHello {
        v1::PeerHello {
            broker_id: "a".to_owned(),
            namespace: "n".to_owned(),
            cluster_id: String::new(),
            nonce: nonce.as_bytes().to_vec().into(),
        }
    }

    fn with_secret(text: &str) -> Trust {
        Trust { secret: Some(ClusterSecret::new(text).unwrap()), certificates: false }
    }

    fn proof(text: &str, caller_nonce: &Nonce, answer: &v1::PeerHelloAnswer) -> Vec<u8> {
        let called_nonce = Nonce::from_wire(&answer.nonce).unwrap();
        let (caller, called) = (id("a"), id("b"));
        let greeting =
            Greeting { namespace: "n", caller: &caller, called: &called, caller_nonce, called_nonce: &called_nonce };
        ClusterSecret::new(text).unwrap().prove(Side::Caller, &greeting)
    }

    /// What comes of one greeting without a secret.
    #[track_caller]
    fn check_hello(hello: &v1::PeerHello, trust: &Trust, shown: Identity, expected: Option<GreetingError>) {
        let session = Session::new(shown);
        let answer = session.on_hello(&local(), trust, hello, Nonce::fresh().unwrap());
        assert_eq!(answer.err(), expected);
        assert_eq!(session.caller().is_some(), expected.is_none());
    }

    #[test]
    fn without_a_secret_a_sound_greeting_is_enough() {
        let nonce = Nonce::fresh().unwrap();
        let open = Trust::default();
        let sound = hello(&nonce);
        check_hello(&sound, &open, Identity::Anonymous, None);
        check_hello(&v1::PeerHello { cluster_id: "cluster".into(), ..sound.clone() }, &open, Identity::Anonymous, None);
        let refused = |hello: v1::PeerHello, error| check_hello(&hello, &open, Identity::Anonymous, Some(error));
        refused(
            v1::PeerHello { broker_id: "a/b".into(), ..sound.clone() },
            GreetingError::BrokerId(InvalidName::Character { character: '/' }),
        );
        refused(v1::PeerHello { nonce: vec![1].into(), ..sound.clone() }, GreetingError::Nonce);
        refused(v1::PeerHello { broker_id: "b".into(), ..sound.clone() }, GreetingError::SameId { id: id("b") });
        refused(
            v1::PeerHello { namespace: "m".into(), ..sound.clone() },
            GreetingError::OtherNamespace { own: "n".into(), other: "m".into() },
        );
        refused(
            v1::PeerHello { cluster_id: "other".into(), ..sound },
            GreetingError::OtherCluster { own: "cluster".into(), other: "other".into() },
        );
    }

    #[test]
    fn a_certificate_speaks_for_the_server_it_names_and_no_other() {
        let nonce = Nonce::fresh().unwrap();
        let trust = Trust { secret: None, certificates: true };
        check_hello(&hello(&nonce), &trust, Identity::Certificate("a".into()), None);
        for shown in [Identity::Certificate("c".into()), Identity::Anonymous, Identity::Internal] {
            let error = GreetingError::WrongCertificate { certificate: shown.clone(), claimed: id("a") };
            check_hello(&hello(&nonce), &trust, shown, Some(error));
        }
    }

    #[test]
    fn the_secret_is_proven_once_and_on_the_connection_it_was_asked_for() {
        let (nonce, trust, local) = (Nonce::fresh().unwrap(), with_secret(TEXT), local());
        let session = Session::new(Identity::Anonymous);
        let answer = session.on_hello(&local, &trust, &hello(&nonce), Nonce::fresh().unwrap()).unwrap();
        assert_eq!(session.caller(), None, "a greeting alone proves nothing");
        let proof = proof(TEXT, &nonce, &answer);
        session.on_proof(&local, &trust, &proof).unwrap();
        assert_eq!(session.caller(), Some(&id("a")));
        assert_eq!(session.on_proof(&local, &trust, &proof), Err(GreetingError::OutOfOrder));

        // Whoever overheard all of it plays it again on another connection.
        let replayed = Session::new(Identity::Anonymous);
        assert_eq!(replayed.on_proof(&local, &trust, &proof), Err(GreetingError::OutOfOrder));
        let replayed = Session::new(Identity::Anonymous);
        replayed.on_hello(&local, &trust, &hello(&nonce), Nonce::fresh().unwrap()).unwrap();
        assert_eq!(replayed.on_proof(&local, &trust, &proof), Err(GreetingError::WrongProof));
        assert_eq!(replayed.caller(), None);
    }

    #[test]
    fn a_wrong_proof_is_the_last_of_its_connection() {
        let (nonce, trust, local) = (Nonce::fresh().unwrap(), with_secret(TEXT), local());
        let session = Session::new(Identity::Anonymous);
        let answer = session.on_hello(&local, &trust, &hello(&nonce), Nonce::fresh().unwrap()).unwrap();
        let wrong = proof("another horse battery staple", &nonce, &answer);
        assert_eq!(session.on_proof(&local, &trust, &wrong), Err(GreetingError::WrongProof));
        let right = proof(TEXT, &nonce, &answer);
        assert_eq!(session.on_proof(&local, &trust, &right), Err(GreetingError::OutOfOrder));
        assert_eq!(session.caller(), None);
    }

    #[test]
    fn what_the_called_server_proves_is_no_proof_of_the_caller() {
        let (nonce, trust, local) = (Nonce::fresh().unwrap(), with_secret(TEXT), local());
        let session = Session::new(Identity::Anonymous);
        let answer = session.on_hello(&local, &trust, &hello(&nonce), Nonce::fresh().unwrap()).unwrap();
        assert_eq!(session.on_proof(&local, &trust, &answer.proof), Err(GreetingError::WrongProof));
    }

    #[test]
    fn nobody_is_greeted_before_the_server_knows_who_it_is() {
        let session = Session::new(Identity::Anonymous);
        let local = LocalPeer::new("n".to_owned());
        let answer =
            session.on_hello(&local, &Trust::default(), &hello(&Nonce::fresh().unwrap()), Nonce::fresh().unwrap());
        assert_eq!(answer, Err(GreetingError::NotReady));
    }
}
