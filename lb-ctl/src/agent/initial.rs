//! What an agent begins with: what is stored, a file where nothing ever was, or nothing; and whether that may take over
//! what the kernel holds.

use super::compile::compile;
use super::differences::key_words;
use super::state::{Desired, Observed};
use super::time;
use crate::api::{Failure, user};
use crate::command::resolve;
use crate::config::limits::Limits;
use crate::config::model::Config;
use crate::config::parse::from_toml_with;
use crate::datapath::tables::Kernel;
use crate::store::{Revision, Store, Stored};
use anyhow::Context as _;
use lb_common::service::ServiceKey;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Keys of services that an error names.
const NAMED: usize = 3;

/// What an agent begins with.
#[derive(Debug)]
pub(super) enum Initial {
    /// What is stored.
    Stored(Box<Stored>),
    /// A file, for an empty store.
    File(PathBuf, Config),
    /// Nothing.
    Nothing,
}

impl Initial {
    /// Reads the store, and `file` if nothing ever was in it. Nothing is written.
    ///
    /// # Errors
    ///
    /// The store or the file cannot be used. A store that was lost is not an empty one: its revisions are there.
    pub(super) fn of(store: &Store, file: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match (store.load()?, file) {
            (Some(stored), _) => Self::Stored(Box::new(stored)),
            (None, Some(path)) => Self::File(path.to_owned(), read_file(path)?),
            (None, None) => Self::Nothing,
        })
    }

    /// The sizes that the tables get where there are none.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Stored(stored) => stored.config.limits,
            Self::File(_, config) => config.limits,
            Self::Nothing => Limits::default(),
        }
    }

    /// What is stored from now on, for tables that are `kernel`. A file becomes the first revision.
    ///
    /// # Errors
    ///
    /// The tables hold services that neither the store nor the file knows of: they would be removed, and their connections
    /// broken. A wrong state directory, a store that was moved away or an empty file must not do that.
    pub(super) fn stored(self, store: &Store, kernel: &Kernel, bpffs: &Path) -> anyhow::Result<Stored> {
        match self {
            Self::Stored(stored) => Ok(*stored),
            Self::Nothing => {
                refuse_loss(kernel, &Config::default(), ("the store", bpffs))?;
                Ok(Stored::default())
            }
            Self::File(path, config) => {
                refuse_loss(kernel, &config, (&path.display().to_string(), bpffs))?;
                refuse_empty(&path, &config)?;
                import(store, &path, config)
            }
        }
    }
}

fn import(store: &Store, path: &Path, config: Config) -> anyhow::Result<Stored> {
    let revision = Revision {
        number: store.next_number(0),
        time: time::now(),
        by: user(nix::unistd::getuid().as_raw()),
        command: format!("agent --config {}", path.display()),
        ..Revision::default()
    };
    let stored = Stored { revision, config, ..Stored::default() };
    store.commit(&stored)?;
    tracing::info!(file = %path.display(), "imported the configuration into an empty store");
    Ok(stored)
}

/// An empty file would be imported, and the mended one not any more.
fn refuse_empty(path: &Path, config: &Config) -> Result<(), Failure> {
    if !config.services.is_empty() {
        return Ok(());
    }
    let failure = Failure::usage(format!("{} has no service", path.display()));
    Err(failure.with_hint("an agent without --config begins with nothing"))
}

/// Refuses to begin with `config`, which `source` holds, where the kernel forwards for services that it has not.
fn refuse_loss(kernel: &Kernel, config: &Config, (source, bpffs): (&str, &Path)) -> Result<(), Failure> {
    let desired = Desired { config: config.clone(), ..Desired::default() };
    let kept: BTreeSet<ServiceKey> = compile(&desired, &Observed::default())
        .services
        .into_iter()
        .flat_map(|service| service.keys)
        .collect();
    let known: BTreeSet<&ServiceKey> = kernel.service_keys.keys().chain(kernel.stale_keys.keys()).collect();
    let lost: Vec<_> = known.into_iter().filter(|key| !kept.contains(key)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = lost.iter().take(NAMED).map(|key| key_words(key)).collect();
    names
        .extend(lost.get(NAMED..).filter(|rest| !rest.is_empty()).map(|rest| format!("{} more", rest.len())));
    let message =
        format!("the kernel forwards for services that {source} does not have: {}", names.join(", "));
    Err(Failure::failed(message).with_hint(format!(
        "forwarding goes on; name the right --state-dir, put the store back, or start with `lb-ctl agent --config \
         FILE` and a file that has them; `rm -r {}` ends forwarding and forgets them",
        bpffs.display()
    )))
}

/// The configuration that the file at `path` holds.
///
/// # Errors
///
/// It cannot be read, or is none.
pub(super) fn read_file(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(from_toml_with(&text, &path.display().to_string(), &resolve::host)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::address::Address;
    use lb_common::flow::TCP;

    const WEB: &str = "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\n[[pool]]\nname = \"web\"\n";

    fn kernel(ports: impl IntoIterator<Item = u16>) -> Kernel {
        let key = |port: u16| (ServiceKey::new(Address::from_v4([192, 0, 2, 10]), port.into(), TCP), 1);
        Kernel { service_keys: ports.into_iter().map(key).collect(), ..Kernel::default() }
    }

    #[test]
    fn services_are_not_removed_for_want_of_a_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let (store, file) = (Store::open(directory.path()).unwrap(), directory.path().join("lb.toml"));
        let begin = |text: Option<&str>, kernel: &Kernel| {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let initial = Initial::of(&store, text.map(|_| file.as_path())).unwrap();
            initial.stored(&store, kernel, Path::new("/bpf/lb")).map_err(|error| {
                let failure: Failure = error.downcast().unwrap();
                (failure.message, failure.hint.unwrap())
            })
        };
        assert_eq!(begin(None, &kernel([])).unwrap(), Stored::default());
        let rows = [
            (None, kernel([80, 81]), "the store does not have: 192.0.2.10:80/tcp, 192.0.2.10:81/tcp"),
            (Some(""), kernel([80]), "lb.toml does not have: 192.0.2.10:80/tcp"),
            (Some(WEB), kernel([80, 81]), "lb.toml does not have: 192.0.2.10:81/tcp"),
            (Some(""), kernel(1..=9), "192.0.2.10:3/tcp, 6 more"),
        ];
        for (text, kernel, want) in rows {
            let (message, hint) = begin(text, &kernel).unwrap_err();
            assert!(message.contains(want), "{message}");
            assert!(hint.contains("--state-dir") && hint.contains("rm -r /bpf/lb"), "{hint}");
            assert_eq!(store.load().unwrap(), None, "{text:?} was imported");
        }
        assert!(begin(Some(""), &kernel([])).unwrap_err().0.ends_with("lb.toml has no service"));
        assert_eq!(store.load().unwrap(), None, "an empty file was imported");
        let stored = begin(Some(WEB), &kernel([80])).unwrap();
        assert_eq!((stored.revision.number, stored.config.services.len()), (1, 1));
        assert_eq!(begin(Some(""), &kernel([80])).unwrap(), stored, "imported once");
    }
}
