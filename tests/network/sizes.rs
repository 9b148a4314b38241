//! Packets that are too big for a tunnel: the client is told, and sends smaller ones.

use anyhow::Result;
use lb_tests::lab::Pattern;
use lb_tests::lab::site::{Family, Site};

use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Ipip, Nat},
};

const LENGTH: u64 = 2_000_000;

rows! { an_upload_arrives_whole:
    an_upload_by_dr => Site::one_segment("up-dr", 1)?, Dr, Family::V4, Family::V4;
    an_upload_by_nat => Site::two_arms("up-nat", 1)?, Nat, Family::V4, Family::V4;
    an_upload_by_ipip_4in4 => Site::routed("up-44", 0, 1)?, Ipip, Family::V4, Family::V4;
    an_upload_by_ipip_6in6 => Site::routed("up-66", 0, 1)?, Ipip, Family::V6, Family::V6;
    an_upload_by_ipip_4in6 => Site::routed("up-46", 0, 1)?, Ipip, Family::V4, Family::V6;
    an_upload_by_ipip_6in4 => Site::routed("up-64", 0, 1)?, Ipip, Family::V6, Family::V4;
}

fn an_upload_arrives_whole(site: Site, method: Method, inner: Family, outer: Family) -> Result<()> {
    let balanced = Balanced::new(site, &[method])?;
    balanced.add_service("web", inner, "rr")?;
    balanced.add_server("web", 0, outer, 1)?;
    let client = &balanced.site.client;
    let file = client.directory().join("body");
    Pattern::write_file(&file, LENGTH)?;
    let body = format!("@{}", file.display());
    let url = balanced.url(inner, "/upload");
    let format = "%{response_code} %{size_upload}";
    let argv = [
        "curl",
        "-sS",
        "-m",
        "20",
        "-o",
        "/dev/null",
        "-w",
        format,
        "-H",
        "Expect:",
        "--data-binary",
        &body,
        &url,
    ];
    assert_eq!(client.run(&argv)?, format!("200 {LENGTH}"));
    Ok(())
}
