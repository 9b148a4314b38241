//! What the kernel says of an interface's XDP program. A link tells its interface, but not its mode.

use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// The program of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct XdpState {
    /// Whether it runs in the driver.
    pub(super) native: bool,
    /// Its id.
    pub(super) program: Option<u32>,
}

/// Asks for the program of the interface with this index, in this network namespace.
pub(super) fn query(ifindex: u32) -> io::Result<XdpState> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let payload = NetlinkPayload::from(RouteNetlinkMessage::GetLink(link));
    let mut request = NetlinkMessage::new(header, payload);
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    state(&answer)
}

fn state(answer: &[u8]) -> io::Result<XdpState> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer).map_err(io::Error::other)?;
    if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = &message.payload {
        return Ok(of_link(link));
    }
    if let NetlinkPayload::Error(error) = &message.payload {
        return Err(error.to_io());
    }
    Err(io::Error::other("the kernel gave no link"))
}

fn of_link(link: &LinkMessage) -> XdpState {
    let mut state = XdpState::default();
    for attribute in &link.attributes {
        let LinkAttribute::Xdp(parts) = attribute else { continue };
        for part in parts {
            if let LinkXdp::Attached(attached) = part {
                state.native = *attached == XdpAttached::Driver;
            } else if let LinkXdp::ProgId(id) = part {
                state.program = Some(*id);
            }
        }
    }
    state
}
