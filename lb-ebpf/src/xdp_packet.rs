//! The only pointer code: one frame behind the accessors of `lb-common`.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use lb_common::packet::{Header, PacketBytes, PacketResize};

/// A frame in the driver's buffer.
pub struct XdpPacket {
    context: XdpContext,
}

impl XdpPacket {
    /// The frame of `context`, which the kernel handed to the program.
    #[inline]
    pub fn new(context: *mut xdp_md) -> Self {
        Self { context: XdpContext::new(context) }
    }

    /// Where the bytes from `offset` on are, if there are `len` of them in one piece.
    #[inline]
    fn window(&self, offset: usize, len: usize) -> Option<usize> {
        let start = self.context.data() + offset;
        if start + len > self.context.data_end() {
            return None;
        }
        // SAFETY: a frame is not at address 0. Without this the compiler compares, before it makes a reference.
        unsafe { core::hint::assert_unchecked(start != 0) };
        Some(start)
    }

    /// Index of the interface that the frame came in by.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the context holds it in 32 bits")]
    pub fn ingress_ifindex(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }
}

impl PacketBytes for XdpPacket {
    #[inline]
    fn load<T: Header>(&self, offset: usize) -> Option<&T> {
        let start = self.window(offset, size_of::<T>())?;
        // SAFETY: the window lies between data and data_end, and `Header` allows any bytes at any alignment.
        Some(unsafe { &*(start as *const T) })
    }

    #[inline]
    fn load_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        let start = self.window(offset, size_of::<T>())?;
        // SAFETY: as in `load`, and `&mut self` makes the window the only one.
        Some(unsafe { &mut *(start as *mut T) })
    }

    /// Fragments of the buffer included.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits on this target")]
    fn frame_len(&self) -> usize {
        // SAFETY: the context is the one that the program was called with.
        unsafe { bpf_xdp_get_buff_len(self.context.ctx) as usize }
    }
}

impl PacketResize for XdpPacket {
    #[inline]
    fn grow_head(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the one that the program was called with.
        let code = unsafe { bpf_xdp_adjust_head(self.context.ctx, -bytes) };
        (code == 0).then_some(())
    }

    #[inline]
    fn grow_tail(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the one that the program was called with.
        let code = unsafe { bpf_xdp_adjust_tail(self.context.ctx, bytes) };
        (code == 0).then_some(())
    }
}
