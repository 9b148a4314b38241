//! Whether an agent without a configuration may take over what the kernel holds.

use crate::api::Failure;
use crate::datapath::tables::Kernel;
use crate::store::{Store, Stored};
use std::path::Path;

/// The empty configuration, where nothing was ever stored and the tables hold no services.
///
/// # Errors
///
/// The tables hold services: an agent that knows of none would remove them all, and break their connections. A wrong
/// state directory, or a store that was moved away, must not do that. Or there are revisions: the store was lost.
pub(super) fn nothing_stored(kernel: &Kernel, store: &Store, bpffs: &Path) -> Result<Stored, Failure> {
    let (services, revision) = (kernel.services.len(), store.last_good());
    let file = store.path();
    let put_back = match &revision {
        Some(revision) => {
            format!("`cp {} {}` puts the newest revision back", revision.display(), file.display())
        }
        None => "name the right --state-dir, or put the store back".to_owned(),
    };
    let message = match (services, &revision) {
        (0, None) => return Ok(Stored::default()),
        (0, Some(_)) => format!("{} is gone, and the revisions beside it are not", file.display()),
        _ => format!("the kernel forwards for {services} services, and there is no {}", file.display()),
    };
    let import = "`lb-ctl agent --config FILE` starts with that file";
    Err(Failure::failed(message).with_hint(if services == 0 {
        format!("{put_back}; {import}")
    } else {
        let end = format!("`rm -r {}` ends forwarding and forgets the services", bpffs.display());
        format!("forwarding goes on; {put_back}; {import}; {end}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revision;

    #[test]
    fn nothing_is_removed_for_want_of_a_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let start = |kernel: &Kernel| nothing_stored(kernel, &store, Path::new("/bpf/lb"));
        let (empty, full) =
            (Kernel::default(), Kernel { services: [(1, 1), (2, 2)].into(), ..Kernel::default() });
        let refusal = |kernel: &Kernel| {
            let failure = start(kernel).unwrap_err();
            (failure.message, failure.hint.unwrap())
        };
        assert_eq!(start(&empty).unwrap(), Stored::default());
        let (message, hint) = refusal(&full);
        assert!(message.starts_with("the kernel forwards for 2 services, and there is no "), "{message}");
        assert!(hint.contains("--state-dir") && hint.contains("rm -r /bpf/lb"), "{hint}");

        let revision = Revision { number: 3, ..Revision::default() };
        store.commit(&Stored { revision, ..Stored::default() }).unwrap();
        std::fs::remove_file(store.path()).unwrap();
        let way = format!("`cp {0}/revisions/00000003.json {0}/store.json`", directory.path().display());
        for (kernel, want) in [(&empty, "is gone"), (&full, "2 services")] {
            let (message, hint) = refusal(kernel);
            assert!(message.contains(want), "{message}");
            assert!(hint.contains(&way) && hint.contains("--config FILE"), "{hint}");
        }
    }
}
