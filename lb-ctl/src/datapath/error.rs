//! What can stop the datapath, said so that an operator knows what to do.

use super::attach::AttachMode;
use nix::errno::Errno;
use nix::sys::utsname::uname;
use std::io;
use std::path::PathBuf;

/// Why something could not be done with the kernel's programs, maps and links.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The directory for pins is on no BPF file system.
    #[error("bpffs is not mounted at {}", mount.display())]
    NoBpffs {
        /// Where it should be mounted.
        mount: PathBuf,
    },
    /// Another agent has the pins.
    #[error("cannot use the pins in {}: another agent (pid {}) uses them", directory.display(), number(*pid))]
    InUse {
        /// Where the pins are.
        directory: PathBuf,
        /// Its process id, if the kernel told.
        pid: Option<u32>,
    },
    /// Only root may do it.
    #[error("cannot {doing}: no privileges")]
    NotPermitted {
        /// What was being done, to what.
        doing: String,
    },
    /// The pinned maps were made by another version.
    #[error(
        "cannot adopt the maps in {}: their schema is version {pinned}, this lb-ctl has version {ours}",
        directory.display()
    )]
    Schema {
        /// Where they are pinned.
        directory: PathBuf,
        /// Their version.
        pinned: u32,
        /// The version of this program.
        ours: u32,
    },
    /// The pinned maps were made by a version that cannot be migrated.
    #[error(
        "cannot migrate the maps in {}: their schema is version {pinned}, this lb-ctl knows versions {}",
        directory.display(), list(known)
    )]
    UnknownSchema {
        /// Where they are pinned.
        directory: PathBuf,
        /// Their version.
        pinned: u32,
        /// The versions that this program knows, its own last.
        known: Vec<u32>,
    },
    /// No agent ever ran here.
    #[error("cannot upgrade the program in {}: nothing is pinned there", directory.display())]
    NothingPinned {
        /// Where it should be.
        directory: PathBuf,
    },
    /// A pinned map has another shape than the program's.
    #[error("cannot adopt {}: its {what} is {pinned}, the program's is {ours}", path.display())]
    Shape {
        /// Where it is pinned.
        path: PathBuf,
        /// What differs: type, key size, value size, number of entries, flags.
        what: &'static str,
        /// What the pinned map has.
        pinned: u32,
        /// What the program has.
        ours: u32,
    },
    /// The embedded object is not what this program expects.
    #[error("cannot load the {program} program: {problem}")]
    Object {
        /// `director`, `decap` or `redirects`.
        program: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel's verifier refused the program.
    #[error(
        "cannot load the {program} program: the kernel's verifier refused it with {errno:?}\n{last_lines}{}",
        full_log(log.as_ref())
    )]
    Verifier {
        /// `director`, `decap` or `redirects`.
        program: &'static str,
        /// The end of its log.
        last_lines: String,
        /// Where the whole log is, if it could be written.
        log: Option<PathBuf>,
        /// What the kernel answered. EACCES is the verifier's usual word and not about privileges.
        errno: Errno,
    },
    /// There is no interface of this name.
    #[error("cannot attach to {interface}: there is no such interface")]
    UnknownInterface {
        /// Its name.
        interface: String,
    },
    /// The interface has an XDP program of somebody else.
    #[error("cannot attach to {interface}: another XDP program is attached to it{}", program_id(*program))]
    Occupied {
        /// Name of the interface.
        interface: String,
        /// The kernel's id of that program, if it told.
        program: Option<u32>,
    },
    /// The driver cannot run XDP programs.
    #[error("cannot attach to {interface} in native mode: the driver of {interface} has no XDP support")]
    NoNativeSupport {
        /// Name of the interface.
        interface: String,
    },
    /// The driver can run XDP programs, but not on this interface as it is set up.
    #[error("cannot attach to {interface} in native mode: the driver refused it ({source})")]
    NativeRefused {
        /// Name of the interface.
        interface: String,
        /// What the driver answered: a mismatch of MTU, queues or offloads, most often.
        source: io::Error,
    },
    /// The kernel did not attach the program.
    #[error("cannot attach to {interface} in {mode} mode: {source}")]
    Attach {
        /// Name of the interface.
        interface: String,
        /// The mode that was tried.
        mode: AttachMode,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The program is not attached to the interface.
    #[error("cannot detach from {interface}: the program is not attached to it")]
    NotAttached {
        /// Name of the interface.
        interface: String,
    },
    /// An index that the table does not have.
    #[error("cannot write element {index} of {map}: it has {entries}")]
    OutOfRange {
        /// Name of the map.
        map: &'static str,
        /// The first index that it does not have.
        index: u32,
        /// How many elements it has.
        entries: u32,
    },
    /// Any other failure of a system call.
    #[error("cannot {doing}: {source}")]
    Kernel {
        /// What was being done, to what.
        doing: String,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// The result of what the datapath does.
pub type Result<T, E = DatapathError> = std::result::Result<T, E>;

impl DatapathError {
    /// Whether a table has no room.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Kernel { source, .. } if source.raw_os_error() == Some(libc::E2BIG))
    }

    /// What can be done about it, if that is known.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoBpffs { mount } => format!("`mount -t bpf bpf {}` mounts it", mount.display()),
            Self::InUse { pid: Some(pid), .. } => format!("`kill {pid}` stops it; forwarding goes on"),
            Self::InUse { pid: None, .. } => "stop it, or choose another place with `--bpffs`".to_owned(),
            Self::NotPermitted { .. } => "run it as root".to_owned(),
            Self::Schema { pinned, .. } if super::schema::KNOWN.contains(pinned) => {
                "`lb-ctl upgrade --migrate` copies them while traffic flows; or run the lb-ctl that made them"
                    .to_owned()
            }
            Self::Schema { .. } | Self::UnknownSchema { .. } => {
                "run the lb-ctl that made them, or detach and remove the directory to start anew".to_owned()
            }
            Self::Shape { path, .. } => {
                let directory = path.parent().unwrap_or(path);
                format!(
                    "run the lb-ctl that made it, or detach and remove {} to start anew",
                    directory.display()
                )
            }
            Self::NothingPinned { .. } => {
                "`lb-ctl attach INTERFACE` starts forwarding; `--bpffs` or LB_BPFFS name another place"
                    .to_owned()
            }
            Self::Verifier { .. } => {
                format!("Linux 6.1 is the oldest kernel that is tested; this is {}", running_kernel())
            }
            Self::Occupied { interface, .. } => {
                format!(
                    "`ip link set dev {interface} xdp off` removes it, unless a link holds it: see `bpftool link`"
                )
            }
            Self::NoNativeSupport { .. } | Self::NativeRefused { .. } => {
                "`--mode generic` works on every interface, at lower speed".to_owned()
            }
            Self::UnknownInterface { .. } => "`ip link` lists the interfaces".to_owned(),
            Self::Object { .. }
            | Self::Attach { .. }
            | Self::NotAttached { .. }
            | Self::OutOfRange { .. }
            | Self::Kernel { .. } => return None,
        })
    }
}

/// Says what was being done when `source` came up.
pub(super) fn kernel(doing: impl Into<String>) -> impl FnOnce(io::Error) -> DatapathError {
    let doing = doing.into();
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => DatapathError::NotPermitted { doing },
        _ => DatapathError::Kernel { doing, source },
    }
}

fn list(versions: &[u32]) -> String {
    let words: Vec<String> = versions.iter().map(u32::to_string).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// The release of the running kernel.
fn running_kernel() -> String {
    uname().map_or_else(|_| "another".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

fn program_id(program: Option<u32>) -> String {
    program.map(|id| format!(" (program id {id})")).unwrap_or_default()
}

fn number(pid: Option<u32>) -> String {
    pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
}

fn full_log(path: Option<&PathBuf>) -> String {
    path.map(|path| format!("\nthe whole log is in {}", path.display())).unwrap_or_default()
}

/// The system call's error at the root of `error`, if a system call is there.
pub(super) fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
        .map(io::Error::from_raw_os_error)
}
