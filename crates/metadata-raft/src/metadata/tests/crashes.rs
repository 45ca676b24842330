//! Crashes wherever they come: what was answered is there.

use super::*;

/// Fails one storage operation after the other, cuts the power, and looks at what is left.
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_answered() {
    let mut was_undisturbed = false;
    for after in 0..2000 {
        let volume = FaultyVolume::new(after);
        volume.fail_operation(after, std::io::ErrorKind::Other);
        let answered = answered_before_failing(&volume);
        was_undisturbed = volume.operation_count() <= after;
        volume.crash();
        // The failure that was not met yet is met by the restart, which may fail of it: the next one must not.
        let opened = Opened::try_on(&volume, &options(3)).or_else(|_| {
            volume.crash();
            Opened::try_on(&volume, &options(3))
        });
        let opened = opened.unwrap_or_else(|error| panic!("operation {after}: {error}"));
        let streams = opened.streams();
        assert!(
            answered.iter().all(|stream| streams.contains(stream)),
            "operation {after}: {answered:?} of {streams:?}"
        );
        opened.propose(register("a")).unwrap();
        if was_undisturbed {
            break;
        }
    }
    assert!(was_undisturbed, "the scenario has more operations than are visited");
}

/// Creates streams, with a restart in between, until something fails; which of them were answered.
fn answered_before_failing(volume: &FaultyVolume) -> Vec<String> {
    let mut answered = Vec::new();
    for life in 0..2 {
        let Ok(opened) = Opened::try_on(volume, &options(3)) else { return answered };
        let Ok(_) = opened.propose(register("a")) else { return answered };
        for number in 0..6 {
            let stream = format!("s{life}.{number}");
            let Ok(index) = opened.propose(create(&stream, 1, Exactly(1))) else { return answered };
            answered.push(stream);
            opened.metadata.carried_out(index);
        }
        opened.metadata.close();
    }
    answered
}
