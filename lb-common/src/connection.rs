//! A remembered choice, and what a packet does to it.

use crate::server::{ServerRef, ServerState};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where a TCP connection is in its life. Stored as a byte; an unknown byte is [`TcpState::Closed`].
///
/// One direction is enough to know it (dr and tunnels show no other); a nat connection keeps one for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TcpState {
    /// The first packet was seen: of TCP a SYN.
    Opening = 0,
    /// A second packet was seen.
    Established = 1,
    /// A FIN was seen in this direction.
    Finishing = 2,
    /// A reset was seen.
    Closed = 3,
}

impl TcpState {
    /// The state that `byte` stands for.
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Opening,
            1 => Self::Established,
            2 => Self::Finishing,
            _ => Self::Closed,
        }
    }

    /// The state after a packet with `flags` in the same direction.
    #[inline]
    #[must_use]
    pub const fn after(self, flags: TcpFlags) -> Self {
        match self {
            Self::Closed => Self::Closed,
            _ if flags.has(TcpFlags::RST) => Self::Closed,
            Self::Finishing => Self::Finishing,
            _ if flags.has(TcpFlags::FIN) => Self::Finishing,
            Self::Opening if flags.has(TcpFlags::SYN) => Self::Opening,
            Self::Opening | Self::Established => Self::Established,
        }
    }

    /// Whether a SYN on the same flow may open another connection.
    #[inline]
    pub const fn is_closing(self) -> bool {
        matches!(self, Self::Finishing | Self::Closed)
    }
}

/// The flags of a TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;

    /// Whether any bit of `mask` is set.
    #[inline]
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask != 0
    }

    /// Whether the packet opens a connection: SYN without ACK, RST or FIN.
    #[inline]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

/// Value of `CONNECTIONS` and `HALF_OPEN`: 16 bytes.
///
/// `last_seen`, `state` and `mac` change in place, by plain stores of one word or less each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Connection {
    /// The server.
    pub server: ServerRef,
    /// Coarse monotonic clock in milliseconds, modulo 2^32 (49 days).
    pub last_seen: u32,
    /// nat: the MAC address that the client's frames come from, where answers go.
    pub mac: [u8; 6],
    /// nat: index of the device that the client's frames come in by.
    pub device: u8,
    /// A [`TcpState`].
    pub state: u8,
}

/// A packet renews the time of an entry only if that is older, in milliseconds: a clean cache line stays clean.
pub const RENEWAL_MS: u32 = 1_000;

impl Connection {
    /// Milliseconds of silence at `now`. A `last_seen` ahead of `now` (another CPU's clock) counts as none.
    #[inline]
    pub const fn idle(&self, now: u32) -> u32 {
        let idle = now.wrapping_sub(self.last_seen);
        if idle > u32::MAX / 2 { 0 } else { idle }
    }

    /// Whether nothing but time goes by with a packet that has `flags`, while the server is in state `server`: the
    /// connection stays, and its state as well. Most packets of a known flow.
    #[inline]
    pub const fn is_undisturbed(&self, flags: TcpFlags, server: ServerState) -> bool {
        self.state == TcpState::Established as u8
            && !flags.has(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
            && matches!(server, ServerState::Up | ServerState::NoNew)
    }
}

/// What kind of packet asks for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// TCP that opens a connection.
    Syn,
    /// Any other TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a service asks for known flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Its `on-down = "keep"`.
    pub keep_on_down: bool,
    /// Whether it is untracked.
    pub untracked: bool,
}

/// What is done with a packet of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays on the server of its connection.
    Stay,
    /// It is given a server.
    Schedule,
    /// It belongs to no connection and opens none.
    NoConnection,
    /// The server of its connection is down.
    ServerDown,
    /// The server of its connection was removed.
    ServerRemoved,
}

