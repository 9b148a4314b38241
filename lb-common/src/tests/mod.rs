//! Frames in a `Vec`, and the properties of all that rewrites them.

mod rewriting;

use crate::packet::{Header, PacketBytes, PacketResize, Parsed, parse};
use crate::verdict::Reason;
use std::vec;
use std::vec::Vec;

/// A frame on the host, with the headroom of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl PacketBytes for Frame {
    fn load<T: Header>(&self, offset: usize) -> Option<&T> {
        Some(T::ref_from_prefix(self.0.get(offset..)?).ok()?.0)
    }

    fn load_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        Some(T::mut_from_prefix(self.0.get_mut(offset..)?).ok()?.0)
    }

    fn frame_len(&self) -> usize {
        self.0.len()
    }
}

impl PacketResize for Frame {
    fn grow_head(&mut self, bytes: i32) -> Option<()> {
        match usize::try_from(bytes) {
            Ok(more) => drop(self.0.splice(..0, vec![0xee; more])),
            Err(_) => drop(self.0.drain(..usize::try_from(-bytes).ok()?)),
        }
        Some(())
    }

    fn grow_tail(&mut self, bytes: i32) -> Option<()> {
        let len = i32::try_from(self.0.len()).ok()? + bytes;
        self.0.resize(usize::try_from(len).ok()?, 0xee);
        Some(())
    }
}

pub(crate) fn parsed(frame: &Frame) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    parse(frame, frame.frame_len(), &mut parsed).map(|()| parsed)
}

/// A TCP or UDP frame with right checksums, computed word by word.
pub(crate) fn frame(v6: bool, protocol: u8, payload: &[u8]) -> Frame {
    let l4 = l4(v6, protocol, payload);
    let len = u16::try_from(l4.len()).unwrap();
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if v6 {
        bytes.extend([0x86, 0xdd, 0x6b, 0x80, 0, 0]);
        bytes.extend(len.to_be_bytes());
        bytes.extend([protocol, 64]);
        bytes.extend(addresses(v6));
    } else {
        bytes.extend([8, 0, 0x45, 0xb8]);
        bytes.extend((len + 20).to_be_bytes());
        bytes.extend([0x12, 0x34, 0x40, 0, 64, protocol, 0, 0]);
        bytes.extend(addresses(v6));
        let checksum = checksum(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes.extend(l4);
    Frame(bytes)
}

fn addresses(v6: bool) -> Vec<u8> {
    if v6 {
        [
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
        ]
        .concat()
    } else {
        vec![198, 51, 100, 7, 192, 0, 2, 10]
    }
}

fn l4(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut l4 = vec![0x9c, 0x40, 0, 80];
    let place = if protocol == 6 {
        l4.extend([0, 0, 0, 9, 0, 0, 0, 3, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
        16
    } else {
        l4.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
        l4.extend([0, 0]);
        6
    };
    l4.extend(payload);
    let mut covered = addresses(v6);
    covered.extend([0, protocol]);
    covered.extend(u16::try_from(l4.len()).unwrap().to_be_bytes());
    covered.extend(&l4);
    l4[place..place + 2].copy_from_slice(&checksum(&covered).to_be_bytes());
    l4
}

/// The Internet checksum, the slow way.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
