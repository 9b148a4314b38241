//! Connections, in the columns of `ipvsadm -L -c`.

use super::number::minutes;
use super::table::{Table, text};
use crate::api::Connections;

/// Connections that matched.
pub fn connections(connections: &Connections) -> String {
    let mut table =
        Table::new(["Prot", "Expire", "State", "Source", "Virtual", "Destination", "Service", "Server"]);
    for connection in &connections.connections {
        let destination =
            connection.destination.map_or_else(|| "-".to_owned(), |address| address.to_string());
        table.row([
            text(connection.protocol.word().to_uppercase()),
            text(minutes(connection.expires_ms)),
            text(connection.state.to_uppercase()),
            text(connection.client),
            text(connection.vip),
            text(destination),
            text(&connection.service),
            text(connection.server.as_deref().unwrap_or("removed")),
        ]);
    }
    let shown = connections.connections.len();
    let more = u64::try_from(shown).is_ok_and(|shown| shown < connections.total);
    let more = if more {
        format!("{shown} of {} shown; `--limit` shows more\n", connections.total)
    } else {
        String::new()
    };
    table.finish() + &more
}
