//! Whether an agent without a configuration may take over what the kernel holds.

use crate::api::Failure;
use crate::datapath::tables::Kernel;
use crate::store::Stored;
use std::path::Path;

/// The empty configuration, for tables without services.
///
/// # Errors
///
/// The tables hold services: an agent that knows of none would remove them all, and break their connections. A wrong
/// state directory, or a store that was moved away, must not do that.
pub(super) fn nothing_stored(kernel: &Kernel, state_dir: &Path, bpffs: &Path) -> Result<Stored, Failure> {
    let services = kernel.services.len();
    if services == 0 {
        return Ok(Stored::default());
    }
    let (state_dir, bpffs) = (state_dir.display(), bpffs.display());
    let message =
        format!("the kernel forwards for {services} services, and {state_dir} holds no configuration");
    Err(Failure::failed(message).with_hint(format!(
        "forwarding goes on; name the right --state-dir, put the store back, or start with `lb-ctl agent --config \
         FILE`; `rm -r {bpffs}` ends forwarding and forgets the services"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_not_removed_for_want_of_a_configuration() {
        let start = |kernel: &Kernel| nothing_stored(kernel, Path::new("/state"), Path::new("/bpf/lb"));
        assert_eq!(start(&Kernel::default()).unwrap(), Stored::default());
        let kernel = Kernel { services: [(1, 1), (2, 2)].into(), ..Kernel::default() };
        let failure = start(&kernel).unwrap_err();
        assert!(failure.message.contains("2 services") && failure.message.contains("/state"), "{failure:?}");
        assert!(failure.hint.unwrap().contains("--config"));
    }
}
