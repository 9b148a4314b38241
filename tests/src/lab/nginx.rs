//! Real nginx on a machine of the lab.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{ChildGuard, Host, Pattern, http, wait_until};

/// A running nginx; stops when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: ChildGuard,
    root: PathBuf,
}

impl Nginx {
    /// Starts one on `port` of every address, IPv4 and IPv6: `/` answers the machine's name, as the header `X-Server`
    /// does everywhere, `/files/` holds what [`Nginx::add_file`] puts there, and `/upload` takes any body.
    ///
    /// # Errors
    /// nginx is not installed or refuses to start; the error holds its log.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let prefix = host.directory().join(format!("nginx-{port}"));
        let root = prefix.join("root");
        let files = root.join("files");
        fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
        let configuration = prefix.join("nginx.conf");
        fs::write(&configuration, configuration_text(host.name(), port))
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let (prefix, configuration) = (prefix.to_string_lossy(), configuration.to_string_lossy());
        let argv = ["nginx", "-p", &prefix, "-c", &configuration, "-e", "stderr", "-g", "daemon off;"];
        let mut child = host.spawn(&format!("nginx-{port}"), &argv)?;
        wait_listening(host, port, &mut child)?;
        Ok(Self { child, root })
    }

    /// Puts a file of `length` bytes of the [`Pattern`] at `/files/NAME`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add_file(&self, name: &str, length: u64) -> Result<()> {
        let path = self.root.join("files").join(name);
        Pattern::write_file(&path, length).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Lets the server run on after this process; it ends with its lab.
    pub fn leave(self) {
        self.child.leave();
    }

    /// Kills the server at once, as a crash would.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()
    }
}

fn wait_listening(host: &Host, port: u16, child: &mut ChildGuard) -> Result<()> {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let what = format!("nginx of {} to answer", host.name());
    let answered = wait_until(Duration::from_secs(10), &what, || {
        !child.is_running() || http::get(host, address, "/").is_ok_and(|reply| reply.status == 200)
    });
    if !child.is_running() {
        anyhow::bail!("nginx on {} ended: {}", host.name(), child.log()?.trim());
    }
    answered
}

/// One process and nothing outside the prefix; `listen [::]` takes both families.
fn configuration_text(name: &str, port: u16) -> String {
    format!(
        r#"user root;
worker_processes 1;
master_process off;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000;
    keepalive_timeout 600s;
    server {{
        listen [::]:{port} ipv6only=off backlog=4096;
        add_header X-Server {name} always;
        root root;
        location = / {{ return 200 "{name}\n"; }}
        location /files/ {{ }}
        location = /upload {{ client_max_body_size 0; return 200 "{name}\n"; }}
    }}
}}
"#
    )
}
