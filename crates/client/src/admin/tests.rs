//! Whom questions about the cluster go to, and what answers mean.

use tonic::Status;

use super::*;
use crate::testing::MockBroker;

const PARTITION: PartitionId = PartitionId::FIRST;
