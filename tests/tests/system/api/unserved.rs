//! What this server says about operations it does not have yet.

use liftbridge_tests::api::wire;
use tonic::{Code, Status};

use super::Fixture;

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>) {
    assert_eq!(answer.expect_err("a refusal").code(), Code::Unimplemented);
}

#[tokio::test]
async fn cursors_and_groups_are_unimplemented() {
    let mut fixture = Fixture::start().await;
    let client = &mut fixture.client;
    check(client.set_cursor(wire::SetCursorRequest::default()).await);
    check(client.fetch_cursor(wire::FetchCursorRequest::default()).await);
    check(client.join_consumer_group(wire::JoinConsumerGroupRequest::default()).await);
    check(client.leave_consumer_group(wire::LeaveConsumerGroupRequest::default()).await);
    check(client.fetch_consumer_group_assignments(wire::FetchConsumerGroupAssignmentsRequest::default()).await);
    check(client.report_consumer_group_coordinator(wire::ReportConsumerGroupCoordinatorRequest::default()).await);
}
