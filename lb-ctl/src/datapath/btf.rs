//! Where the running kernel keeps a field of a structure, from its own description (BTF).
//!
//! It looks for single fields in one pass over the bytes: the readers that there are build a tree of all 150,000 types,
//! which takes more memory than the whole agent.
//!
//! The format is that of `Documentation/bpf/btf.rst` in the kernel's source.

use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Where the kernel shows it.
pub(super) const KERNEL: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: u16,
    version: u8,
    flags: u8,
    length: u32,
    types: u32,
    types_length: u32,
    strings: u32,
    strings_length: u32,
}

/// A type; what belongs to its kind follows.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Type {
    name: u32,
    info: u32,
    size: u32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Member {
    name: u32,
    kind: u32,
    offset: u32,
}

impl Type {
    const STRUCT: u32 = 4;

    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    fn count(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Bytes that follow; `None` for a kind that is not known, after which nothing can be read.
    fn extra(self) -> Option<usize> {
        Some(match self.kind() {
            1 | 14 | 17 => 4,
            2 | 7..=12 | 16 | 18 => 0,
            3 => 12,
            Self::STRUCT | 5 | 15 | 19 => self.count() * 12,
            6 | 13 => self.count() * 8,
            _ => return None,
        })
    }
}

/// A kernel's description of its types.
pub(super) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Btf<'a> {
    /// The description in `bytes`, if it is one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = Header::ref_from_prefix(bytes).ok().filter(|(header, _)| header.magic == MAGIC)?;
        let part = |start: u32, length: u32| {
            let start = (header.length as usize).checked_add(start as usize)?;
            bytes.get(start..start.checked_add(length as usize)?)
        };
        let types = part(header.types, header.types_length)?;
        Some(Self { types, strings: part(header.strings, header.strings_length)? })
    }

    /// Bytes from the beginning of the structure to its member.
    pub(super) fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let mut rest = self.types;
        while let Ok((kind, after)) = Type::read_from_prefix(rest) {
            let (own, next) = after.split_at_checked(kind.extra()?)?;
            if kind.kind() == Type::STRUCT
                && self.is(kind.name, structure)
                && let Some(offset) = self.member(kind, own, member)
            {
                return Some(offset);
            }
            rest = next;
        }
        None
    }

    /// Where bit fields are marked (bit 31 of the info), an offset has 24 bits; all are in bits.
    fn member(&self, kind: Type, members: &[u8], name: &str) -> Option<u32> {
        let members = <[Member]>::ref_from_bytes(members).ok()?;
        let found = members.iter().find(|member| self.is(member.name, name))?;
        let bits = if kind.info >> 31 == 1 { found.offset & 0x00ff_ffff } else { found.offset };
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    fn is(&self, offset: u32, name: &str) -> bool {
        let text = self.strings.get(offset as usize..).unwrap_or_default();
        text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `int`, a forward declaration of `device`, then the structure itself with a bit field.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0device\0index\0flag\0index_of\0";
        let mut types: Vec<u32> = vec![1, 1 << 24, 4, 32];
        types.extend([5, 7 << 24, 0]);
        types.extend([5, 1 << 31 | 4 << 24 | 3, 12, 23, 1, 0, 18, 1, 0x0300_0021, 12, 1, 64]);
        let length = u32::try_from(types.len() * 4).unwrap();
        let header = [24, 0, length, length, u32::try_from(strings.len()).unwrap()];
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        bytes.extend(header.iter().chain(&types).flat_map(|word| word.to_ne_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_member_is_found_by_its_whole_name_in_the_whole_structure() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("device", "index"), Some(8));
        assert_eq!(btf.offset("device", "index_of"), Some(0));
        assert_eq!(btf.offset("device", "flag"), None, "it begins inside a byte");
        assert_eq!(btf.offset("device", "inde"), None);
        assert_eq!(btf.offset("dev", "index"), None);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_no_description() {
        let bytes = sample();
        for length in 0..bytes.len() {
            let found = Btf::parse(&bytes[..length]).and_then(|btf| btf.offset("device", "index"));
            assert_eq!(found, None, "{length} bytes");
        }
        assert!(Btf::parse(b"something else, and long enough").is_none());
    }

    #[test]
    fn the_running_kernel_knows_where_a_device_has_its_number() {
        let Ok(bytes) = std::fs::read(KERNEL) else { return };
        let btf = Btf::parse(&bytes).unwrap();
        for (structure, member) in
            [("net_device", "ifindex"), ("net_device", "nd_net"), ("net", "ns"), ("ns_common", "inum")]
        {
            assert!(btf.offset(structure, member).is_some(), "{structure}.{member}");
        }
    }
}
