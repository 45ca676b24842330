//! The proof that a request was let through. Owns its making; never what the request does.

use crate::Identity;

/// A request together with who was allowed to make it. Only an [`Authorizer`](crate::Authorizer) makes one.
#[derive(Clone, Debug)]
pub struct Authorized<T> {
    request: T,
    identity: Identity,
}

impl<T> Authorized<T> {
    pub(crate) fn new(request: T, identity: Identity) -> Self {
        Self { request, identity }
    }

    /// A request the server makes on its own behalf, which no policy governs.
    pub fn internal(request: T) -> Self {
        Self::new(request, Identity::Internal)
    }

    /// Who asked.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The request.
    pub fn request(&self) -> &T {
        &self.request
    }

    /// The request by value, for carrying it out.
    pub fn into_request(self) -> T {
        self.request
    }
}
