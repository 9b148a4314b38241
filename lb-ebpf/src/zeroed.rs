//! Values of zeros on the stack.

use core::mem::MaybeUninit;

/// A value of zeros in `place`. Stored word by word: of plain stores the compiler makes a call of `memset`, a loop over
/// bytes.
///
/// # Safety
///
/// Zeros are a valid `T`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the value must lie in the frame of the caller")]
pub unsafe fn zeroed<T>(place: &mut MaybeUninit<T>) -> &mut T {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8, "written word by word") }
    let words = place.as_mut_ptr().cast::<u64>();
    for word in 0..size_of::<T>() / 8 {
        // SAFETY: the word lies inside the value, which is aligned for words.
        let word = unsafe { words.add(word) };
        // SAFETY: as above.
        unsafe { word.write_volatile(0) };
    }
    // SAFETY: every byte was written, and the caller knows that zeros are valid.
    unsafe { place.assume_init_mut() }
}