/// What is done with a `segment` whose connection, if there is one, is in `known` on a server in the state beside it.
///
/// The table of design.md, section 4. Where the service is untracked, an entry on a server that takes no new flows may
/// be of an older connection: its end was not always seen.
#[inline]
pub const fn decide(segment: Segment, known: Option<(TcpState, ServerState)>, service: Rules) -> Decision {
    let keep_on_down = service.keep_on_down;
    match (segment, known) {
        (Segment::Syn, Some((_, ServerState::NoNew))) if service.untracked => Decision::Schedule,
        (Segment::Tcp, None) => Decision::NoConnection,
        (Segment::Syn, Some((state, _))) if state.is_closing() => Decision::Schedule,
        (_, Some((_, ServerState::Up | ServerState::NoNew))) => Decision::Stay,
        (Segment::Syn | Segment::Udp, _) => Decision::Schedule,
        (Segment::Tcp, Some((_, ServerState::Down))) if keep_on_down => Decision::Stay,
        (Segment::Tcp, Some((_, ServerState::Down))) => Decision::ServerDown,
        (Segment::Tcp, Some((_, ServerState::Gone))) => Decision::ServerRemoved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_disturbs_nothing_stays_and_changes_no_state() {
        use ServerState::{Down, Gone, NoNew, Up};
        let mut undisturbed = 0;
        for (state, flags) in (0..4).flat_map(|state| (0..0x40).map(move |flags| (state, TcpFlags(flags)))) {
            let connection = Connection { state, ..Connection::default() };
            for server in
                [Up, NoNew, Down, Gone].into_iter().filter(|server| connection.is_undisturbed(flags, *server))
            {
                let state = TcpState::from_byte(state);
                for (keep_on_down, untracked) in [(false, false), (false, true), (true, false), (true, true)]
                {
                    for segment in [if flags.opens() { Segment::Syn } else { Segment::Tcp }, Segment::Udp] {
                        let decision =
                            decide(segment, Some((state, server)), Rules { keep_on_down, untracked });
                        assert_eq!(
                            (decision, state.after(flags)),
                            (Decision::Stay, state),
                            "{flags:?} {server:?}"
                        );
                        undisturbed += 1;
                    }
                }
            }
        }
        // Of 64 combinations of six flags those without SYN, FIN and RST, on two states of a server, by four rules and
        // two protocols.
        assert_eq!(undisturbed, 8 * 2 * 4 * 2);
    }

    #[test]
    fn the_table_of_server_states_holds() {
        use Decision::{NoConnection, Schedule, ServerDown, ServerRemoved, Stay};
        use ServerState::{Down, Gone, NoNew, Up};
        use TcpState::{Closed, Established, Finishing, Opening};
        let rows = [
            (Segment::Syn, None, false, Schedule),
            (Segment::Tcp, None, false, NoConnection),
            (Segment::Udp, None, false, Schedule),
            (Segment::Tcp, Some((Established, Up)), false, Stay),
            (Segment::Tcp, Some((Established, NoNew)), false, Stay),
            (Segment::Tcp, Some((Established, Down)), false, ServerDown),
            (Segment::Tcp, Some((Established, Down)), true, Stay),
            (Segment::Tcp, Some((Established, Gone)), false, ServerRemoved),
            (Segment::Tcp, Some((Established, Gone)), true, ServerRemoved),
            (Segment::Tcp, Some((Finishing, Up)), false, Stay),
            (Segment::Udp, Some((Opening, Up)), false, Stay),
            (Segment::Udp, Some((Opening, NoNew)), false, Stay),
            (Segment::Udp, Some((Opening, Down)), true, Schedule),
            (Segment::Udp, Some((Opening, Gone)), false, Schedule),
            (Segment::Syn, Some((Opening, Up)), false, Stay),
            (Segment::Syn, Some((Opening, NoNew)), false, Stay),
            (Segment::Syn, Some((Opening, Down)), true, Schedule),
            (Segment::Syn, Some((Established, Up)), false, Stay),
            (Segment::Syn, Some((Established, NoNew)), false, Stay),
            (Segment::Syn, Some((Finishing, Up)), false, Schedule),
            (Segment::Syn, Some((Closed, Up)), false, Schedule),
        ];
        for (segment, known, keep_on_down, want) in rows {
            let rules = Rules { keep_on_down, untracked: false };
            assert_eq!(decide(segment, known, rules), want, "{segment:?} {known:?} {rules:?}");
            let rules = Rules { untracked: true, ..rules };
            let moved = segment == Segment::Syn && known.is_some_and(|(_, server)| server == NoNew);
            let want = if moved { Schedule } else { want };
            assert_eq!(decide(segment, known, rules), want, "{segment:?} {known:?} {rules:?}");
        }
    }

    #[test]
    fn a_connection_lives_from_syn_to_reset() {
        let step = |state: TcpState, flags| state.after(TcpFlags(flags));
        let syn = step(TcpState::Opening, TcpFlags::SYN);
        assert_eq!(syn, TcpState::Opening);
        let open = step(syn, TcpFlags::ACK);
        assert_eq!(open, TcpState::Established);
        assert_eq!(step(open, TcpFlags::SYN), TcpState::Established);
        let finishing = step(open, TcpFlags::FIN | TcpFlags::ACK);
        assert_eq!(finishing, TcpState::Finishing);
        assert_eq!(step(finishing, TcpFlags::ACK), TcpState::Finishing);
        assert_eq!(step(finishing, TcpFlags::RST), TcpState::Closed);
        assert_eq!(step(TcpState::Closed, TcpFlags::ACK), TcpState::Closed);
    }

    #[test]
    fn only_a_bare_syn_opens() {
        for flags in 0..=0x1f {
            let opens = flags & 0x17 == TcpFlags::SYN;
            assert_eq!(TcpFlags(flags).opens(), opens, "{flags:#x}");
        }
    }

    #[test]
    fn idle_time_survives_the_wrap_of_the_clock() {
        let connection = Connection { last_seen: u32::MAX - 10, ..Connection::default() };
        assert_eq!(connection.idle(5), 16);
        assert_eq!(connection.idle(u32::MAX - 20), 0);
    }
}
