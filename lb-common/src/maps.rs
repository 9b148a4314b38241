//! Names, default sizes and version of the maps that the programs and the agent share.
//!
//! The sizes are those of a program without `[limits]`; the agent goes by what the kernel says of each map.

/// Version of the layout of keys and values. Pinned maps of another version are refused.
pub const SCHEMA_VERSION: u32 = 4;

/// Bit of `Settings::flags`: some service takes any port.
pub const SETTING_ANY_PORT: u32 = 1;
/// Bit of `Settings::flags`: some server is reached by nat, so that answers must be looked for.
pub const SETTING_NAT: u32 = 2;

/// Longest time in milliseconds that a hold lasts by itself: packets must not wait for an agent that died.
pub const MAX_HOLD_MS: u32 = 5_000;

/// Elements of `SERVICE_KEYS`: one per VIP, port and protocol.
pub const MAX_SERVICE_KEYS: u32 = 65_536;
/// Elements of `SERVICES`, `SEQUENCE` and the services' counters. Index 0 is never used.
pub const MAX_SERVICES: u32 = 4_096;
/// Elements of `VIEWS`: two per service, so that each can be swapped. Index 0 is never used.
pub const MAX_VIEWS: u32 = 2 * MAX_SERVICES;
/// Elements of `SLOTS`. Index 0 is never used.
pub const MAX_SLOTS: u32 = 2 * 1024 * 1024;
/// Elements of `SERVERS` and the servers' counters. Index 0 is never used.
pub const MAX_SERVERS: u32 = 32_768;
/// Elements of `HALF_OPEN`.
pub const MAX_HALF_OPEN: u32 = 32_768;
/// Elements of `CONNECTIONS`; a nat connection takes two.
pub const MAX_CONNECTIONS: u32 = 256 * 1024;
/// Elements of `NAT_HOSTS`.
pub const MAX_NAT_HOSTS: u32 = 16_384;
/// Bytes of `EVENTS`.
pub const EVENTS_BYTES: u32 = 256 * 1024;
/// Elements of `DECAP_VIPS` and `DECAP_ADDRESSES`.
pub const MAX_DECAP_ADDRESSES: u32 = 1_024;
/// Elements of `REDIRECT_FAILURES`.
pub const MAX_REDIRECT_FAILURES: u32 = 1_024;

/// Maps of the director's program, in the order of ARCHITECTURE.md.
pub const DIRECTOR_MAPS: [&str; 19] = [
    "SETTINGS",
    "SERVICE_INDEX",
    "SERVICE_KEYS",
    "SERVICES",
    "VIEWS",
    "SLOTS",
    "SERVERS",
    "HALF_OPEN",
    "CONNECTIONS",
    "NAT_HOSTS",
    "SEQUENCE",
    "INTERFACES",
    "INTERFACE_KEYS",
    "DEVICES",
    "SERVER_COUNTERS",
    "REASON_COUNTERS",
    "SERVICE_COUNTERS",
    "ANSWER_RATE",
    "EVENTS",
];

/// Maps of the decapsulation program.
pub const DECAP_MAPS: [&str; 3] = ["DECAP_VIPS", "DECAP_ADDRESSES", "DECAP_COUNTERS"];

/// Maps of the programs that count failed redirects.
pub const REDIRECT_MAPS: [&str; 1] = ["REDIRECT_FAILURES"];
