//! Signs of life to the controller, and what their answers mean here. Owns how often they are given and until when this
//! broker may believe that it still leads what it leads; never who decides that it does not.
//!
//! An answered sign of life holds for this broker's session timeout, which it has registered, from when it was *sent*: the
//! controller fences nobody before. The controller's own broker trusts itself for less, whatever the controller before it
//! has answered, because whoever is elected in its place waits for it less. When the time
//! is over without another answer, the partitions led here let nothing in any more until there is one.
//!
//! A server without peers gives no signs and needs none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use liftbridge_metadata_raft::{CONTROLLER_LEASE, Part, Standing};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::inbox::hear;
use crate::node::Node;
use crate::peers::{Heartbeat, HeartbeatAnswer};
use crate::removal::{Question, REMOVED, ask_whether_removed};

/// The longest pause between two signs of life.
const INTERVAL_MAX: Duration = Duration::from_millis(300);
/// Nothing is wrong with its data, so nobody is to be told to empty that.
const SUPERSEDED: &str = "a later start of a server with this id is the valid one: start this one again, or under another \
    `clustering.server.id` if both are to run";
/// Why partitions led here take no publishes any more.
const UNANSWERED: &str = "the controller does not answer";
/// A session timeout holds at least this many signs of life.
const PER_TIMEOUT: u32 = 5;

/// Gives signs of life until the node is gone, expelled or stops.
pub(crate) async fn give_signs_of_life(node: Weak<Node>, session_timeout: Duration, question: Question) {
    let Some(mut standing) = node.upgrade().map(|node| node.standing.clone()) else { return };
    let interval = (session_timeout / PER_TIMEOUT).min(INTERVAL_MAX);
    let mut lease_end = Instant::now() + session_timeout;
    let mut cut_off_at = lease_end;
    let mut asked_at: Option<Instant> = None;
    loop {
        if standing.borrow().alone {
            if !wait_for_company(&mut standing).await {
                return;
            }
            // Until now there was nobody else to lead anything.
            lease_end = Instant::now() + session_timeout;
        }
        let Some(running) = node.upgrade().filter(|node| node.gives_signs_of_life()) else { return };
        let now = standing.borrow_and_update().clone();
        if now.part == Part::Removed {
            return running.expel(REMOVED.to_owned());
        }
        if let Some(failure) = running.metadata.failure() {
            // What is agreed on from now on is not heard here: whoever goes on so leads and serves what others lead.
            return running.expel(failure.to_string());
        }
        let sent = Instant::now();
        if now.part == Part::Controller {
            lease_end = lease_end.min(sent + CONTROLLER_LEASE);
        }
        // Before it is asked again, because the answer may take its time.
        if sent >= lease_end {
            running.lapse(UNANSWERED);
        }
        // An answer that comes after the lease has ended comes too late for it.
        let answer_by = if sent < lease_end { (sent + interval).min(lease_end) } else { sent + interval };
        let answer = tokio::time::timeout_at(answer_by, ask(&running, &now)).await;
        if matches!(answer, Ok((HeartbeatAnswer::Alive | HeartbeatAnswer::Fenced, _))) {
            cut_off_at = sent + session_timeout;
        }
        let is_cut_off = Instant::now() >= cut_off_at;
        running.cut_off.store(is_cut_off, Ordering::Relaxed);
        if is_cut_off && asked_at.is_none_or(|asked_at| sent >= asked_at + session_timeout) {
            asked_at = Some(sent);
            let (running, question) = (Arc::clone(&running), question.clone());
            tokio::spawn(async move { ask_whether_removed(&running, &question).await });
        }
        match answer {
            Ok((HeartbeatAnswer::Alive, lease)) => {
                lease_end = sent + lease.min(session_timeout);
                running.renew_lease();
            }
            Ok((HeartbeatAnswer::Superseded, _)) => return running.expel(SUPERSEDED.to_owned()),
            Ok((HeartbeatAnswer::Removed, _)) => return running.expel(REMOVED.to_owned()),
            // Whoever is fenced leads nothing, though it may not have heard of that yet.
            Ok((HeartbeatAnswer::Fenced, _)) => running.lapse("this broker is fenced"),
            Ok((HeartbeatAnswer::NotController, _)) | Err(_) => {}
        }
        if Instant::now() >= lease_end {
            running.lapse(UNANSWERED);
        }
        drop(running);
        let next = if sent < lease_end { (sent + interval).min(lease_end) } else { sent + interval / 2 };
        // A new controller hears of this broker at once.
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            changed = standing.changed() => if changed.is_err() { return },
        }
    }
}

/// Waits until there are other servers; `false` when the metadata is gone.
async fn wait_for_company(standing: &mut watch::Receiver<Standing>) -> bool {
    standing.wait_for(|standing| !standing.alone).await.is_ok()
}

/// Asks the controller; its answer, and how long it holds.
async fn ask(node: &Arc<Node>, standing: &Standing) -> (HeartbeatAnswer, Duration) {
    let heartbeat = Heartbeat {
        broker_id: node.id.clone(),
        incarnation: node.incarnation(),
        applied: node.agreement.carried_out(),
    };
    if standing.part == Part::Controller {
        return (hear(node, heartbeat).await, CONTROLLER_LEASE);
    }
    let Some(controller) = &standing.controller else { return (HeartbeatAnswer::NotController, Duration::ZERO) };
    match node.peers.heartbeat(&controller.broker, heartbeat).await {
        Ok(answer) => (answer, Duration::MAX),
        Err(error) => {
            tracing::debug!(%error, "no answer to a sign of life");
            (HeartbeatAnswer::NotController, Duration::ZERO)
        }
    }
}
