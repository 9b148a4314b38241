//! Damaged frames: whatever comes in, one verdict, counted once, and what passes is as it came.

use crate::given::{V4, V6};
use lb_common::server::Method::{Dr, Ipip, Nat};
use lb_common::verdict::Reason;
use lb_tests::packet::{SYN, describe, tcp};
use lb_tests::program::{Action, LoadedProgram, World};

/// A generator of numbers that are the same in every run: xorshift64 (Marsaglia, 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// `frame` with some bytes of its headers changed, or cut, or both.
    fn damage(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        for _ in 0..self.below(4) {
            let place = 12 + self.below(frame.len() - 12);
            frame[place] = u8::try_from(self.below(256)).unwrap();
        }
        if self.below(4) == 0 {
            frame.truncate(14 + self.below(frame.len() - 13));
        }
        frame
    }
}

fn frames() -> Vec<Vec<u8>> {
    let answer = tcp((V4.servers[1], 80).into(), V4.client).flags(SYN | 0x10);
    let of = |family: &crate::given::Family| [family.syn(), family.ack().payload_len(40), family.datagram()];
    let tunnel = V6.syn().tunnelled(V4.director, V4.servers[0]);
    let packets =
        of(&V4).into_iter().chain(of(&V6)).chain([answer, tunnel, V4.syn().ttl(1), V6.datagram().ttl(1)]);
    packets.map(|packet| packet.build()).collect()
}

#[test]
fn every_damaged_frame_meets_one_verdict() {
    const RUNS: u64 = 20_000;
    let servers =
        |family: &crate::given::Family| [Dr, Nat, Ipip].map(|method| family.server(method as usize, method));
    let services = [V4.tcp(servers(&V4)), V4.udp(servers(&V4)), V6.tcp(servers(&V6)), V6.udp(servers(&V6))];
    let mut program = LoadedProgram::load(&World::new(services));
    let (mut numbers, frames) = (Numbers(0x1d_4b42), frames());
    for run in 0..RUNS {
        let whole = &frames[numbers.below(frames.len())];
        let frame = numbers.damage(whole);
        let (action, packet) = program.run(&frame);
        assert!(
            matches!(action, Action::Pass | Action::Drop | Action::Tx),
            "{action:?}: {}",
            describe(&frame)
        );
        let untouched = action != Action::Pass || packet == frame;
        assert!(untouched, "run {run} changed what passes: {}{}", describe(&frame), describe(&packet));
    }
    let counters = program.counters();
    let verdicts = counters.reasons.iter().filter(|((word, _), _)| *word != Reason::NotRemembered.word());
    assert_eq!(verdicts.map(|(_, count)| count.packets).sum::<u64>(), RUNS, "{counters:#?}");
    for word in
        ["forwarded-dr", "forwarded-nat", "forwarded-ipip", "replied-nat", "not-a-service", "truncated"]
    {
        assert!(counters.reasons.contains_key(&(word, false)), "no frame was {word}: {counters:#?}");
    }
}
