//! Services of several ports.

use anyhow::Result;
use lb_tests::lab::http;
use lb_tests::lab::site::{Family, Site};

use crate::rows;
use crate::support::{Balanced, Method::Dr, PORT, socket};

rows! { only_the_ports_of_the_service_are_served:
    a_list_of_ports => "8001,8003", &[8001, 8003], &[8002];
    a_range_of_ports => "8001-8003", &[8001, 8002, 8003], &[8000, 8004];
    any_port => "any", &[8000, 8001, 8004], &[];
}

fn only_the_ports_of_the_service_are_served(ports: &str, served: &[u16], others: &[u16]) -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("ports", 1)?, &[Dr])?;
    let (site, vip) = (&balanced.site, balanced.site.vip(Family::V4));
    let listen = |&port: &u16| http::Server::start(&site.servers[0].host, port);
    let _web: Vec<_> = served.iter().chain(others).map(listen).collect::<Result<_>>()?;
    balanced.lb(&format!("service add web {vip}:{ports}/tcp"))?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    for &port in served {
        assert_eq!(http::get(&site.client, socket(vip, port), "/")?.server, "web1", "port {port}");
    }
    for &port in others {
        assert!(http::get(&site.client, socket(vip, port), "/").is_err(), "port {port} is served");
    }
    Ok(())
}

#[test]
fn a_connection_goes_on_while_any_port_takes_the_place_of_its_port_and_back() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("any", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let mut connection = http::Connection::open(&balanced.site.client, service)?;
    assert_eq!(connection.get("/")?.server, "web1");
    for port in ["any", "80"] {
        balanced.lb(&format!("service set web --port {port}"))?;
        assert_eq!(connection.get("/")?.server, "web1", "after --port {port}");
    }
    Ok(())
}
