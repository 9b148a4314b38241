//! The agent and the command line of the load balancer.
//!
//! A library with a thin binary, so that the tests load the programs as the agent does.

pub mod agent;
pub mod api;
pub mod cli;
pub mod command;
pub mod config;
pub mod datapath;
pub mod decap;
pub mod fault;
pub mod neighbour;
mod pid_file;
pub mod render;
pub mod store;
