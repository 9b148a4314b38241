//! The programs that count failed redirects: they load, outlive the agent, and keep what was counted.

use super::{isolated, open};
use std::fs;

#[test]
fn the_programs_are_pinned_and_another_agent_takes_their_place() {
    isolated(|bpffs| {
        let pins = || {
            let entries = fs::read_dir(bpffs.join("lb/redirects")).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort_unstable();
            names
        };
        let all = ["REDIRECT_FAILURES", "xdp_devmap_xmit", "xdp_redirect_err"];
        for _ in 0..2 {
            let mut datapath = open(bpffs).unwrap();
            assert_eq!(datapath.unsent().unwrap(), []);
            datapath.count_unsent().unwrap();
            assert_eq!(datapath.unsent().unwrap(), []);
            drop(datapath);
            assert_eq!(pins(), all);
        }
        fs::remove_file(bpffs.join("lb/redirects/xdp_redirect_err")).unwrap();
        open(bpffs).unwrap().count_unsent().unwrap();
        assert_eq!(pins(), all);
    });
}
