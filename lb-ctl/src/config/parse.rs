//! The configuration file: TOML in, TOML out. Every complaint says where.

use super::keys;
use super::model::Config;
use super::validate::validate;
use super::{ConfigError, address};
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// Gives the address of a host name, or says in words why there is none.
pub type Resolve<'r> = &'r dyn Fn(&str) -> Result<IpAddr, String>;

/// The configuration that `text` spells; `file` is named in errors. Host names are refused.
///
/// # Errors
/// It is no configuration, or one that cannot be.
pub fn from_toml(text: &str, file: &str) -> Result<Config, ConfigError> {
    from_toml_with(text, file, &|name| Err(format!("`{name}` is not an IP address")))
}

/// The same; host names of servers are given to `resolve`.
///
/// # Errors
/// As [`from_toml`].
pub fn from_toml_with(text: &str, file: &str, resolve: Resolve<'_>) -> Result<Config, ConfigError> {
    let source = Source { text, file };
    let mut document =
        DeTable::parse(text).map_err(|error| source.error(error.span(), "", error.message()))?;
    keys::check(document.get_mut(), &source)?;
    complete(document.get_mut(), &source, resolve)?;
    let config: Config = serde_path_to_error::deserialize(Deserializer::from(document)).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        source.error(error.span(), &path, error.message())
    })?;
    validate(&config).map_err(|error| {
        let place = error.place.as_ref().map_or_else(|| file.to_owned(), |place| format!("{file}: {place}"));
        error.at(place)
    })?;
    Ok(config)
}

/// `config` as a file that [`from_toml`] reads back.
///
/// # Errors
/// It holds what TOML cannot spell; no valid configuration does.
pub fn to_toml(config: &Config) -> Result<String, toml::ser::Error> {
    toml::to_string(config)
}

/// The text of a file and its name.
pub(super) struct Source<'s> {
    text: &'s str,
    file: &'s str,
}

impl Source<'_> {
    /// The error `message` about what is at `span`, which has the name `path` in the document.
    pub(super) fn error(&self, span: Option<Range<usize>>, path: &str, message: &str) -> ConfigError {
        let before = span.and_then(|span| self.text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let file = line.map_or_else(|| self.file.to_owned(), |line| format!("{}:{line}", self.file));
        let place = if path.is_empty() || path == "." { file } else { format!("{file}: {path}") };
        ConfigError::invalid(message).at(place)
    }
}

/// Puts in what may be left out, and addresses in the place of host names.
fn complete(
    document: &mut DeTable<'_>,
    source: &Source<'_>,
    resolve: Resolve<'_>,
) -> Result<(), ConfigError> {
    for (_, service) in keys::tables(document, "service") {
        if !service.contains_key("pools")
            && let Some(name) = text(service, "name")
        {
            let own = DeValue::Array(std::iter::once(spanned(DeValue::String(Cow::Owned(name)))).collect());
            service.insert(spanned(Cow::Borrowed("pools")), spanned(own));
        }
    }
    for (pool_index, pool) in keys::tables(document, "pool") {
        for (index, server) in keys::tables(pool, "server") {
            if !server.contains_key("name")
                && let Some(address) = text(server, "address")
            {
                server.insert(spanned(Cow::Borrowed("name")), spanned(DeValue::String(Cow::Owned(address))));
            }
            resolve_address(server, resolve).map_err(|(span, message)| {
                source.error(Some(span), &format!("pool[{pool_index}].server[{index}].address"), &message)
            })?;
        }
    }
    Ok(())
}

fn resolve_address(server: &mut DeTable<'_>, resolve: Resolve<'_>) -> Result<(), (Range<usize>, String)> {
    let Some(value) = server.get_mut("address") else { return Ok(()) };
    let span = value.span();
    let DeValue::String(text) = value.get_mut() else { return Ok(()) };
    let Ok((host, port)) = address::split_port(text) else { return Ok(()) };
    if !matches!(address::host(host), Err(address::AddressError::NotIp(_))) || host.contains(':') {
        return Ok(());
    }
    let ip = resolve(host).map_err(|message| (span, message))?;
    let resolved = match (ip, port) {
        (ip, None) => ip.to_string(),
        (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
        (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
    };
    *text = Cow::Owned(resolved);
    Ok(())
}

fn text(table: &DeTable<'_>, key: &str) -> Option<String> {
    table.get(key).and_then(|value| value.get_ref().as_str()).map(str::to_owned)
}

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

#[cfg(test)]
mod tests;
