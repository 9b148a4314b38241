//! What the system refuses in the middle of a change: the change is taken back and told, and the next one works.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lb_tests::full;
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::{http, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::state::{self, State};
use super::{Operated, is_empty};
use crate::refusals::is_one_error;
use crate::support::{Balanced, Method::Dr, PORT, socket};

/// The step of the script before which most is there: another service, another server, another interface.
const MOST: usize = 9;
/// A server that is there before that step, and not at the beginning.
const EXTRA: &str = "web3";

impl Operated {
    /// Writes the configuration before step `at` of the script to a file; gives the command that applies it.
    fn command_to(&self, at: usize) -> Result<Vec<String>> {
        let file = self.balanced.site.director.directory().join(format!("at-{at}.toml"));
        fs::write(&file, &self.script.states[at].config)?;
        let words = ["apply", &file.to_string_lossy(), "--yes", "--now"];
        Ok(words.map(str::to_owned).to_vec())
    }

    /// Waits until everything is as before step `at`, the kernel included.
    fn settles_at(&self, at: usize) -> Result<()> {
        let wanted = &self.script.states[at];
        let settled = || {
            self.balanced.lb_json("diff").is_ok_and(|diff| is_empty(&diff))
                && State::of(&self.balanced).is_ok_and(|found| found == *wanted)
        };
        wait_until(Duration::from_secs(8), "the kernel to be as the store", settled).with_context(|| {
            let found = State::of(&self.balanced).map(|found| wanted.compare(&found));
            format!("{:?}\n{}", self.balanced.lb("diff"), found.unwrap_or_default())
        })
    }

    /// The writes of an agent that starts at `from`, and those with the change to `to`.
    fn count_writes(&mut self, from: usize, to: &[String]) -> Result<(usize, usize)> {
        let file = self.balanced.site.director.directory().join(format!("points-{from}"));
        self.kill()?;
        ensure!(self.start(&format!("count:{}", file.display()))?, "the agent ended");
        let count = || {
            let points = fs::read_to_string(&file)?;
            anyhow::Ok(points.lines().filter(|line| line.starts_with("before")).count())
        };
        self.settles_at(from)?;
        let begin = count()?;
        self.balanced.site.director.lb_ctl(to)?;
        Ok((begin, count()?))
    }

    /// A connection that the server `name` has.
    fn connection_to(&self, name: &str) -> Result<http::Connection> {
        let service = socket(self.balanced.site.vip(Family::V4), PORT);
        for _ in 0..50 {
            let mut connection = http::Connection::open(&self.balanced.site.client, service)?;
            if connection.get("/")?.server == name {
                return Ok(connection);
            }
        }
        bail!("no connection of 50 went to {name}")
    }

    /// Makes the change to `to` while its write number `write` fails: it is made all the same, or taken back.
    fn change_with_fault(&mut self, write: usize, from: usize, to: usize) -> Result<bool> {
        let command = self.command_to(to)?;
        self.kill()?;
        ensure!(self.start(&format!("fail:{write}"))?, "the agent ended");
        let before = state::revision(&self.balanced)?;
        let mut known = if from == MOST { Some(self.connection_to(EXTRA)?) } else { None };
        let output = self.balanced.site.director.lb_ctl_output(&command)?;
        let made = output.status.success();
        if !made {
            is_one_error("a write that fails", &output, &[])?;
            let after = state::revision(&self.balanced)?;
            ensure!(after == before, "revision {after} and not {before}");
            self.settles_at(from).context("taken back")?;
            if let Some(known) = &mut known {
                assert_eq!(known.get("/").context("what was taken back cut a connection")?.server, EXTRA);
            }
            self.balanced.site.director.lb_ctl(&command).context("the next change")?;
        }
        self.settles_at(to).context("made")?;
        Ok(!made)
    }
}

/// Every `stride`-th write of a large change fails, and of its opposite.
fn survive_failing_writes(name: &str, stride: usize) -> Result<()> {
    let mut operated = Operated::new(name)?;
    for (from, to) in [(0, MOST), (MOST, 0)] {
        let (there, back) = (operated.command_to(to)?, operated.command_to(from)?);
        operated.balanced.site.director.lb_ctl(&back)?;
        let (begin, end) = operated.count_writes(from, &there)?;
        operated.balanced.site.director.lb_ctl(&back)?;
        let mut refused = 0;
        for write in (begin + 1..=end).step_by(stride) {
            let told = operated.change_with_fault(write, from, to);
            refused += usize::from(told.with_context(|| format!("fail:{write}, from {from} to {to}"))?);
            operated.balanced.site.director.lb_ctl(&back)?;
            operated.settles_at(from)?;
        }
        ensure!(refused > (end - begin) / stride / 2, "only {refused} changes were taken back");
    }
    Ok(())
}

#[test]
fn a_change_of_which_some_write_fails_is_taken_back() -> Result<()> {
    survive_failing_writes("fail", 13)
}

#[test]
fn a_change_of_which_any_write_fails_is_taken_back() -> Result<()> {
    if full::is_asked_for("a change that fails at every write")? {
        survive_failing_writes("fail", 1)
    } else {
        Ok(())
    }
}

/// A director whose store is on a file system of its own of 256 kB.
fn on_a_small_disk(name: &str) -> Result<(Balanced, PathBuf)> {
    let site = Site::one_segment(name, 1)?;
    let state = site.director.directory().join("state");
    fs::create_dir_all(&state)?;
    let none = MsFlags::empty();
    mount(Some("tmpfs"), &state, Some("tmpfs"), none, Some("size=256k,mode=0750"))?;
    let balanced = Balanced::new(site, &[Dr])?;
    balanced.serve(Family::V4, "wrr", &[1])?;
    Ok((balanced, state))
}

/// A change is refused with `words`, and nothing is another one than before.
fn refused(balanced: &Balanced, words: &[&str]) -> Result<()> {
    let director = &balanced.site.director;
    let (before, history) = (director.lb("export")?, director.lb("history")?);
    let links = || director.ip("-d link show dev eth0");
    let attached = links()?;
    for change in
        ["server set web web1 --weight 7", "detach eth0 --yes", "limits set --connections 5000 --yes"]
    {
        let output = director.lb_ctl_output(&change.split(' ').collect::<Vec<_>>())?;
        is_one_error(change, &output, words)?;
    }
    assert_eq!(links()?, attached, "the program was taken off on the way");
    assert_eq!((director.lb("export")?, director.lb("history")?), (before, history));
    ensure!(is_empty(&balanced.lb_json("diff")?), "{}", director.lb("diff")?);
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

/// The change works now, and so does its opposite.
fn works(balanced: &Balanced) -> Result<()> {
    balanced.lb("server set web web1 --weight 7")?;
    ensure!(balanced.site.director.lb("export")?.contains("weight = 7"), "the weight was not stored");
    balanced.lb("server set web web1 --weight 1")
}

/// Takes all room of the disk but `pages` of 4 kB.
fn fill(directory: &Path, pages: usize) -> Result<PathBuf> {
    let path = directory.join("filler");
    let mut filler = File::create(&path)?;
    while filler.write_all(&[0; 4_096]).is_ok() {}
    let length = filler.metadata()?.len();
    filler.set_len(length - 4_096 * pages as u64)?;
    Ok(path)
}

#[test]
fn a_full_disk_refuses_a_change_and_changes_nothing() -> Result<()> {
    let (balanced, state) = on_a_small_disk("disk")?;
    // One page is room for the copy of the revision, and for no more.
    for pages in [0, 1] {
        let filler = fill(&state, pages)?;
        refused(&balanced, &["No space left"]).with_context(|| format!("with room for {pages} pages"))?;
        fs::remove_file(filler)?;
        works(&balanced).with_context(|| format!("after room for {pages} pages"))?;
    }
    Ok(())
}

#[test]
fn a_read_only_file_system_refuses_a_change_and_changes_nothing() -> Result<()> {
    let (balanced, state) = on_a_small_disk("readonly")?;
    let none: Option<&str> = None;
    mount(Some(&state), &state, none, MsFlags::MS_BIND, none)?;
    mount(none, &state, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)?;
    refused(&balanced, &["Read-only file system"])?;
    umount2(&state, MntFlags::empty())?;
    works(&balanced)
}
