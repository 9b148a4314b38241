//! What becomes of a packet, and why. The reason is the counter and the word that the operator reads.

/// What kind of outcome a reason stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Left to the host, untouched.
    Pass,
    /// Sent on its way.
    Forward,
    /// Not forwarded: dropped, or answered with a reset or an ICMP error.
    Refuse,
    /// Counted beside the verdict, never instead of one.
    Note,
}

macro_rules! reasons {
    ($($name:ident = $number:literal, $kind:ident, $word:literal, $text:literal;)*) => {
        /// Why a packet met its verdict. The number is the index of its counter; what is forwarded is counted by servers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $text] $name = $number,)*
        }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word of the CLI, of `docs/operations.md` and of `--json`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// One sentence for the operator.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What kind of outcome it stands for.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

reasons! {
    NotIp = 0, Pass, "not-ip", "Neither IPv4 nor IPv6 directly behind the Ethernet header: ARP, VLAN, LLDP.";
    Truncated = 1, Pass, "truncated", "Shorter than its headers say.";
    Fragment = 2, Pass, "fragment", "An IPv4 fragment, first or later.";
    IpOptions = 3, Pass, "ip-options", "An IPv4 header with options.";
    NotTcpOrUdp = 4, Pass, "not-tcp-or-udp", "Another protocol, or an IPv6 extension header.";
    NotAService = 5, Pass, "not-a-service", "No service has this address, port and protocol.";
    NotReady = 6, Pass, "not-ready", "The tables of the service do not fit each other.";
    ForwardedDr = 7, Forward, "forwarded-dr", "Forwarded by direct routing.";
    ForwardedNat = 8, Forward, "forwarded-nat", "Forwarded by nat, destination rewritten.";
    ForwardedIpip = 9, Forward, "forwarded-ipip", "Forwarded through an IP-in-IP tunnel.";
    RepliedNat = 10, Forward, "replied-nat", "Answer of a nat server, source rewritten to the VIP.";
    NoServer = 11, Refuse, "no-server", "No server of the service takes new connections.";
    NoConnection = 12, Refuse, "no-connection", "TCP that belongs to no known connection and does not open one.";
    ServerDown = 13, Refuse, "server-down", "The server of this connection is down.";
    ServerRemoved = 14, Refuse, "server-removed", "The server of this connection was removed.";
    TtlExpired = 15, Refuse, "ttl-expired", "TTL or hop limit would reach zero.";
    TooBig = 16, Refuse, "too-big", "Larger than the way to the server carries.";
    NoNextHop = 17, Refuse, "no-next-hop", "The MAC address of the next hop is not known.";
    TableFull = 18, Refuse, "table-full", "A nat connection could not be remembered.";
    NatTupleTaken = 19, Refuse, "nat-tuple-taken", "The server's side of a nat connection belongs to another client flow.";
    NoHeadroom = 20, Refuse, "no-headroom", "The driver left no room for an outer header.";
    NotRemembered = 21, Note, "not-remembered", "The connection table is full: forwarded by slot, not remembered.";
    Decapsulated = 22, Pass, "decapsulated", "Outer header removed and given to the host.";
    NotOurTunnel = 23, Pass, "not-our-tunnel", "No IP-in-IP packet for this host with a VIP it was told about.";
    EcnInvalid = 24, Refuse, "ecn-invalid", "Congestion was marked on the tunnel of a packet that cannot carry the mark.";
    OtherMac = 25, Pass, "other-mac", "Addressed to a service, in a frame for another machine.";
    NoDevice = 26, Refuse, "no-device", "The interface it came in by, or should leave by, is not in the tables.";
    RedirectFailed = 27, Note, "redirect-failed", "Forwarded, but the interface that it should leave by did not send it.";
    Migrating = 28, Refuse, "migrating", "Of a flow that is not in the tables while they are being copied: the sender will try again.";
}

/// Elements of `REASON_COUNTERS`: dropped and passed in the lower half, answered in the upper.
pub const REASON_COUNTERS: u32 = 2 * ANSWERED as u32;
const ANSWERED: u8 = 64;

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Left to the host, untouched, or without its tunnel.
    Pass,
    /// Sent by a device.
    Forward,
    /// Turned into an answer, which goes back the way the packet came.
    Answer,
    /// Dropped. A stage that refuses a packet drops it; it may yet be answered.
    Drop,
}

/// The one outcome of one packet.
///
/// A struct whose fields all have a value, not an enum with payloads: the verifier refuses to copy the bytes that a
/// variant leaves undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is done.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Forwarded: index of the device in `DEVICES`, or 0 to go out the way it came in.
    pub device: u16,
}

impl Verdict {
    /// Left to the host.
    #[inline]
    pub const fn pass(reason: Reason) -> Self {
        Self { outcome: Outcome::Pass, reason, device: 0 }
    }

    /// Sent by `device`.
    #[inline]
    pub const fn forward(reason: Reason, device: u16) -> Self {
        Self { outcome: Outcome::Forward, reason, device }
    }

    /// Turned into an answer.
    #[inline]
    pub const fn answer(reason: Reason) -> Self {
        Self { outcome: Outcome::Answer, reason, device: 0 }
    }

    /// Dropped.
    #[inline]
    pub const fn drop(reason: Reason) -> Self {
        Self { outcome: Outcome::Drop, reason, device: 0 }
    }

    /// Index of its counter, below [`REASON_COUNTERS`].
    #[inline]
    pub const fn index(self) -> u8 {
        match self.outcome {
            Outcome::Answer => self.reason as u8 + ANSWERED,
            Outcome::Pass | Outcome::Forward | Outcome::Drop => self.reason as u8,
        }
    }
}

/// The reason and whether the client was answered, of the counter with this index.
pub fn of_index(index: u32) -> Option<(Reason, bool)> {
    let answered = index >= u32::from(ANSWERED);
    let number = if answered { index - u32::from(ANSWERED) } else { index };
    let reason = Reason::ALL.iter().copied().find(|reason| *reason as u32 == number)?;
    (!answered || reason.kind() == Kind::Refuse).then_some((reason, answered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn numbers_are_the_places_in_the_list() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
            assert!((*reason as u8) < ANSWERED);
        }
    }

    #[test]
    fn only_a_refusal_can_be_answered() {
        assert_eq!(of_index(11), Some((Reason::NoServer, false)));
        assert_eq!(of_index(11 + 64), Some((Reason::NoServer, true)));
        assert_eq!(of_index(8 + 64), None);
        assert_eq!(of_index(63), None);
        assert_eq!(Verdict::answer(Reason::NoServer).index(), 75);
    }
}
