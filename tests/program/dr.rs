//! Direct routing: MAC addresses and TTL change, and nothing else.

use crate::given::{V4, V6};
use lb_common::server::Method::Dr;
use lb_common::verdict::Reason::ForwardedDr;
use lb_tests::packet::{DIRECTOR_MAC, PSH};
use lb_tests::program::{mac_of, sends};

mod v4 {
    use super::*;

    cases! { V4.both(Dr);
        tcp_syn => V4.syn(), sends(ForwardedDr, 1, 1, V4.routed(&V4.syn(), 1)).opening();
        tcp_syn_with_options => V4.syn().tcp_options(&[2, 4, 5, 0xb4]),
            sends(ForwardedDr, 1, 1, V4.routed(&V4.syn().tcp_options(&[2, 4, 5, 0xb4]), 1)).opening();
        tcp_syn_with_data => V4.syn().flags(2 | PSH).payload_len(99),
            sends(ForwardedDr, 1, 1, V4.routed(&V4.syn().flags(2 | PSH).payload_len(99), 1)).opening();
        udp_datagram => V4.datagram(), sends(ForwardedDr, 2, 2, V4.routed(&V4.datagram(), 1)).opening();
        udp_without_checksum => V4.datagram().udp_checksum(0),
            sends(ForwardedDr, 2, 2, V4.routed(&V4.datagram().udp_checksum(0), 1)).opening();
        udp_with_a_wrong_checksum => V4.datagram().udp_checksum(7),
            sends(ForwardedDr, 2, 2, V4.routed(&V4.datagram().udp_checksum(7), 1)).opening();
        dont_fragment_and_tos_stay => V4.syn().dont_fragment().tos(0xb9).id(0xabcd),
            sends(ForwardedDr, 1, 1, V4.routed(&V4.syn().dont_fragment().tos(0xb9).id(0xabcd), 1)).opening();
        ttl_2_leaves_as_1 => V4.syn().ttl(2),
            sends(ForwardedDr, 1, 1, V4.syn().ttl(1).macs(DIRECTOR_MAC, mac_of(V4.servers[0])).build()).opening();
        ttl_255_leaves_as_254 => V4.syn().ttl(255),
            sends(ForwardedDr, 1, 1, V4.syn().ttl(254).macs(DIRECTOR_MAC, mac_of(V4.servers[0])).build()).opening();
        padding_behind_the_packet_stays => V4.syn().padded(60),
            sends(ForwardedDr, 1, 1, V4.routed(&V4.syn().padded(60), 1)).opening();
        as_large_as_the_mtu => V4.syn().payload_len(1460),
            sends(ForwardedDr, 1, 1, V4.routed(&V4.syn().payload_len(1460), 1)).opening();
    }
}

mod v6 {
    use super::*;

    cases! { V6.both(Dr);
        tcp_syn => V6.syn(), sends(ForwardedDr, 1, 1, V6.routed(&V6.syn(), 1)).opening();
        udp_datagram => V6.datagram(), sends(ForwardedDr, 2, 2, V6.routed(&V6.datagram(), 1)).opening();
        traffic_class_stays => V6.datagram().tos(0xb9),
            sends(ForwardedDr, 2, 2, V6.routed(&V6.datagram().tos(0xb9), 1)).opening();
        hop_limit_2_leaves_as_1 => V6.datagram().ttl(2),
            sends(ForwardedDr, 2, 2, V6.datagram().ttl(1).macs(DIRECTOR_MAC, mac_of(V6.servers[0])).build()).opening();
        as_large_as_the_mtu => V6.syn().payload_len(1440),
            sends(ForwardedDr, 1, 1, V6.routed(&V6.syn().payload_len(1440), 1)).opening();
    }
}
