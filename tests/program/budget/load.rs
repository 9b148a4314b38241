//! Loading a program by bpf(2) itself, because aya keeps no log of a program that loads: what the verifier counted, and
//! what the kernel made of each function.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_long};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use aya::Ebpf;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_info, bpf_prog_type};
use aya_obj::{Function, Object, ProgramSection};
use rustc_demangle::demangle;

/// `BPF_LOG_STATS`.
const STATISTICS: u32 = 4;
const LOG_BYTES: usize = 64 * 1024;
const MOST_FUNCTIONS: usize = 64;

/// What a program costs the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Instructions that the verifier looked at, each as often as it did.
    pub(super) verified: u32,
    /// Its functions; the first is where it begins.
    pub(super) functions: Vec<FunctionCost>,
}

/// What one function costs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FunctionCost {
    pub(super) name: String,
    /// Bytes of machine code.
    pub(super) jited: u32,
    /// Bytes of stack.
    pub(super) stack: u32,
}

/// Loads `program` of an object; its maps are those of `loaded`, the same object as aya loads it.
pub(super) fn cost(bytes: &[u8], program: &str, loaded: &Ebpf) -> Cost {
    let mut object = Object::parse(bytes).unwrap();
    let btf = object.fixup_and_sanitize_btf(aya::features().btf().unwrap()).unwrap().unwrap().clone();
    let definitions = object.maps.clone();
    let maps = definitions.iter().map(|(name, map)| {
        let descriptor = super::data(loaded.map(name).unwrap()).fd().as_fd().as_raw_fd();
        (name.as_str(), descriptor, map)
    });
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(maps, &sections).unwrap();
    // Each function has its own entry until those that it calls are put behind it.
    let entries = object.functions.values().filter_map(|function| {
        Some((function.func_info.func_info.first()?.type_id, format!("{:#}", demangle(&function.name))))
    });
    let names: HashMap<u32, String> = entries.collect();
    object.relocate_calls(&sections).unwrap();
    object.sanitize_functions(aya::features());
    let program = &object.programs[program];
    let function = &object.functions[&program.function_key()];
    let btf = load_btf(&btf.to_bytes());
    let (descriptor, log) = load(&program.section, &program.license, function, &btf);
    let (verified, jited) = info(&descriptor);
    let stacks = stacks(&log);
    let order = function.func_info.func_info.iter().map(|info| names[&info.type_id].clone());
    assert_eq!(stacks.len(), jited.len(), "{log}");
    let functions = order.zip(jited).zip(stacks);
    let functions = functions.map(|((name, jited), stack)| FunctionCost { name, jited, stack }).collect();
    Cost { verified, functions }
}

/// The numbers of the line `stack depth 312+56+0`: one for each function.
fn stacks(log: &str) -> Vec<u32> {
    let line =
        log.lines().find_map(|line| line.strip_prefix("stack depth ")).unwrap_or_else(|| panic!("{log}"));
    line.split('+').map(|number| number.trim().parse().unwrap()).collect()
}

fn load_btf(bytes: &[u8]) -> OwnedFd {
    let mut attributes = zeroed();
    // SAFETY: zeros are valid in every member of the union.
    let load = unsafe { &mut attributes.__bindgen_anon_7 };
    load.btf = bytes.as_ptr() as u64;
    load.btf_size = bytes.len().try_into().unwrap();
    descriptor(bpf_cmd::BPF_BTF_LOAD, &mut attributes)
}

fn load(
    section: &ProgramSection,
    license: &CString,
    function: &Function,
    btf: &OwnedFd,
) -> (OwnedFd, String) {
    let (functions, lines) = (function.func_info.func_info_bytes(), function.line_info.line_info_bytes());
    let mut log = vec![0_u8; LOG_BYTES];
    let mut attributes = zeroed();
    // SAFETY: zeros are valid in every member of the union.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    if matches!(section, ProgramSection::Xdp { .. }) {
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
        load.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
        load.prog_flags = aya_obj::generated::BPF_F_XDP_HAS_FRAGS;
    } else {
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT as u32;
    }
    load.insns = function.instructions.as_ptr() as u64;
    load.insn_cnt = function.instructions.len().try_into().unwrap();
    load.license = license.as_ptr() as u64;
    load.prog_btf_fd = btf.as_raw_fd().try_into().unwrap();
    load.func_info = functions.as_ptr() as u64;
    load.func_info_cnt = function.func_info.func_info.len().try_into().unwrap();
    load.func_info_rec_size = function.func_info_rec_size.try_into().unwrap();
    load.line_info = lines.as_ptr() as u64;
    load.line_info_cnt = function.line_info.line_info.len().try_into().unwrap();
    load.line_info_rec_size = function.line_info_rec_size.try_into().unwrap();
    load.log_level = STATISTICS;
    load.log_buf = log.as_mut_ptr() as u64;
    load.log_size = LOG_BYTES.try_into().unwrap();
    let loaded = descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes);
    let text: Vec<u8> = log.into_iter().take_while(|byte| *byte != 0).collect();
    (loaded, String::from_utf8(text).unwrap())
}

/// The verified instructions, and the bytes of machine code of each function.
fn info(program: &OwnedFd) -> (u32, Vec<u32>) {
    let mut lengths = vec![0_u32; MOST_FUNCTIONS];
    // SAFETY: the structure holds numbers alone.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    info.nr_jited_func_lens = MOST_FUNCTIONS.try_into().unwrap();
    info.jited_func_lens = lengths.as_mut_ptr() as u64;
    let mut attributes = zeroed();
    // SAFETY: zeros are valid in every member of the union.
    let get = unsafe { &mut attributes.info };
    get.bpf_fd = program.as_raw_fd().try_into().unwrap();
    get.info = std::ptr::from_mut(&mut info) as u64;
    get.info_len = size_of::<bpf_prog_info>().try_into().unwrap();
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes);
    lengths.truncate(info.nr_jited_func_lens.try_into().unwrap());
    (info.verified_insns, lengths)
}

fn zeroed() -> bpf_attr {
    // SAFETY: zeros are valid in every member of the union.
    unsafe { std::mem::zeroed() }
}

fn descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> OwnedFd {
    let number = bpf(command, attributes).try_into().unwrap();
    // SAFETY: the kernel gave a new descriptor, which nobody else has.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[track_caller]
fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> c_long {
    let (command, size) = (command as c_long, size_of::<bpf_attr>());
    // SAFETY: the attributes are whole, and every address in them is that of memory that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    assert!(result >= 0, "bpf(2) command {command}: {}", io::Error::last_os_error());
    result
}
