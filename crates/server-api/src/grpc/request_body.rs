//! A call's body on its way to the decoder of messages, counted while a message in it is not complete. Owns the framing of
//! messages as far as counting takes; never what is in them.

use std::task::{Context, Poll};

use tonic::Status;

use super::request_budget::RequestShare;
use super::watched_body::{Polled, Watch, WatchedBody};

/// A flag and a length stand before each message.
const PREFIX_BYTES: usize = 5;

/// A body that stays within a budget: one that does not ends with an error.
pub(super) type CountedBody<B> = WatchedBody<B, Count>;

impl<B> CountedBody<B> {
    /// A body whose bytes are `share`'s.
    pub(super) fn counted(share: RequestShare, body: B) -> Self {
        Self::new(body, Count { share, unfinished: Unfinished::default() })
    }
}

/// What is held of a message that is not complete.
pub(super) struct Count {
    share: RequestShare,
    unfinished: Unfinished,
}

impl Watch for Count {
    fn on_polled(&mut self, polled: Polled, _: &mut Context<'_>) -> Polled {
        // The decoder asks for more only when no whole message is left with it. Holding less is always possible.
        let _ = self.share.resize(self.unfinished.bytes());
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            if !self.share.resize(self.share.held_bytes() + data.len()) {
                return Poll::Ready(Some(Err(Status::resource_exhausted(
                    "too much of unfinished requests is held already: finish some before beginning others",
                ))));
            }
            self.unfinished.advance(data);
        }
        polled
    }
}

/// The message of which some bytes have come and others have not.
#[derive(Debug, Default)]
struct Unfinished {
    prefix: [u8; PREFIX_BYTES],
    /// How much of it, prefix included, has come.
    bytes: usize,
}

impl Unfinished {
    /// How much of it has come; 0 between two messages.
    fn bytes(&self) -> usize {
        self.bytes
    }

    /// More has come: the rest of this message, others, the beginning of another.
    fn advance(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let of_prefix = data.len().min(PREFIX_BYTES.saturating_sub(self.bytes));
            if let (Some(target), Some(source)) =
                (self.prefix.get_mut(self.bytes..self.bytes + of_prefix), data.get(..of_prefix))
            {
                target.copy_from_slice(source);
            }
            let taken = match self.bytes + of_prefix < PREFIX_BYTES {
                true => of_prefix,
                false => data.len().min(self.whole_bytes().saturating_sub(self.bytes)),
            };
            self.bytes += taken;
            data = data.get(taken..).unwrap_or_default();
            if self.bytes >= PREFIX_BYTES && self.bytes == self.whole_bytes() {
                self.bytes = 0;
            }
        }
    }

    /// How long the message is with its prefix, which has come.
    fn whole_bytes(&self) -> usize {
        let [_flag, length @ ..] = self.prefix;
        usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).saturating_add(PREFIX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;

    use bytes::Bytes;
    use hyper::body::{Body, Frame};

    use super::super::request_budget::RequestBudget;
    use super::*;

    fn message(bytes: u32) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(bytes.to_be_bytes());
        message.resize(PREFIX_BYTES + bytes as usize, b'x');
        message
    }

    #[test]
    fn what_is_unfinished_does_not_depend_on_where_frames_are_cut() {
        let whole = [message(0), message(3), message(300), message(0), message(7)].concat();
        let ends = [5, 13, 318, 323, 335];
        for size in 1..whole.len() {
            let mut unfinished = Unfinished::default();
            let mut end = 0;
            for frame in whole.chunks(size) {
                unfinished.advance(frame);
                end += frame.len();
                let begun = ends.iter().rev().find(|finished| **finished <= end).copied().unwrap_or(0);
                assert_eq!(unfinished.bytes(), end - begun, "frames of {size}, at {end}");
            }
        }
    }

    /// A body of these frames.
    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn poll(body: &mut CountedBody<Frames>) -> Polled {
        Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn half_sent_messages_are_refused_beyond_the_bound_and_whole_ones_never() {
        const FRAME: u32 = 1024 * 1024;
        let connection = RequestBudget::new(0).connection();
        let frame = Bytes::from(message(FRAME - 5));
        let mut sound = CountedBody::counted(connection.share(), Frames(vec![frame; 1000].into()));
        for _ in 0..1000 {
            assert!(matches!(poll(&mut sound), Poll::Ready(Some(Ok(_)))));
        }
        assert!(matches!(poll(&mut sound), Poll::Ready(None)));

        let half = Bytes::from(message(FRAME)).slice(..FRAME as usize);
        let begin = || {
            CountedBody::counted(connection.share(), Frames(vec![half.clone(), Bytes::from_static(b"rest!")].into()))
        };
        let mut begun: Vec<CountedBody<Frames>> = (0..64).map(|_| begin()).collect();
        assert!(begun.iter_mut().all(|body| matches!(poll(body), Poll::Ready(Some(Ok(_))))));
        let mut one_more = begin();
        let Poll::Ready(Some(Err(refused))) = poll(&mut one_more) else { panic!("it is let in") };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        begun.pop();
        assert!(matches!(poll(&mut begin()), Poll::Ready(Some(Ok(_)))), "what has ended holds nothing");
    }
}
