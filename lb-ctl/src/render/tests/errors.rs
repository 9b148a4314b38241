//! How errors read.

use super::*;

#[test]
fn an_error_says_what_stopped_it_and_what_helps() {
    let failure = Failure::failed("cannot reach the agent at /run/lb/agent.sock: no such file")
        .with_hint("`lb-ctl attach INTERFACE` starts one");
    let rows = [
        (
            failure.into(),
            1,
            "error: cannot reach the agent at /run/lb/agent.sock: no such file\nhint:  `lb-ctl attach INTERFACE` starts one\n",
        ),
        (Failure::usage("there is no group x").into(), 2, "error: there is no group x\n"),
        (
            anyhow::anyhow!("no such file").context("cannot read lb.toml"),
            1,
            "error: cannot read lb.toml: no such file\n",
        ),
        (
            anyhow::anyhow!("no such file").context("cannot read lb.toml (no such file)\nits log is in /tmp"),
            1,
            "error: cannot read lb.toml (no such file)\nits log is in /tmp\n",
        ),
    ];
    for (error, code, text) in rows {
        assert_eq!(anstream::adapter::strip_str(&error_text(&error)).to_string(), text);
        assert_eq!(exit_code(&error), code);
    }
}

#[test]
fn an_error_is_an_object_for_programs() {
    let failure = Failure::usage("a VIP is one address").with_hint("leave /24 out");
    let refused = Refused { error: refusal(&failure.into()) };
    assert_eq!(
        serde_json::to_string(&refused).unwrap(),
        r#"{"error":{"message":"a VIP is one address","hint":"leave /24 out","kind":"usage"}}"#
    );
    let refused = Refused { error: refusal(&anyhow::anyhow!("cannot read x")) };
    let want = r#"{"error":{"message":"cannot read x","kind":"failed"}}"#;
    assert_eq!(serde_json::to_string(&refused).unwrap(), want);
}
