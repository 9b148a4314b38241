//! As large as the way carries, one byte more, and larger than a page, where a frame is in pieces.

use crate::given::{V4, V6, error_v4, returned};
use lb_common::server::Method::{self, Dr, Ipip, Nat};
use lb_common::verdict::Reason::{
    ForwardedDr, ForwardedIpip, ForwardedNat, NoConnection, NoServer, TooBig, TtlExpired,
};
use lb_tests::packet::{DIRECTOR_MAC, PacketBuilder, RST, tcp, udp};
use lb_tests::program::{LoadedProgram, World, answers, mac_of, sends};

/// A datagram of `len` bytes with its IP header.
fn datagram(len: usize) -> PacketBuilder {
    V4.datagram().dont_fragment().payload_len(len - 28)
}

fn tunnelled(packet: &PacketBuilder, v6: bool) -> Vec<u8> {
    let (from, to) = if v6 { (V6.director, V6.servers[0]) } else { (V4.director, V4.servers[0]) };
    let inner = packet.clone().ttl(63);
    let outer = inner.tunnelled(from, to).macs(DIRECTOR_MAC, mac_of(to));
    if v6 { outer.build() } else { outer.dont_fragment().id(0).build() }
}

/// One UDP service with a server by `method` at the end of a way of 1,500 bytes; the tunnel is IPv6 if `v6`.
fn way(method: Method, v6: bool, mtu: u16) -> World {
    let server = if v6 { V6.server(1, method) } else { V4.server(1, method) };
    World::new([V4.udp([server.mtu(mtu)])])
}

#[test]
fn the_mtu_is_the_last_length_that_passes() {
    let rows = [
        (Dr, false, 1500, ForwardedDr),
        (Nat, false, 1500, ForwardedNat),
        (Ipip, false, 1480, ForwardedIpip),
        (Ipip, true, 1460, ForwardedIpip),
    ];
    for (method, v6, most, reason) in rows {
        let mut program = LoadedProgram::load(&way(method, v6, 1500));
        let (fits, too_big) = (datagram(most), datagram(most + 1));
        let limit = u16::try_from(most).unwrap();
        program.expect(&too_big.build(), &answers(TooBig, error_v4(3, 4, limit, &too_big)));
        let sent = match method {
            Dr => V4.routed(&fits, 1),
            Nat => natted(most),
            Ipip => tunnelled(&fits, v6),
        };
        // The flow was given its server by the packet that was too big.
        program.expect(&fits.build(), &sends(reason, 1, 1, sent));
    }
}

/// The datagram of `len` bytes as the nat server gets it.
fn natted(len: usize) -> Vec<u8> {
    let packet = udp(V4.client, (V4.servers[0], 80).into()).dont_fragment().payload_len(len - 28);
    packet.ttl(63).macs(DIRECTOR_MAC, mac_of(V4.servers[0])).build()
}

#[test]
fn jumbo_frames_are_forwarded_where_the_way_is_wide() {
    for (method, v6, reason) in [
        (Dr, false, ForwardedDr),
        (Nat, false, ForwardedNat),
        (Ipip, false, ForwardedIpip),
        (Ipip, true, ForwardedIpip),
    ] {
        let mut program = LoadedProgram::load(&way(method, v6, 9000));
        let jumbo = datagram(8_900);
        let sent = match method {
            Dr => V4.routed(&jumbo, 1),
            Nat => natted(8_900),
            Ipip => tunnelled(&jumbo, v6),
        };
        program.expect(&jumbo.build(), &sends(reason, 1, 1, sent).opening());
    }
}

#[test]
fn jumbo_frames_are_answered_where_they_cannot_go() {
    let mut program = LoadedProgram::load(&way(Dr, false, 1500));
    let jumbo = datagram(8_900);
    program.expect(&jumbo.build(), &answers(TooBig, error_v4(3, 4, 1500, &jumbo)));
    let last = datagram(8_900).ttl(1);
    program.expect(&last.build(), &answers(TtlExpired, error_v4(11, 0, 0, &last)));
    let mut program = LoadedProgram::load(&World::new([V4.udp([])]));
    program.expect(&jumbo.build(), &answers(NoServer, error_v4(3, 3, 0, &jumbo)));
}

#[test]
fn a_jumbo_segment_of_no_connection_is_reset() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    let reset = tcp(V4.vip, V4.client).flags(RST).sequence(5001).window(0).dont_fragment().id(0);
    program.expect(&V4.ack().payload_len(8_000).build(), &answers(NoConnection, returned(reset)));
}
