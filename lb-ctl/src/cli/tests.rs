//! What every command says of itself, and what can and cannot be typed.

use super::*;
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::fmt::Write;

fn explain(command: &mut clap::Command, out: &mut String) {
    let name = command.get_bin_name().unwrap_or("lb-ctl").to_owned();
    // The global options are told once.
    let help = command.render_help().to_string();
    let own = if name == "lb-ctl" {
        help.as_str()
    } else {
        help.split("\nGlobal options:").next().unwrap_or_default()
    };
    writeln!(out, "$ {name} -h\n{}\n", own.trim_end()).unwrap();
    for subcommand in command.get_subcommands_mut().filter(|subcommand| subcommand.get_name() != "help") {
        explain(subcommand, out);
    }
}

#[test]
fn every_command_explains_itself() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut out = String::new();
    explain(&mut command, &mut out);
    insta::assert_snapshot!(out);
}

#[test]
fn the_definition_has_no_contradiction() {
    Cli::command().debug_assert();
}

#[test]
fn what_design_shows_can_be_typed() {
    let rows = [
        "attach eth0",
        "attach eth0 --mode generic --foreground --debug-log",
        "detach eth0",
        "agent --config /etc/lb/lb.toml",
        "vip list",
        "vip set 192.0.2.10 --announce none",
        "service add web 192.0.2.10:80/tcp --scheduler wrr",
        "service add web [2001:db8::10]:80,443/tcp --scheduler mh --on-failure drop --pool a --pool b",
        "service add voip 192.0.2.10:30000-30100/udp",
        "service add rest 192.0.2.10:any/udp",
        "service set web --port 81",
        "service remove web",
        "service list",
        "server add web 10.0.0.11 --method dr --weight 3",
        "server add web 10.0.0.12:8080 --method nat --name pc2",
        "server set web pc2 --weight 0",
        "server drain web pc2",
        "server undrain web pc2",
        "server remove web pc2",
        "server list",
        "server list web",
        "pool add spare",
        "pool set web web spare",
        "pool remove spare",
        "pool list",
        "limits list",
        "limits set --connections 1000000 --servers 50000",
        "limits set --services 9000 --slots 4000000",
        "upgrade",
        "upgrade --migrate",
        "decap attach eth0 --vip 192.0.2.10 2001:db8::10",
        "decap attach eth0 --vip 192.0.2.10 --persist",
        "decap detach eth0",
        "decap run",
        "decap list",
        "status --json",
        "--json list",
        "stats",
        "stats --watch",
        "stats --watch 5",
        "stats --samples 1000",
        "connections --client 198.51.100.7 --service web --server pc1 --limit 5",
        "apply lb.toml --allow-empty",
        "diff",
        "diff lb.toml",
        "export --format json",
        "completions bash",
    ];
    for row in rows {
        let typed = Cli::try_parse_from(std::iter::once("lb-ctl").chain(row.split(' ')));
        assert!(typed.is_ok(), "{row}: {}", typed.unwrap_err());
    }
}

#[test]
fn wrong_usage_is_refused_with_its_reason() {
    use ErrorKind::{
        ArgumentConflict, InvalidSubcommand, InvalidValue, MissingRequiredArgument, UnknownArgument,
        ValueValidation,
    };
    let rows = [
        ("attach", MissingRequiredArgument, "<INTERFACE>"),
        ("attach eth0 --mode fast", InvalidValue, "fast"),
        ("attach eth0 --pidfile x", UnknownArgument, "--pidfile"),
        ("vip set 192.0.2 --announce arp", ValueValidation, "`192.0.2` is not an IP address"),
        ("vip set 192.0.2.0/24 --announce arp", ValueValidation, "/32"),
        ("service add web 192.0.2.10:0/tcp", ValueValidation, "0 is not a port"),
        ("service add web 192.0.2.10:70000/tcp", ValueValidation, "70000 is not a port"),
        ("service add web 192.0.2.10:80", ValueValidation, "VIP:PORT/PROTOCOL"),
        ("service add web 192.0.2.10:80/sctp", ValueValidation, "`sctp` is not a protocol"),
        ("service add web 192.0.2.10:80/tcp --scheduler fastest", InvalidValue, "fastest"),
        ("service add web 192.0.2.10:80/tcp --affinity 5m", UnknownArgument, "--affinity"),
        ("service add web 192.0.2.10:80/tcp --check http:/", UnknownArgument, "--check"),
        ("service set web", MissingRequiredArgument, "--scheduler"),
        ("server add web 10.0.0.11 --weight 70000", ValueValidation, "70000 is not in 0..=65535"),
        ("server add web 10.0.0.11 --weight=-1", ValueValidation, "-1"),
        ("server add web 10.0.0.11 --weight -1", ValueValidation, "-1 is not in 0..=65535"),
        ("server set web pc2 --weight -1", ValueValidation, "-1 is not in 0..=65535"),
        ("agent --detached", UnknownArgument, "--detached"),
        ("server drain web pc2 --wait", UnknownArgument, "--wait"),
        ("limits set", MissingRequiredArgument, "--connections"),
        ("limits set --slots many", ValueValidation, "many"),
        ("limits set --affinity 5", UnknownArgument, "--affinity"),
        ("decap attach eth0", MissingRequiredArgument, "--vip"),
        ("stats --watch 0", ValueValidation, "0 is not in"),
        ("stats --watch --samples 5", ArgumentConflict, "--samples"),
        ("rollback three", ValueValidation, "three"),
        ("apply lb.toml --yes --dry-run", ArgumentConflict, "--dry-run"),
        ("server set web pc2 --temporary", MissingRequiredArgument, "--weight"),
        ("upgrade-all", InvalidSubcommand, "upgrade-all"),
    ];
    for (row, kind, want) in rows {
        let error = Cli::try_parse_from(std::iter::once("lb-ctl").chain(row.split(' '))).unwrap_err();
        assert_eq!(error.kind(), kind, "{row}: {error}");
        assert!(error.to_string().contains(want), "{row}: {error}");
        assert_eq!(error.exit_code(), 2, "{row}");
    }
}
