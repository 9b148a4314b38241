//! What the demo tells: the picture, the commands, who served what, and why.

use std::io::Write;

use anyhow::Result;

use super::stage::{Entrances, PAGE, Role, Stage};
use super::traffic::{Seen, Tally};

const PICTURE: &str = "
A lab in network namespaces of this machine, joined by veth pairs and bridges:

   client 10.0.1.100
     |
   router -------------------------------------+
     | 10.0.0.1                                | 10.0.2.1
   --+-------+------------+-----------+--    --+--+--
             |            |           |           |
         director       web1        web2        web3
         10.0.0.2       10.0.0.11   10.0.0.12   10.0.2.13
         VIP 10.0.0.10  dr          nat         ipip
";

/// Draws the lab.
pub(super) fn picture(out: &mut impl Write) -> Result<()> {
    Ok(writeln!(out, "{PICTURE}")?)
}

/// Tells what was done on each server.
pub(super) fn preparations(out: &mut impl Write, stage: &Stage) -> Result<()> {
    let vip = stage.vip();
    writeln!(out, "What the servers needed:")?;
    for (_, Role { name, method, .. }) in stage.servers() {
        let preparation = match method {
            "nat" => "default gateway is the director; nothing else".to_owned(),
            "ipip" => format!("{vip}/32 on lo; `lb-ctl decap attach eth0 --vip {vip}` to unwrap"),
            _ => format!("{vip}/32 on lo, arp_ignore = 1, arp_announce = 2"),
        };
        writeln!(out, "  {name}  {method:<5} {preparation}")?;
    }
    Ok(writeln!(out, "\nOn the director:")?)
}

/// Shows a command of the director and what it wrote.
pub(super) fn command(out: &mut impl Write, command: &str, output: &str) -> Result<()> {
    writeln!(out, "  $ lb-ctl {command}")?;
    for line in output.trim_end().lines() {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

/// Shows who served what.
pub(super) fn shares(out: &mut impl Write, stage: &Stage, tally: &Tally) -> Result<()> {
    let Tally { requests, took, servers } = tally;
    let (service, milliseconds) = (stage.service(), took.as_millis());
    writeln!(out, "\n{requests} requests of the client to http://{service}/, a connection each, took")?;
    writeln!(out, "{milliseconds} ms; every one was answered:\n")?;
    writeln!(out, "  server  method  weight  answers   share")?;
    for (_, Role { name, method, weight }) in stage.servers() {
        let answers = servers.get(name).map_or(0, |seen| seen.answers);
        let bar = "#".repeat(usize::try_from(answers * 40 / u64::from(*requests))?);
        let tenths = (answers * 10_000 / u64::from(*requests) + 5) / 10;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        writeln!(out, "  {name:<7} {method:<7} {weight:>6}  {answers:>7}  {whole:>3}.{tenth} %  {bar}")?;
    }
    Ok(writeln!(out)?)
}

/// Explains what was seen, with the numbers of this run.
pub(super) fn explanation(out: &mut impl Write, stage: &Stage, tally: &Tally) -> Result<()> {
    writeln!(out, "\nOne page of {PAGE} bytes from each server, in bytes as the network cards counted:\n")?;
    writeln!(out, "  server  method  sent by the server  received by the director")?;
    for (_, Role { name, method, .. }) in stage.servers() {
        let Seen { sent, received, .. } = tally.servers.get(name).copied().unwrap_or_default();
        writeln!(out, "  {name:<7} {method:<7} {sent:>18}  {received:>24}")?;
    }
    let weights: Vec<_> = stage.servers().map(|(_, role)| role.weight.to_string()).collect();
    let weights = weights.join(":");
    let sum: u32 = stage.servers().map(|(_, role)| role.weight).sum();
    writeln!(
        out,
        "
* wrr gives turns of {sum} connections, shared {weights} by weight; so the shares above are exact, not random.
* dr changed only the MAC addresses. web1 has the VIP on lo, takes the packet as its own and answers the client
  itself, by way of the router: the director received the client's acknowledgements and nothing of the page.
* nat changed the destination to 10.0.0.12. web2 does not know the VIP; its gateway is the director, which
  put the VIP back as the source of every reply: the whole page came in there, too.
* ipip wrapped the packet in one for 10.0.2.13, so web3 may be in another network. The decapsulation program
  unwrapped it, and web3 answered the client itself.
* All of it happened in XDP, before the director's network stack: tcpdump and nftables there see none of it.
"
    )?;
    Ok(())
}

/// Says how to get at a lab that was kept.
pub(super) fn how_to_enter(out: &mut impl Write, entrances: &Entrances) -> Result<()> {
    let Entrances { client, director, server, director_netns, vip } = entrances;
    let (client, director, server) = (client.display(), director.display(), server.display());
    writeln!(
        out,
        "
The lab is up. These scripts run a command on a machine of it:

  {client} curl -si http://{vip}/
  {director} lb-ctl status
  {director} lb-ctl connections
  {director} lb-ctl server drain web web1
  {director} lb-ctl server set web web3 --weight 9
  {director} lb-ctl server remove web web2 --yes
  {director} lb-ctl detach eth0 --yes
  {server} ip address

They use `nsenter --net={}` and tell lb-ctl where this lab keeps its
pins, store and socket. `ip netns exec` hides /sys/fs/bpf and does not set these.

Remove it all with: cargo xtask demo --clean",
        director_netns.display()
    )?;
    Ok(())
}
