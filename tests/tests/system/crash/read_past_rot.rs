//! `liftbridge-admin subscribe` over what cannot be read: it is told of, everything else is written, and the exit code says so.

use liftbridge_tests::admin::{Ran, admin};
use liftbridge_tests::api::{connect, create, publish_values};
use liftbridge_tests::damage;
use liftbridge_tests::server::{Options, Server};
use tempfile::TempDir;

const MESSAGES: usize = 20;
/// Of partition 0: one in the middle, two side by side, and the last.
const DAMAGED: [usize; 4] = [5, 11, 12, MESSAGES - 1];

/// The value of a message, which is nowhere else.
fn value(partition: usize, offset: usize) -> String {
    format!("value/{partition}/{offset}/")
}

/// The values of a partition that can be read, upward.
fn readable(partition: usize) -> Vec<String> {
    let is_whole = |offset: &usize| partition != 0 || !DAMAGED.contains(offset);
    (0..MESSAGES).filter(is_whole).map(|offset| value(partition, offset)).collect()
}

/// A server with a stream of three partitions, the first of which has rotted in three places.
async fn rotten(data: &TempDir) -> Server {
    let folder = data.path().join("data");
    // A batch is what is lost at once.
    let options = Options::default().with_config("batch.max.messages: 1");
    let server = Server::start_with(&folder, &options).await;
    let mut client = connect(&server).await;
    create(&mut client, "rotten", 3).await;
    for partition in 0..3 {
        let values: Vec<String> = (0..MESSAGES).map(|offset| value(partition, offset)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        publish_values(&mut client, "rotten", i32::try_from(partition).unwrap(), &values).await;
    }
    server.stop().await;
    for offset in DAMAGED {
        let (log, place) = damage::partition_directories(&folder)
            .iter()
            .flat_map(|partition| damage::files(partition, "log"))
            .find_map(|log| damage::find(&log, value(0, offset).as_bytes()).map(|place| (log, place)))
            .expect("the value is stored as it is");
        damage::flip_bit(&log, place + 2);
    }
    Server::start_with(&folder, &options).await
}

async fn subscribe(server: &Server, arguments: &[&str]) -> Ran {
    let mut all = vec!["subscribe", "rotten", "--values"];
    all.extend(arguments);
    admin(server, &all).await
}

/// Everything that can be read of these partitions was written, in the order it was asked for, and every damage told of.
#[track_caller]
fn check(ran: &Ran, partitions: &[usize], reverse: bool) {
    for partition in partitions {
        let mut expected = readable(*partition);
        if reverse {
            expected.reverse();
        }
        let of_partition = |line: &&str| line.starts_with(&format!("value/{partition}/"));
        let written: Vec<&str> = ran.stdout.lines().filter(of_partition).collect();
        assert_eq!(written, expected, "partition {partition}: {}", ran.stderr);
    }
    assert_eq!(
        ran.stdout.lines().count(),
        partitions.iter().map(|partition| readable(*partition).len()).sum::<usize>()
    );
    assert_eq!(ran.code, 1);
}

#[track_caller]
fn check_told(ran: &Ran, damage: &[&str]) {
    for words in damage {
        assert!(ran.stderr.contains(words), "`{words}` in {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), damage.len() + 1, "and once that not everything was read: {}", ran.stderr);
    assert!(ran.stderr.lines().last().unwrap().contains("not everything was read"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_lies_behind_damage_and_in_other_partitions_is_written() {
    let data = TempDir::new().unwrap();
    let server = rotten(&data).await;
    let upward = subscribe(&server, &[]).await;
    check(&upward, &[0, 1, 2], false);
    check_told(&upward, &["partition 0: offsets 5 to 5 ", "offsets 11 to 12 ", "offsets 19 to 19 "]);

    let downward = subscribe(&server, &["--reverse"]).await;
    check(&downward, &[0, 1, 2], true);
    check_told(&downward, &["partition 0: offsets 19 to 19 ", "offsets 11 to 12 ", "offsets 5 to 5 "]);

    let following = subscribe(&server, &["--follow", "--to", "offset:19"]).await;
    check(&following, &[0, 1, 2], false);
    check_told(&following, &["partition 0: offsets 5 to 5 ", "offsets 11 to 12 ", "offsets 19 to 19 "]);

    let alone = subscribe(&server, &["--partition", "0"]).await;
    check(&alone, &[0], false);
    let whole = subscribe(&server, &["--partition", "1"]).await;
    assert_eq!(whole.succeeded().lines().count(), MESSAGES);
    server.stop().await;
}

#[tokio::test]
async fn a_paused_partition_keeps_no_other_from_being_read() {
    let data = TempDir::new().unwrap();
    let server = rotten(&data).await;
    admin(&server, &["streams", "pause", "rotten", "--partition", "0"]).await.succeeded();
    for arguments in [&[][..], &["--reverse"], &["--follow", "--to", "offset:19"]] {
        let ran = subscribe(&server, arguments).await;
        check(&ran, &[1, 2], arguments == ["--reverse"]);
        check_told(&ran, &["is paused (--resume wakes it)"]);
    }
    let alone = subscribe(&server, &["--partition", "0"]).await;
    assert_eq!((alone.code, alone.stderr.lines().count()), (1, 1), "{}", alone.stderr);
    server.stop().await;
}
