//! Orders of the operator beside the configuration: drains and temporary weights, each signed.

use super::Draft;
use crate::api::ServerSettings;
use crate::config::ConfigError;
use crate::config::intent::{Order, ServerName, TemporaryWeight};

impl Draft<'_> {
    pub(super) fn set_temporary_weight(
        &mut self,
        pool: &str,
        server: &str,
        settings: ServerSettings,
    ) -> Result<(), ConfigError> {
        let ServerSettings { weight: Some(weight), method: None, .. } = settings else {
            return Err(ConfigError::invalid("only a weight can be temporary")
                .hint("`lb-ctl server set POOL SERVER --weight N --temporary`"));
        };
        let mark = self.mark.clone();
        let order = self.order(pool, server)?;
        if order.weight.as_ref().is_none_or(|known| known.weight != weight) {
            order.weight = Some(TemporaryWeight { weight, mark });
        }
        Ok(())
    }

    pub(super) fn drain(&mut self, pool: &str, server: &str) -> Result<(), ConfigError> {
        let mark = self.mark.clone();
        self.order(pool, server)?.drain.get_or_insert(mark);
        Ok(())
    }

    /// Ends every order, also one of a server that is not configured now.
    pub(super) fn undrain(&mut self, pool: &str, server: &str) -> Result<(), ConfigError> {
        if self.intent.orders.remove(&ServerName::new(pool, server)).is_none() {
            let name = self.server(pool, server)?.name.clone();
            self.intent.orders.remove(&ServerName::new(pool, &name));
        }
        Ok(())
    }

    fn order(&mut self, pool: &str, server: &str) -> Result<&mut Order, ConfigError> {
        let name = ServerName::new(pool, &self.server(pool, server)?.name);
        Ok(self.intent.orders.entry(name).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::tests::{applied, config, mark, server, server_remove};
    use crate::api::{Change, ServerSettings};
    use crate::config::intent::{Intent, Leaving, Mark, Order};
    use crate::config::model::{Config, Method, Pool};

    fn order_of<'i>(intent: &'i Intent, server: &str) -> Option<&'i Order> {
        intent.order("web", server)
    }

    #[test]
    fn an_order_is_signed_and_lasts_until_it_is_ended() {
        let drain = Change::ServerDrain { pool: "web".into(), server: "10.0.0.11".into() };
        let (config, intent) = applied(&config(), &Intent::default(), &drain).unwrap();
        assert_eq!(order_of(&intent, "pc1"), Some(&Order { drain: Some(mark()), weight: None }));
        let later = Mark { since: 99, ..mark() };
        assert_eq!(apply((&config, &intent), &drain, &later).unwrap().1, intent, "the first one counts");
        let without = Config {
            pools: vec![Pool { servers: vec![], ..config.pools[0].clone() }],
            services: vec![config.services[0].clone()],
            ..config.clone()
        };
        for replaced in [config.clone(), without] {
            let apply = Change::Apply { config: replaced, allow_empty: false };
            assert_eq!(applied(&config, &intent, &apply).unwrap().1, intent, "apply keeps it");
        }
        let undrain = Change::ServerUndrain { pool: "web".into(), server: "pc1".into() };
        assert_eq!(applied(&config, &intent, &undrain).unwrap().1, Intent::default());
        assert_eq!(
            applied(&Config::default(), &intent, &undrain).unwrap().1,
            Intent::default(),
            "of a server that is gone"
        );
        let gone = [server_remove("web", "pc1"), Change::ServiceRemove { name: "web".into() }];
        for change in gone {
            let (_, intent) = applied(&config, &intent, &change).unwrap();
            assert_eq!(
                intent,
                Intent::default(),
                "a server of that name that comes later is not drained: {change:?}"
            );
        }
    }

    #[test]
    fn a_temporary_weight_is_an_order_and_no_setting() {
        let set = |weight, method| Change::ServerSet {
            pool: "web".into(),
            server: "pc1".into(),
            settings: ServerSettings { weight, method, temporary: true },
        };
        let (after, intent) = applied(&config(), &Intent::default(), &set(Some(9), None)).unwrap();
        assert_eq!(after, config());
        assert_eq!(intent.weight("web", &after.pools[0].servers[0]), 9);
        assert_eq!(order_of(&intent, "pc1").unwrap().weight.as_ref().unwrap().mark, mark());
        for wrong in [set(None, None), set(Some(1), Some(Method::Nat))] {
            let error = applied(&config(), &Intent::default(), &wrong).unwrap_err();
            assert_eq!(error.message, "only a weight can be temporary");
        }
    }

    #[test]
    fn a_server_that_leaves_can_be_let_go() {
        let leaving = Leaving {
            service: "web".into(),
            pool: "web".into(),
            server: server("pc9", "10.0.0.19", Method::Dr),
            mark: mark(),
        };
        let intent = Intent { leaving: vec![leaving], ..Intent::default() };
        let (after, left) = applied(&config(), &intent, &server_remove("web", "pc9")).unwrap();
        assert_eq!((after, left), (config(), Intent::default()));
        assert!(applied(&config(), &intent, &server_remove("web", "pc8")).is_err());
    }
}
