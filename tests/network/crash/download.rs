//! A slow download that must not notice anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::Family;
use lb_tests::lab::{Pattern, wait_until};

use crate::support::{Balanced, PORT, socket};

const LENGTH: u64 = 200_000_000;
/// Slow enough to outlast a hundred kills.
const BYTES_PER_SECOND: f64 = 500_000.0;
/// What is read at full speed at the end: more than all buffers on the way hold.
const AT_THE_END: usize = 20_000_000;
const PIECE: usize = 32 * 1024;

/// A download under way.
pub(super) struct Download {
    server: String,
    over: Arc<AtomicBool>,
    reader: JoinHandle<Result<()>>,
}

impl Download {
    /// Starts a download from each of `servers`, to which wrr gives them in turn.
    pub(super) fn start_by_each(balanced: &Balanced, servers: [&str; 3]) -> Result<Vec<Self>> {
        for server in [0, 1, 3] {
            balanced.web[server].add_file("big", LENGTH)?;
        }
        let downloads: Vec<Self> = servers.iter().map(|_| Self::start(balanced)).collect::<Result<_>>()?;
        let mut found: Vec<&str> = downloads.iter().map(|download| download.server.as_str()).collect();
        found.sort_unstable();
        ensure!(found == servers, "the downloads are from {found:?}");
        Ok(downloads)
    }

    fn start(balanced: &Balanced) -> Result<Self> {
        let service = socket(balanced.site.vip(Family::V4), PORT);
        let patience = Duration::from_secs(20);
        let mut stream = balanced.site.client.within(|| TcpStream::connect_timeout(&service, patience))??;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET /files/big HTTP/1.1\r\nHost: web\r\n\r\n")?;
        let mut stream = BufReader::new(stream);
        let mut server = None;
        loop {
            let mut header = String::new();
            ensure!(stream.read_line(&mut header)? > 0, "no answer");
            match header.trim_end().split_once(": ") {
                Some(("X-Server", name)) => server = Some(name.to_owned()),
                None if header.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let over = Arc::clone(&over);
            move || read(stream, &over)
        });
        Ok(Self { server: server.context("no server has a name")?, over, reader })
    }

    /// What has come is what was sent, and more comes.
    pub(super) fn check(self) -> Result<()> {
        self.over.store(true, Relaxed);
        let read = self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.with_context(|| format!("the download from {}", self.server))
    }
}

fn read(mut stream: impl Read, over: &AtomicBool) -> Result<()> {
    let begin = Instant::now();
    let (mut expected, mut got, mut left) = (Pattern::default(), vec![0; PIECE], AT_THE_END);
    let mut wanted = vec![0; PIECE];
    let mut length = 0;
    while length < LENGTH && left > 0 {
        let count = stream.read(&mut got).with_context(|| format!("after {length} bytes"))?;
        ensure!(count > 0, "ended after {length} bytes");
        expected.read_exact(&mut wanted[..count])?;
        ensure!(got[..count] == wanted[..count], "wrong after {length} bytes");
        length += count as u64;
        if over.load(Relaxed) {
            left = left.saturating_sub(count);
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a file is not that long")]
        let due = Duration::from_secs_f64(length as f64 / BYTES_PER_SECOND);
        let is_due = || begin.elapsed() >= due || over.load(Relaxed);
        wait_until(Duration::from_secs(20), "the next piece to be due", is_due)?;
    }
    Ok(())
}
