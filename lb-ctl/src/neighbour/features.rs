//! What drivers can do with XDP frames, as the kernel says since 6.3: the generic netlink family `netdev`.
//!
//! Numbers are those of linux/netdev.h and linux/genetlink.h.

use super::{Network, NetworkError};
use futures_util::StreamExt;
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    Nla, NlasIterator, Parseable, ParseableParametrized, parse_u16, parse_u32, parse_u64,
};
use rtnetlink::proto::{ConnectionHandle, new_connection, sys::SocketAddr};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use std::collections::BTreeMap;

/// `GENL_ID_CTRL`, the family that knows the others.
const CONTROL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_NDO_XMIT`: it sends frames that were redirected to it.
const TRANSMITS: u64 = 1 << 2;

/// A message of any family: a command with its attributes.
#[derive(Clone, Debug)]
struct Message {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let attributes = NlasIterator::new(bytes).map(|attribute| DefaultNla::parse(&attribute?));
        Ok(Self { command: header.cmd, attributes: attributes.collect::<Result<_, _>>()? })
    }
}

impl Message {
    /// The value of an attribute.
    fn value(&self, kind: u16) -> Option<Vec<u8>> {
        let attribute = self.attributes.iter().find(|attribute| attribute.kind() == kind)?;
        let mut value = vec![0; attribute.value_len()];
        attribute.emit_value(&mut value);
        Some(value)
    }
}

/// The way to the family, on a socket of its own.
#[derive(Clone, Debug)]
pub(super) struct Features(ConnectionHandle<GenlMessage<Message>>);

impl Features {
    pub(super) fn open() -> Result<Self, NetworkError> {
        let (connection, handle, _) = new_connection(NETLINK_GENERIC).map_err(NetworkError::Open)?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// The answers to a command; `None` if the kernel refuses it or does not have the family.
    async fn ask(&self, family: u16, message: Message, flags: u16) -> Option<Vec<Message>> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(family);
        let mut request = NetlinkMessage::from(message);
        // The answers to a dump are not marked as several, as they should be: only what ends them tells that they end.
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.0.clone().request(request, SocketAddr::new(0, 0)).ok()?;
        let mut messages = Vec::new();
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::InnerMessage(message) = answer.payload {
                messages.push(message.payload);
            } else if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return None;
            }
        }
        Some(messages)
    }

    async fn family(&self) -> Option<u16> {
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, b"netdev\0".to_vec());
        let question = Message { command: CTRL_CMD_GETFAMILY, attributes: vec![name] };
        let answers = self.ask(CONTROL, question, 0).await?;
        parse_u16(&answers.first()?.value(CTRL_ATTR_FAMILY_ID)?).ok()
    }
}

impl Network {
    /// Whether each interface sends frames that are redirected to it; empty where the kernel does not say.
    pub async fn transmitters(&self) -> BTreeMap<u32, bool> {
        let Some(features) = &self.features else { return BTreeMap::new() };
        let Some(family) = features.family().await else { return BTreeMap::new() };
        let question = Message { command: NETDEV_CMD_DEV_GET, attributes: Vec::new() };
        let answers = features.ask(family, question, NLM_F_DUMP).await.unwrap_or_default();
        answers.iter().filter_map(transmitter).collect()
    }
}

fn transmitter(answer: &Message) -> Option<(u32, bool)> {
    let index = parse_u32(&answer.value(NETDEV_A_DEV_IFINDEX)?).ok()?;
    let features = parse_u64(&answer.value(NETDEV_A_DEV_XDP_FEATURES)?).ok()?;
    Some((index, features & TRANSMITS != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_interface_sends_redirected_frames() {
        let rows = [(0x7f_u64, Some((3, true))), (0x3, Some((3, false))), (0, Some((3, false)))];
        for (features, want) in rows {
            let attributes = vec![
                DefaultNla::new(NETDEV_A_DEV_IFINDEX, 3_u32.to_ne_bytes().to_vec()),
                DefaultNla::new(NETDEV_A_DEV_XDP_FEATURES, features.to_ne_bytes().to_vec()),
            ];
            let message = Message { command: NETDEV_CMD_DEV_GET, attributes };
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            let header = GenlHeader { cmd: NETDEV_CMD_DEV_GET, version: 1 };
            let read = Message::parse_with_param(&bytes, header).unwrap();
            assert_eq!(transmitter(&read), want, "{features:#x}");
        }
        assert_eq!(transmitter(&Message { command: 1, attributes: Vec::new() }), None);
    }

    #[tokio::test]
    async fn the_kernel_says_it_of_every_interface_or_of_none() {
        let (network, _) = Network::open().unwrap();
        let links = network.links().await.unwrap();
        let known = network.transmitters().await;
        assert!(known.is_empty() || known.keys().eq(links.keys()), "{known:?} {links:?}");
        assert_ne!(known.get(&1), Some(&true), "the loopback interface sends nothing");
    }
}
