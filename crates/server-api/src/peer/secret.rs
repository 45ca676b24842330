//! The secret that the servers of a cluster share, and proofs that somebody knows it.
//!
//! Owns what a proof says. The secret itself never leaves this file: not to the wire, not to a log line, not to an error.

use std::fmt;

use liftbridge_types::BrokerId;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

/// The shortest secret: whoever has overheard a proof can try secrets at leisure.
pub const SECRET_BYTES_MIN: usize = 16;
/// Bytes of a nonce, too many to meet the same twice.
const NONCE_BYTES: usize = 32;
/// What every proof begins with, so that it proves nothing anywhere else. Grows when its content changes.
const PURPOSE: &[u8] = b"liftbridge peer 1";

/// A secret too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is {bytes} bytes long, it must be at least {SECRET_BYTES_MIN}")]
pub struct ShortSecret {
    /// Its length.
    pub bytes: usize,
}

/// What every server of the cluster knows and nobody else.
#[derive(Clone)]
pub struct ClusterSecret(hmac::Key);

impl ClusterSecret {
    /// The secret with this text; blanks around it do not count, so that it may be a line of a file.
    ///
    /// # Errors
    /// When it is shorter than [`SECRET_BYTES_MIN`].
    pub fn new(text: &str) -> Result<Self, ShortSecret> {
        let text = text.trim();
        match text.len() {
            bytes if bytes < SECRET_BYTES_MIN => Err(ShortSecret { bytes }),
            _ => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))),
        }
    }

    /// The proof that one end of this greeting knows the secret.
    pub(crate) fn prove(&self, prover: Side, greeting: &Greeting<'_>) -> Vec<u8> {
        hmac::sign(&self.0, &greeting.to_bytes(prover)).as_ref().to_vec()
    }

    /// Whether `proof` is that proof. Takes the same time whatever is wrong with it.
    pub(crate) fn verifies(&self, prover: Side, greeting: &Greeting<'_>, proof: &[u8]) -> bool {
        hmac::verify(&self.0, &greeting.to_bytes(prover), proof).is_ok()
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Two secrets are the same when they prove the same.
impl PartialEq for ClusterSecret {
    fn eq(&self, other: &Self) -> bool {
        hmac::verify(&other.0, PURPOSE, hmac::sign(&self.0, PURPOSE).as_ref()).is_ok()
    }
}

impl Eq for ClusterSecret {}

/// Which end of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that made the connection.
    Caller,
    /// The one that took it.
    Called,
}

/// A number used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// A fresh one; `None` when the system has no randomness.
    pub(crate) fn fresh() -> Option<Self> {
        let mut bytes = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut bytes).ok().map(|()| Self(bytes))
    }

    /// The one the other end sent; `None` when it is none.
    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One greeting, as both ends see it. A proof is about all of it, so that none can be carried to another connection, server
/// or cluster, nor back to where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeting<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) caller: &'a BrokerId,
    pub(crate) called: &'a BrokerId,
    pub(crate) caller_nonce: &'a Nonce,
    pub(crate) called_nonce: &'a Nonce,
}

impl Greeting<'_> {
    /// What is signed: each part after its length, so that no two greetings read the same.
    fn to_bytes(self, prover: Side) -> Vec<u8> {
        let side: &[u8] = match prover {
            Side::Caller => b"caller",
            Side::Called => b"called",
        };
        let parts = [
            PURPOSE,
            side,
            self.namespace.as_bytes(),
            self.caller.as_str().as_bytes(),
            self.called.as_str().as_bytes(),
            self.caller_nonce.as_bytes(),
            self.called_nonce.as_bytes(),
        ];
        parts.into_iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "correct horse battery staple";

    fn secret(text: &str) -> ClusterSecret {
        ClusterSecret::new(text).unwrap()
    }

    #[test]
    fn a_proof_proves_one_side_of_one_greeting_and_nothing_else() {
        let (a, b, c) = (BrokerId::new("a").unwrap(), BrokerId::new("b").unwrap(), BrokerId::new("c").unwrap());
        let (one, two, three) = (Nonce::fresh().unwrap(), Nonce::fresh().unwrap(), Nonce::fresh().unwrap());
        let greeting = Greeting { namespace: "n", caller: &a, called: &b, caller_nonce: &one, called_nonce: &two };
        let proof = secret(TEXT).prove(Side::Caller, &greeting);
        assert!(secret(TEXT).verifies(Side::Caller, &greeting, &proof));

        let refused = |known: &str, side, greeting: Greeting<'_>| {
            assert!(!secret(known).verifies(side, &greeting, &proof), "{known} {side:?} {greeting:?}");
        };
        refused("another horse battery staple", Side::Caller, greeting);
        refused(TEXT, Side::Called, greeting);
        refused(TEXT, Side::Caller, Greeting { namespace: "m", ..greeting });
        refused(TEXT, Side::Caller, Greeting { caller: &c, ..greeting });
        refused(TEXT, Side::Caller, Greeting { called: &c, ..greeting });
        refused(TEXT, Side::Caller, Greeting { caller_nonce: &three, ..greeting });
        refused(TEXT, Side::Caller, Greeting { called_nonce: &three, ..greeting });
        for length in 0..proof.len() {
            assert!(!secret(TEXT).verifies(Side::Caller, &greeting, &proof[..length]));
        }
    }

    #[test]
    fn parts_cannot_be_moved_from_one_name_to_the_next() {
        let (ab, c, a, bc) = ("ab", "c", "a", "bc");
        let names = [(ab, c), (a, bc)].map(|(caller, called)| (BrokerId::new(caller), BrokerId::new(called)));
        let nonce = Nonce([0; NONCE_BYTES]);
        let [one, two] = names.map(|(caller, called)| {
            let (caller, called) = (caller.unwrap(), called.unwrap());
            let (caller_nonce, called_nonce) = (&nonce, &nonce);
            Greeting { namespace: "", caller: &caller, called: &called, caller_nonce, called_nonce }
                .to_bytes(Side::Caller)
        });
        assert_ne!(one, two);
    }

    #[test]
    fn a_short_secret_is_refused_and_blanks_are_no_secret() {
        assert_eq!(ClusterSecret::new("  fifteen bytes..  \n").unwrap_err(), ShortSecret { bytes: 15 });
        assert_eq!(ClusterSecret::new(&format!(" {TEXT}\n")).unwrap(), secret(TEXT));
        assert_ne!(secret("another horse battery staple"), secret(TEXT));
    }

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?}", secret(TEXT)), "***");
    }

    #[test]
    fn a_nonce_has_one_length() {
        assert_eq!(Nonce::from_wire(&[0; NONCE_BYTES - 1]), None);
        assert_eq!(Nonce::from_wire(&[0; NONCE_BYTES + 1]), None);
        let nonce = Nonce::fresh().unwrap();
        assert_eq!(Nonce::from_wire(nonce.as_bytes()), Some(nonce));
        assert_ne!(Nonce::fresh().unwrap(), nonce);
    }
}
