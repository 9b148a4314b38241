//! What is said of a change that cannot be made.

use crate::config::ConfigError;
use crate::config::model::{Config, Server, Service};
use crate::config::nearest::nearest;

/// The configuration of a revision is the store's to find.
pub(super) fn unresolved(number: Option<u64>) -> ConfigError {
    ConfigError::invalid(format!("revision {} is not known here", number.unwrap_or_default()))
}

/// No error if it is the same; else a conflict that says what it is and what changes it.
pub(super) fn already(
    (what, name): (&str, &str),
    same: bool,
    is: &str,
    hint: String,
) -> Result<(), ConfigError> {
    if same {
        return Ok(());
    }
    let message = format!("{what} {name} exists already, with other settings: {is}");
    Err(ConfigError::conflict(message).hint(hint))
}

/// What really makes the known service the one that was to be added: its VIP and protocol are never changed.
pub(super) fn changes_service(known: &Service, wanted: &Service) -> String {
    let name = &known.name;
    if (known.vip, known.protocol) != (wanted.vip, wanted.protocol) {
        return format!("use another name, or `lb-ctl service remove {name}` first: VIP and protocol stay");
    }
    if known.pools != wanted.pools {
        return format!("`lb-ctl pool set {name} {}` changes its pools", wanted.pools.join(" "));
    }
    format!("`lb-ctl service set {name}` changes its port, scheduler, on-failure, track and udp")
}

/// The same for a server, whose address is never changed.
pub(super) fn changes_server(pool: &str, known: &Server, wanted: &Server) -> String {
    let name = &known.name;
    if known.address != wanted.address {
        return format!(
            "use another --name, or `lb-ctl server remove {pool} {name}` first: the address stays"
        );
    }
    format!("`lb-ctl server set {pool} {name}` changes its weight and method")
}

/// That there is no service of this name.
pub(super) fn no_service(config: &Config, name: &str) -> ConfigError {
    unknown("service", name, nearest(name, config.services.iter().map(|service| service.name.as_str())))
}

/// That there is no pool of this name.
pub(in crate::config) fn no_pool(config: &Config, name: &str) -> ConfigError {
    unknown("pool", name, nearest(name, config.pools.iter().map(|pool| pool.name.as_str())))
}

/// That `name` does not exist, with the name that was probably meant.
pub(super) fn unknown(what: &str, name: &str, near: Option<&str>) -> ConfigError {
    let error = ConfigError::not_found(format!("there is no {what} {name}"));
    if let Some(near) = near {
        return error.hint(format!("did you mean {near}?"));
    }
    let list = match what.split(' ').next().unwrap_or_default() {
        "attached" => "status".to_owned(),
        noun => format!("{noun} list"),
    };
    error.hint(format!("`lb-ctl {list}` names what there is"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{applied, config, server_remove};
    use crate::config::intent::Intent;

    #[test]
    fn a_name_that_slipped_gets_the_right_one() {
        let error = applied(&config(), &Intent::default(), &server_remove("wbe", "pc1")).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean web?"));
        let error = applied(&config(), &Intent::default(), &server_remove("nothing", "pc1")).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("`lb-ctl pool list` names what there is"));
    }
}
